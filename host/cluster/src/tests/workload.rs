//! What clients and publishers do.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::world::{Act, MS, SECOND, World};
use crate::{Answer, Event, Publication, Topic, User};

pub(super) struct Socket {
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) topic: Topic,
    user: User,
    pub(super) welcomed: Option<u64>,
    pub(super) closed: Option<u64>,
    joined: bool,
    /// The last publish of each origin.
    pub(super) last: BTreeMap<u64, u64>,
    pub(super) got: BTreeSet<u64>,
}

pub(super) struct Published {
    pub(super) topic: Topic,
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) epoch: u64,
    pub(super) at: u64,
    pub(super) answer: Option<Answer>,
}

impl World {
    pub(super) fn schedule(&mut self) {
        let founders = self.profile.nodes - self.profile.joiners;
        for at in 0..self.profile.nodes {
            let late = if at < founders { 100 * MS } else { self.profile.active };
            let start = self.random.within(0, late);
            self.act(start, Act::Start(at));
        }
        self.act(4 * SECOND, Act::Publish);
        self.act(4 * SECOND, Act::Churn);
        for _ in 0..self.profile.faults {
            let at = self.random.within(9 * SECOND, self.profile.active);
            self.act(at, Act::Fault);
        }
        self.schedule_swap();
    }

    pub(super) fn perform(&mut self, act: Act) {
        match act {
            Act::Publish => {
                self.publish();
                self.again(self.profile.pause, Act::Publish);
            }
            Act::Churn => {
                self.churn();
                self.again(self.profile.churn, Act::Churn);
            }
            Act::Fault => self.fault(),
            Act::Start(at) if self.nodes[at].is_none() => self.start_node(at),
            Act::Start(_) => {}
            Act::Connect(at, life, bus) => self.connect(at, life, bus),
            Act::Resume(at, life) => self.resume(at, life),
            Act::Swap(at) => self.swap(at),
            Act::CheckGhosts(since, members) => self.check_ghosts(since, &members),
            Act::Refuse(at) => self.end_node(at),
            Act::Join(number) => self.join(number),
            Act::Leave(number) => self.leave(number),
            Act::End(at, life) => {
                if self.lives[at] == life {
                    self.end_node(at);
                    self.restart(at);
                }
            }
        }
    }

    fn again(&mut self, pause: u64, act: Act) {
        // Some things come in a rush.
        let pause = if self.random.chance(200) { MS } else { pause };
        let at = self.now + self.random.within(MS, 2 * pause);
        if at < self.profile.active {
            self.act(at, act);
        }
    }

    fn open_nodes(&self) -> Vec<usize> {
        let open = |&at: &usize| {
            self.nodes[at]
                .as_ref()
                .is_some_and(|node| node.is_open() && node.asleep.is_none())
        };
        self.alive().into_iter().filter(open).collect()
    }

    fn publish(&mut self) {
        let nodes = self.open_nodes();
        if nodes.is_empty() {
            return;
        }
        let at = nodes[self.random.below(nodes.len())];
        let topic = self.topics[self.random.below(self.topics.len())].clone();
        self.publish_on(at, topic);
    }

    pub(super) fn publish_on(&mut self, at: usize, topic: Topic) {
        let id = self.published.len() as u64;
        let Some(node) = &self.nodes[at] else { return };
        self.published.push(Published {
            topic: topic.clone(),
            node: at,
            life: self.lives[at],
            epoch: node.cluster.id().0,
            at: self.now,
            answer: None,
        });
        self.tally.published += 1;
        self.say(|| format!("node {at} publishes {id} on {topic}"));
        let publication = Publication {
            topic,
            frame: Bytes::copy_from_slice(&id.to_le_bytes()),
            flags: 0,
            except: None,
            ticket: Some(id),
        };
        self.tell(at, Event::Publish(publication));
    }

