//! The world of a run: its time, its nodes, and what is on its way.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::broker::{Broker, Request, Way};
use super::members::Told;
use super::profile::{Profile, Swap};
use super::random::Random;
use super::workload::{Published, Socket};
use crate::rules::Rules;
use crate::swap::each;
use crate::{Announcement, BusId, Cluster, Effect, Event, Setup, Topic, User};
use jackfield_hub::doors::Reach;

pub(super) const MS: u64 = 1_000;
pub(super) const SECOND: u64 = 1_000 * MS;

pub(super) struct World {
    pub(super) profile: Profile,
    pub(super) rules: Rules,
    pub(super) random: Random,
    pub(super) now: u64,
    queue: BTreeMap<(u64, u64), Item>,
    count: u64,
    /// Numbers links.
    pub(super) link: u64,
    pub(super) brokers: Vec<Broker>,
    /// Topics may overtake each other.
    pub(super) unordered: bool,
    pub(super) nodes: Vec<Option<Node>>,
    /// How often a place was filled.
    pub(super) lives: Vec<u64>,
    /// When each place is told to swap.
    pub(super) swap_at: Vec<u64>,
    pub(super) topics: Vec<Topic>,
    pub(super) sockets: Vec<Socket>,
    pub(super) published: Vec<Published>,
    pub(super) announced: Vec<Announcement>,
    /// Of those, by series and number, what nobody knows any more: whoever had heard of it has ended.
    pub(super) unknown: BTreeSet<(u64, u64)>,
    pub(super) told: Told,
    /// Nodes that have ended before anybody who lives had met them.
    pub(super) unheard: BTreeSet<u64>,
    /// When those had a link last that have none.
    pub(super) linked_until: BTreeMap<u64, u64>,
    /// When members left last.
    pub(super) left: BTreeMap<(Topic, User), u64>,
    /// When a node ended last.
    pub(super) ended: u64,
    pub(super) failures: Vec<String>,
    pub(super) tally: Tally,
    /// Tells what happens.
    pub(super) loud: bool,
}

/// What a run saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) sockets: u64,
    pub(super) published: u64,
    pub(super) confirmed: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    pub(super) delivered: u64,
    pub(super) closed: u64,
    pub(super) closed_for_debt: u64,
    pub(super) gaps: u64,
    pub(super) repaired: u64,
    pub(super) snapshots: u64,
    pub(super) announced: u64,
    pub(super) removed: u64,
    /// Notices of members…
    pub(super) told: u64,
    /// …of those, so many under an id that was told before…
    pub(super) repeated: u64,
    /// …and so many of what was told before under another id.
    pub(super) crossed: u64,
    /// Users of whom an app's server thinks wrongly in the end.
    pub(super) astray: u64,
}

pub(super) struct Node {
    pub(super) cluster: Cluster,
    /// Its clock: this much ahead, and so many millionths faster.
    offset: u64,
    drift: i64,
    wake: u64,
    pub(super) asleep: Option<u64>,
    backlog: Vec<(Option<Way>, Input)>,
    pub(super) followed: BTreeSet<Topic>,
    /// Its sockets by topic.
    pub(super) here: BTreeMap<Topic, Vec<usize>>,
    /// Connections by member.
    pub(super) members: BTreeMap<(Topic, User), u32>,
    /// As its events say.
    pub(super) view: BTreeSet<(Topic, User)>,
    pub(super) counts: BTreeMap<Topic, u64>,
    pub(super) leaving: bool,
    /// When something last happened to it that excuses a stale view.
    pub(super) disturbed: u64,
}

pub(super) enum Item {
    Wake(usize, u64),
    Broker(Way, Request),
    Input {
        node: usize,
        life: u64,
        way: Option<Way>,
        input: Input,
    },
    Act(Act),
}

pub(super) enum Input {
    Message(BusId, Topic, Bytes),
    Confirmed(BusId, u64),
    Following(BusId, Topic),
    Lost(BusId, Topic),
    Up(BusId),
    Down(BusId),
}

/// What the world does by itself.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Publish,
    Churn,
    Fault,
    Start(usize),
    Connect(usize, u64, BusId),
    Resume(usize, u64),
    Swap(usize),
    CheckGhosts(u64, BTreeSet<(Topic, User)>),
    /// A socket that was welcomed joins its presence channel.
    Join(usize),
    /// A socket that was closed leaves.
    Leave(usize),
    /// A process whose name is taken ends.
    Refuse(usize),
    /// A process that has said goodbye ends.
    End(usize, u64),
}

