//! The cluster as one node sees it: events in, effects out.

use std::sync::Arc;

use bytes::Bytes;
use jackfield_envelope::{CHUNK_BYTES, Envelope, Malformed, Message, Micros, Move, NodeId, Seal, Topic, User};

use crate::chain::{MAX_HELD, Origin, RING_BYTES};
use crate::event::{BusId, Degraded, Effect, Event, State};
use crate::ledger::Ledger;
use crate::membership::Phase;
use crate::notices::Notices;
use crate::peers::Peers;
use crate::publish::Waiting;
use crate::roster::Roster;
use crate::rules::Rules;
use crate::stats::Stats;
use crate::swap::Buses;
use crate::timers::{Timer, Timers};
use crate::topics::Topics;

/// One node's view of the cluster, and its part in it. Does nothing by itself: tell it what happens, do what it says.
pub struct Cluster {
    pub(crate) me: Me,
    pub(crate) buses: Buses,
    pub(crate) peers: Peers,
    pub(crate) topics: Topics,
    pub(crate) origin: Origin,
    pub(crate) waiting: Waiting,
    pub(crate) roster: Roster,
    pub(crate) ledger: Ledger,
    pub(crate) notices: Notices,
    pub(crate) timers: Timers,
    pub(crate) effects: Vec<Effect>,
    pub(crate) stats: Stats,
}

/// What a node is given at its start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// For people, and unique among running nodes.
    pub name: String,
    /// 64 random bits, drawn at the start of the process.
    pub epoch: u64,
    /// More random bits, which nobody is told: clients choose names of topics, and must not be able to make tables slow.
    pub seed: u64,
    /// With a key, nobody without it can speak as a node.
    pub key: Option<Vec<u8>>,
    /// A digest of what this node serves; 0 says nothing. Whoever serves something else is no part of the same deployment, or is
    /// about to be changed: see [`State::neighbours`].
    pub apps: u64,
    pub(crate) bounds: Bounds,
}

/// What simulated clusters have less of, so that they come to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How much is kept to be sent again.
    pub(crate) ring_bytes: usize,
    /// Lists are sent in pieces of about this size.
    pub(crate) chunk_bytes: usize,
    /// Frames of one origin on one topic that wait for the one before them.
    pub(crate) held: usize,
}

/// This node.
pub(crate) struct Me {
    pub(crate) id: NodeId,
    pub(crate) name: Arc<str>,
    pub(crate) all: Topic,
    pub(crate) inbox: Topic,
    pub(crate) seal: Seal,
    pub(crate) apps: u64,
    pub(crate) rules: Rules,
    pub(crate) bounds: Bounds,
    pub(crate) phase: Phase,
    pub(crate) now: Micros,
    /// Counts beats.
    pub(crate) k: u64,
    pub(crate) last_tick: Micros,
    pub(crate) next_tick: Micros,
    stamp: Micros,
    state: State,
}

impl Me {
    /// The time, but never the same twice: what was said before something else has the smaller one.
    pub(crate) fn stamp(&mut self) -> Micros {
        self.stamp = self.now.max(self.stamp + 1);
        self.stamp
    }

    pub(crate) const fn last_stamp(&self) -> Micros {
        self.stamp
    }
}

impl Setup {
    /// A node without a key.
    pub fn new(name: &str, epoch: u64, seed: u64) -> Self {
        Self {
            name: name.to_owned(),
            epoch,
            seed,
            key: None,
            apps: 0,
            bounds: Bounds {
                ring_bytes: RING_BYTES,
                chunk_bytes: CHUNK_BYTES,
                held: MAX_HELD,
            },
        }
    }
}

impl Cluster {
    /// A node that has just started.
    pub fn new(setup: &Setup) -> Self {
        Self::with_rules(setup, Rules::default())
    }