    fn churn(&mut self) {
        let open: Vec<usize> = (0..self.sockets.len()).filter(|&at| self.is_here(at)).collect();
        let many = open.len() > 4 * self.profile.nodes;
        if !open.is_empty() && (many || self.random.chance(350)) {
            let number = open[self.random.below(open.len())];
            let asleep = |node: &super::world::Node| node.asleep.is_some();
            if !self.nodes[self.sockets[number].node].as_ref().is_some_and(asleep) {
                self.sockets[number].closed = Some(self.now);
                self.leave(number);
            }
            return;
        }
        let nodes = self.open_nodes();
        if !nodes.is_empty() {
            let at = nodes[self.random.below(nodes.len())];
            let topic = self.topics[self.random.below(self.topics.len())].clone();
            self.subscribe(at, topic);
        }
    }

    pub(super) fn subscribe(&mut self, at: usize, topic: Topic) {
        let user = user(self.random.below(USERS));
        let number = self.sockets.len();
        let now = self.now;
        let Some(node) = &mut self.nodes[at] else { return };
        let here = node.here.entry(topic.clone()).or_default();
        here.push(number);
        let first = here.len() == 1;
        let welcomed = (!first && node.followed.contains(&topic)).then_some(now);
        self.sockets.push(Socket {
            node: at,
            life: self.lives[at],
            topic: topic.clone(),
            user,
            welcomed,
            closed: None,
            joined: false,
            last: BTreeMap::new(),
            got: BTreeSet::new(),
        });
        self.tally.sockets += 1;
        self.say(|| {
            format!(
                "socket {number} at node {at} wants {topic} as {}",
                self.sockets[number].user
            )
        });
        if first {
            self.tell(at, Event::Occupied(&topic, number as u64));
        } else if welcomed.is_some() {
            self.join(number);
        }
    }

    /// On a node that lives, and not closed.
    pub(super) fn is_here(&self, number: usize) -> bool {
        let socket = &self.sockets[number];
        socket.closed.is_none() && self.lives[socket.node] == socket.life && self.nodes[socket.node].is_some()
    }

    fn join(&mut self, number: usize) {
        let socket = &mut self.sockets[number];
        let (at, topic) = (socket.node, socket.topic.clone());
        if socket.closed.is_none() && self.lives[at] == socket.life {
            if self.profile.members && topic.as_str().contains("presence") {
                self.join_as_member(number);
            }
            self.count(at, &topic);
        }
    }

    fn count(&mut self, at: usize, topic: &Topic) {
        let Some(node) = &self.nodes[at] else { return };
        let here = node.here.get(topic).into_iter().flatten();
        let welcomed = here.filter(|&&number| self.sockets[number].welcomed.is_some());
        let count = welcomed.count() as u32;
        self.tell(at, Event::Counted(topic, count));
    }

    fn join_as_member(&mut self, number: usize) {
        let socket = &mut self.sockets[number];
        let (at, key) = (socket.node, (socket.topic.clone(), socket.user.clone()));
        socket.joined = true;
        let Some(node) = &mut self.nodes[at] else { return };
        let count = node.members.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 {
            self.tell(at, Event::Joined(&key.0, &key.1, Bytes::from_static(b"{}")));
        }
    }

    pub(super) fn leave(&mut self, number: usize) {
        let socket = &self.sockets[number];
        let (at, key, joined) = (socket.node, (socket.topic.clone(), socket.user.clone()), socket.joined);
        if self.lives[at] != socket.life {
            return;
        }
        let Some(node) = &mut self.nodes[at] else { return };
        let here = node.here.entry(key.0.clone()).or_default();
        here.retain(|other| *other != number);
        let last = here.is_empty();
        if last {
            node.followed.remove(&key.0);
        }
        let count = node.members.entry(key.clone()).or_default();
        *count = count.saturating_sub(joined.into());
        let gone = joined && *count == 0;
        if *count == 0 {
            node.members.remove(&key);
        }
        if gone {
            self.left.insert(key.clone(), self.now);
            self.tell(at, Event::Left(&key.0, &key.1));
        }
        self.count(at, &key.0);
        if last {
            self.tell(at, Event::Vacated(&key.0));
        }
    }
}

pub(super) fn user(number: usize) -> User {
    User::from(format!("user-{number}"))
}

pub(super) const USERS: usize = 4;