impl World {
    pub(super) fn new(mut profile: Profile, seed: u64, rules: Rules) -> Self {
        let mut random = Random::new(seed);
        let unordered = random.chance(500);
        profile.vary(&mut random);
        let mut world = Self {
            brokers: (0..profile.buses).map(|_| Broker::default()).collect(),
            nodes: (0..profile.nodes).map(|_| None).collect(),
            lives: vec![0; profile.nodes],
            swap_at: vec![u64::MAX; profile.nodes],
            topics: (0..6)
                .map(|i| Topic::new(&format!("1/{}", ["a", "b", "c", "d", "presence-x", "presence-y"][i])))
                .collect(),
            profile,
            rules,
            random,
            now: 0,
            queue: BTreeMap::new(),
            count: 0,
            link: 0,
            unordered,
            sockets: Vec::new(),
            published: Vec::new(),
            announced: Vec::new(),
            unknown: BTreeSet::new(),
            told: Told::default(),
            unheard: BTreeSet::new(),
            linked_until: BTreeMap::new(),
            left: BTreeMap::new(),
            ended: 0,
            failures: Vec::new(),
            tally: Tally::default(),
            loud: false,
        };
        world.schedule();
        world
    }

    pub(super) fn put(&mut self, at: u64, item: Item) {
        self.count += 1;
        self.queue.insert((at.max(self.now), self.count), item);
    }

    pub(super) fn act(&mut self, at: u64, act: Act) {
        self.put(at, Item::Act(act));
    }

    /// Until the end, or the first failure.
    pub(super) fn run(&mut self) {
        self.run_until(self.profile.active + self.profile.calm);
        if self.failures.is_empty() {
            self.check_end();
        }
    }

    /// Until that time, or the first failure.
    pub(super) fn run_until(&mut self, end: u64) {
        while self.failures.is_empty()
            && let Some(next) = self.queue.first_entry().filter(|next| next.key().0 <= end)
        {
            let ((at, _), item) = next.remove_entry();
            self.now = at;
            match item {
                Item::Wake(node, life) => self.wake(node, life),
                Item::Broker(way, request) => self.at_broker(way, request),
                Item::Input { node, life, way, input } => self.input(node, life, way, input),
                Item::Act(act) => self.perform(act),
            }
        }
        self.now = end;
    }

    pub(super) fn say(&self, text: impl FnOnce() -> String) {
        if self.loud {
            println!("{:>9.4} {}", self.now as f64 / SECOND as f64, text());
        }
    }