    pub(crate) fn with_rules(setup: &Setup, rules: Rules) -> Self {
        let id = NodeId(setup.epoch);
        let mut roster = Roster::new(setup.seed);
        roster.add_node(id);
        Self {
            me: Me {
                id,
                name: setup.name.as_str().into(),
                all: Topic::all(),
                inbox: Topic::of(id),
                seal: Seal::new(setup.key.as_deref()),
                apps: setup.apps,
                rules,
                bounds: setup.bounds,
                phase: Phase::Listening {
                    proven: None,
                    namesake: None,
                },
                now: 0,
                k: 0,
                last_tick: 0,
                next_tick: 0,
                stamp: 0,
                state: State::default(),
            },
            buses: Buses::default(),
            peers: Peers::default(),
            topics: Topics::new(setup.seed),
            origin: Origin::new(setup.seed, setup.bounds.ring_bytes),
            waiting: Waiting::default(),
            roster,
            ledger: Ledger::new(setup.seed),
            notices: Notices::default(),
            timers: Timers::default(),
            effects: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// Something happened at `now`. What is to be done is put behind what `effects` holds already.
    pub fn handle(&mut self, event: Event<'_>, now: Micros, effects: &mut Vec<Effect>) {
        std::mem::swap(&mut self.effects, effects);
        self.me.now = self.me.now.max(now);
        if self.wake() <= self.me.now {
            self.run_due();
        }
        let link = matches!(event, Event::LinkUp(_) | Event::LinkDown(_));
        self.handle_now(event);
        if link {
            self.report();
        }
        std::mem::swap(&mut self.effects, effects);
    }

    /// When to come with an [`Event::Wake`] if nothing happens before.
    pub fn wake(&self) -> Micros {
        self.me.next_tick.min(self.timers.next()).min(self.waiting.next())
    }

    /// Who this node is.
    pub fn id(&self) -> NodeId {
        self.me.id
    }

    /// How things are.
    pub fn state(&self) -> State {
        let unheard = || {
            let up = self.buses.usable_mask();
            let unheard = self.peers.live.iter().find(|(_, peer)| peer.on & up == 0);
            unheard.map(|(node, _)| Degraded::Unheard(*node))
        };
        let degraded = if self.buses.usable_mask() == 0 {
            Some(Degraded::NoLink)
        } else if !self.buses.proven {
            Some(Degraded::Unproven)
        } else {
            unheard().or_else(|| self.swap_waits())
        };
        State {
            open: self.is_open(),
            complete: self.buses.proven && self.peers.are_whole(),
            degraded,
            neighbours: self.neighbours(),
        }
    }

    /// What is served here is something else now; the others hear of it with the next beat.
    pub const fn serve(&mut self, apps: u64) {
        self.me.apps = apps;
    }

    /// Live nodes that say that they serve something else.
    fn neighbours(&self) -> Vec<Arc<str>> {
        let own = self.me.apps;
        let others = self
            .peers
            .live
            .values()
            .filter(|peer| peer.apps != own && peer.apps != 0 && own != 0);
        others.map(|peer| Arc::clone(&peer.name)).collect()
    }

    /// What was counted.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The live peers.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> {
        self.peers.live.keys().copied()
    }

    /// The users of a presence channel everywhere, with what is known of each, by id.
    pub fn members(&self, topic: &Topic) -> Vec<(User, Bytes)> {
        self.roster.members(topic).into_iter().collect()
    }

    /// Whether a user is in a presence channel anywhere.
    pub fn has_member(&self, topic: &Topic, user: &str) -> bool {
        self.roster.has_member(topic, user)
    }

    /// Whether a channel has subscribers anywhere.
    pub fn is_occupied(&self, topic: &Topic) -> bool {
        self.roster.is_occupied(topic)
    }

    /// All channels with subscribers anywhere, in no order.
    pub fn occupied(&self) -> impl Iterator<Item = &Topic> {
        self.roster.occupied()
    }

    /// Subscribers of a channel at other nodes, as far as those have told.
    pub fn count_elsewhere(&self, topic: &Topic) -> u64 {
        self.roster.count(topic) - self.roster.count_of(self.me.id, topic)
    }

    pub(crate) fn handle_now(&mut self, event: Event<'_>) {
        match event {
            Event::Wake => {}
            Event::Attach(bus, reach) => self.on_attach(bus, reach),
            Event::Target(bus) => self.on_target(bus),
            Event::LinkUp(bus) => self.on_link_up(bus),
            Event::LinkDown(bus) => self.on_link_down(bus),
            Event::Message { bus, topic, bytes } => self.on_message(bus, topic, bytes),
            Event::Confirmed(bus, n) => self.on_confirmed(bus, n),
            Event::Failed(bus, n) => self.on_failed(bus, n),
            Event::Following(bus, topic) => self.on_following(bus, topic),
            Event::Lost(bus, topic) => self.on_lost(bus, topic),
            Event::Publish(publication) => self.on_publish(publication),
            Event::Occupied(topic, number) => self.on_occupied(topic, number),
            Event::Vacated(topic) => self.on_vacated(topic),
            Event::Counted(topic, count) => {
                self.tell_move(Move::Counted(topic.clone(), count));
            }
            Event::Joined(topic, user, info) => {
                self.tell_move(Move::Joined(topic.clone(), User::clone(user), info));
            }
            Event::Left(topic, user) => {
                self.tell_move(Move::Left(topic.clone(), User::clone(user)));
            }
            Event::Leave => self.on_leave(),
        }
    }

    /// To every node, on every bus.
    pub(crate) fn tell_all(&mut self, message: Message) {
        let all = self.me.all.clone();
        self.tell(&all, message);
    }

    /// To one node, on every bus.
    pub(crate) fn tell_node(&mut self, node: NodeId, message: Message) {
        self.tell(&Topic::of(node), message);
    }

    /// On one bus.
    pub(crate) fn send(&mut self, bus: BusId, topic: &Topic, message: Message) {
        let bytes = self.encode(topic, message);
        self.effects.push(Effect::Publish {
            bus,
            topic: topic.clone(),
            bytes,
            ticket: None,
        });
    }

    fn tell(&mut self, topic: &Topic, message: Message) {
        if self.buses.speaking().next().is_none() {
            return;
        }
        let bytes = self.encode(topic, message);
        for bus in self.buses.speaking() {
            self.effects.push(Effect::Publish {
                bus,
                topic: topic.clone(),
                bytes: bytes.clone(),
                ticket: None,
            });
        }
    }

    fn encode(&self, topic: &Topic, message: Message) -> Bytes {
        let from = self.me.id;
        Envelope { from, message }.encode(topic.as_str(), &self.me.seal)
    }

    fn on_message(&mut self, bus: BusId, topic: &str, bytes: Bytes) {
        let envelope = match Envelope::decode(topic, bytes, &self.me.seal) {
            Ok(envelope) => envelope,
            Err(Malformed::Kind) => return self.stats.unknown_kinds += 1,
            Err(_) => return self.stats.malformed += 1,
        };
        let Envelope { from, message } = envelope;
        if from == self.me.id {
            if message == Message::Canary {
                self.buses.hear(bus);
            }
            return;
        }
        let control = topic == self.me.all.as_str() || topic == self.me.inbox.as_str();
        match message {
            // What is said on a topic of the wrong kind was not said by one of us.
            Message::Data(data) if !control => self.on_data(topic, from, data),
            message if control => self.on_control(bus, from, message),
            _ => self.stats.malformed += 1,
        }
    }

    fn on_control(&mut self, bus: BusId, from: NodeId, message: Message) {
        match message {
            Message::Data(_) | Message::Canary => self.stats.malformed += 1,
            Message::Beat(beat) => self.on_beat(bus, from, beat),
            Message::Tails(tails) => self.on_tails(from, &tails),
            Message::TailsAck(ack) => self.on_tails_ack(from, &ack),
            Message::Need(need) => self.on_need(from, &need),
            Message::Resend(resend) => self.on_resend(from, resend),
            Message::Moves(moves) => self.on_moves(from, moves),
            Message::AskSnapshot(ask) => self.on_ask_snapshot(from, ask),
            Message::Snapshot(snapshot) => self.on_snapshot(from, snapshot),
            Message::Hello(name) => self.on_hello(from, &name),
            Message::Taken(name) if *name == *self.me.name => self.hear_namesake(from),
            Message::Taken(_) => {}
            Message::Bye(bye) => self.on_bye(from, &bye),
            Message::Told(told) => self.on_told(told),
        }
    }

    fn run_due(&mut self) {
        if self.me.next_tick <= self.me.now {
            self.tick();
            self.report();
        }
        self.give_answers();
        while let Some(timer) = self.timers.due(self.me.now) {
            match timer {
                Timer::Flush => self.flush_moves(),
                Timer::Say => self.say_told(),
                Timer::Gap(topic, node) => self.on_gap(&topic, node),
                Timer::Linger(topic) => self.on_linger(&topic),
            }
        }
    }

    fn report(&mut self) {
        let state = self.state();
        if self.me.state != state {
            self.me.state = state.clone();
            self.effects.push(Effect::State(state));
        }
    }
}