    pub(super) fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&at| self.nodes[at].is_some()).collect()
    }

    pub(super) fn start_node(&mut self, at: usize) {
        self.lives[at] += 1;
        let (epoch, seed) = (self.random.bits(), self.random.bits());
        let mut setup = Setup::new(&self.name(at), epoch, seed);
        setup.bounds = self.profile.bounds;
        let offset = self.random.within(0, 1_000_000 * SECOND);
        let drift = self.random.within(0, 100) as i64 - 50;
        self.nodes[at] = Some(Node {
            cluster: Cluster::with_rules(&setup, self.rules),
            offset,
            drift,
            wake: 0,
            asleep: None,
            backlog: Vec::new(),
            followed: BTreeSet::new(),
            here: BTreeMap::new(),
            members: BTreeMap::new(),
            view: BTreeSet::new(),
            counts: BTreeMap::new(),
            leaving: false,
            disturbed: self.now,
        });
        self.say(|| format!("node {at} starts as {epoch:016x}"));
        // Once the configuration names the new bus, a node starts with it, and perhaps with the old one as well.
        let swapped = self.profile.swap != Swap::No && self.now > self.swap_at[at];
        if !swapped || self.random.chance(500) {
            self.attach(at, BusId(0));
        }
        if swapped {
            self.attach(at, BusId(1));
        }
    }

    /// The last places have the names of the first ones.
    pub(super) fn name(&self, at: usize) -> String {
        format!("node-{}", at % (self.profile.nodes - self.profile.twins))
    }

    pub(super) fn attach(&mut self, at: usize, bus: BusId) {
        self.tell(at, Event::Attach(bus, Reach::Shared));
        self.tell(at, Event::Target(bus));
        let after = self.random.within(MS, 100 * MS);
        self.act(self.now + after, Act::Connect(at, self.lives[at], bus));
    }

    /// Gives an event to a node and does what it says.
    pub(super) fn tell(&mut self, at: usize, event: Event<'_>) {
        let now = self.now;
        let Some(node) = &mut self.nodes[at] else { return };
        let mut effects = Vec::new();
        let clock = node.clock(now);
        if node.cluster.wake() <= clock && !matches!(event, Event::Wake) {
            // What is due is carried out by itself, so that checks see the state that it was decided in.
            self.tell(at, Event::Wake);
            return self.tell(at, event);
        }
        node.cluster.handle(event, clock, &mut effects);
        for effect in effects {
            self.carry_out(at, effect);
        }
        let life = self.lives[at];
        let Some(node) = &mut self.nodes[at] else { return };
        let confirmed = node.cluster.fully_confirmed();
        let deaf = each(!confirmed).find(|bus| node.cluster.buses.is_ready(*bus));
        let wake = node.when(node.cluster.wake());
        if wake != node.wake {
            node.wake = wake;
            self.put(wake.max(now + 1), Item::Wake(at, life));
        }
        if let Some(bus) = deaf {
            self.fail(format!("node {at} is ready on {bus:?} and does not follow all there"));
        }
    }

    fn wake(&mut self, at: usize, life: u64) {
        let now = self.now;
        if self.lives[at] != life {
            return;
        }
        let Some(node) = &mut self.nodes[at] else { return };
        if node.asleep.is_none() && node.wake <= now {
            node.wake = 0;
            self.tell(at, Event::Wake);
        }
    }

    fn input(&mut self, at: usize, life: u64, way: Option<Way>, input: Input) {
        let Some(node) = self.nodes[at].as_mut().filter(|_| self.lives[at] == life) else {
            return;
        };
        if node.asleep.is_some() {
            node.backlog.push((way, input));
            return;
        }
        // What was on its way over a link that broke is lost.
        if let Some(way) = way {
            let broker = self.broker_of(at, way.bus);
            if self.brokers[broker].links.get(&(at, way.bus)) != Some(&way.link) {
                return;
            }
        }
        match input {
            Input::Message(bus, topic, bytes) => self.tell(
                at,
                Event::Message {
                    bus,
                    topic: topic.as_str(),
                    bytes,
                },
            ),
            Input::Confirmed(bus, ticket) => self.tell(at, Event::Confirmed(bus, ticket)),
            Input::Following(bus, topic) => self.tell(at, Event::Following(bus, topic.as_str())),
            Input::Lost(bus, topic) => self.tell(at, Event::Lost(bus, topic.as_str())),
            Input::Up(bus) => self.tell(at, Event::LinkUp(bus)),
            Input::Down(bus) => self.tell(at, Event::LinkDown(bus)),
        }
    }

    pub(super) fn resume(&mut self, at: usize, life: u64) {
        let Some(node) = self.nodes[at].as_mut().filter(|_| self.lives[at] == life) else {
            return;
        };
        node.asleep = None;
        node.wake = 0;
        node.disturbed = self.now;
        let backlog = std::mem::take(&mut node.backlog);
        self.say(|| format!("node {at} goes on, {} things wait", backlog.len()));
        for (way, input) in backlog {
            self.input(at, life, way, input);
        }
        self.tell(at, Event::Wake);
    }
}

impl Node {
    pub(super) fn clock(&self, now: u64) -> u64 {
        (self.offset + now).saturating_add_signed(now as i64 / 1_000 * self.drift / 1_000)
    }

    /// The world's time of a time of this node, or a little later.
    fn when(&self, clock: u64) -> u64 {
        let about = clock.saturating_sub(self.offset);
        let about = i64::try_from(about).unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
        about
            .saturating_add_unsigned(100)
            .saturating_sub(about / 1_000 * self.drift / 1_000) as u64
    }

    pub(super) fn is_open(&self) -> bool {
        self.cluster.state().open && !self.leaving
    }
}

/// What a node wants of a broker.
pub(super) fn request_of(effect: Effect) -> Option<(BusId, Request)> {
    match effect {
        Effect::Publish {
            bus,
            topic,
            bytes,
            ticket,
        } => Some((bus, Request::Publish(topic, bytes, ticket))),
        Effect::Follow(bus, topics) => Some((bus, Request::Follow(topics))),
        Effect::Unfollow(bus, topics) => Some((bus, Request::Unfollow(topics))),
        _ => None,
    }
}
