//! What goes wrong: links, brokers, processes; and swaps, which are asked for.

use std::collections::BTreeSet;

use super::profile::{Kind, Swap};
use super::world::{Act, Input, Item, MS, Node, SECOND, World};
use crate::{BusId, Event, NodeId, Topic, User};

impl World {
    pub(super) fn fault(&mut self) {
        let nodes = self.alive();
        let kind = self.profile.kinds[self.random.below(self.profile.kinds.len())];
        if nodes.is_empty() {
            return;
        }
        let at = nodes[self.random.below(nodes.len())];
        let bus = BusId(self.random.below(self.profile.buses.min(2)) as u8);
        let long = if self.random.chance(500) {
            3 * SECOND
        } else {
            self.profile.longest
        };
        let left = (self.profile.active + 2 * SECOND).saturating_sub(self.now);
        let time = self.random.within(100 * MS, long).min(left);
        self.say(|| format!("{kind:?} of node {at}, {bus:?}, {} ms", time / MS));
        match kind {
            Kind::Cut => self.cut(at, bus, time),
            Kind::Outage => nodes.into_iter().for_each(|at| self.cut(at, bus, time)),
            Kind::Crash => {
                self.crash(at, time);
                self.restart(at);
            }
            Kind::Suspend => self.suspend(at, bus, time),
            Kind::Leave => self.goodbye(at),
            Kind::Lost => {
                let topic = self.topics[self.random.below(self.topics.len())].clone();
                self.lose_topic(bus, &topic);
            }
        }
    }

    pub(super) fn connect(&mut self, at: usize, life: u64, bus: BusId) {
        if self.lives[at] != life || self.nodes[at].is_none() {
            return;
        }
        let broker = self.broker_of(at, bus);
        self.link += 1;
        let link = self.link;
        self.linked_until.remove(&self.epoch(at));
        if self.brokers[broker].links.insert((at, bus), link).is_none() {
            self.put(
                self.now,
                Item::Input {
                    node: at,
                    life,
                    way: None,
                    input: Input::Up(bus),
                },
            );
        }
    }

    /// The link is gone; the node sees it a little later.
    pub(super) fn cut(&mut self, at: usize, bus: BusId, time: u64) {
        let broker = self.broker_of(at, bus);
        if !self.brokers[broker].links.contains_key(&(at, bus)) {
            return;
        }
        self.brokers[broker].cut(|end| *end == (at, bus));
        self.linked_until.insert(self.epoch(at), self.now);
        if let Some(node) = &mut self.nodes[at] {
            node.disturbed = self.now + time;
        }
        let seen = self.random.within(MS, SECOND);
        let life = self.lives[at];
        self.put(
            self.now + seen,
            Item::Input {
                node: at,
                life,
                way: None,
                input: Input::Down(bus),
            },
        );
        self.act(self.now + seen + time, Act::Connect(at, life, bus));
    }

    pub(super) fn crash(&mut self, at: usize, time: u64) {
        let Some(node) = &self.nodes[at] else { return };
        let members: BTreeSet<(Topic, User)> = node.members.keys().cloned().collect();
        self.act(self.now + 10 * SECOND, Act::CheckGhosts(self.now, members));
        self.end_node(at);
        self.act(self.now + time, Act::Start(at));
    }

    fn epoch(&self, at: usize) -> u64 {
        self.nodes[at].as_ref().map_or(0, |node| node.cluster.id().0)
    }

    fn suspend(&mut self, at: usize, bus: BusId, time: u64) {
        let life = self.lives[at];
        let Some(node) = &mut self.nodes[at] else { return };
        if node.asleep.is_some() {
            return;
        }
        node.asleep = Some(self.now + time);
        if self.random.chance(500) {
            self.cut(at, bus, time);
        }
        self.act(self.now + time, Act::Resume(at, life));
    }

    pub(super) fn goodbye(&mut self, at: usize) {
        let Some(node) = &mut self.nodes[at] else { return };
        if node.leaving || node.asleep.is_some() {
            return;
        }
        node.leaving = true;
        for number in 0..self.sockets.len() {
            if self.is_here(number) && self.sockets[number].node == at {
                self.sockets[number].closed = Some(self.now);
                self.leave(number);
            }
        }
        self.tell(at, Event::Leave);
    }

    pub(super) fn end_node(&mut self, at: usize) {
        self.note_stats(at);
        self.ended = self.now;
        let (epoch, now) = (self.epoch(at), self.now);
        self.linked_until.entry(epoch).or_insert(now);
        let ended = self.nodes[at].take();
        self.forget_announcements();
        self.forget_notices(ended.as_ref());
        let epoch = ended.map(|node| node.cluster.id());
        let met = |node: &Node, epoch: &NodeId| {
            let source = node.cluster.peers.sources.get(epoch);
            node.cluster.peers.live.contains_key(epoch) || source.is_some_and(|source| source.buried.is_some())
        };
        let mut others = self.nodes.iter().flatten();
        if let Some(epoch) = epoch.filter(|epoch| !others.any(|node| met(node, epoch))) {
            self.unheard.insert(epoch.0);
        }
        self.lives[at] += 1;
        for broker in &mut self.brokers {
            broker.cut(|(node, _)| *node == at);
        }
    }

    pub(super) fn restart(&mut self, at: usize) {
        let after = self.random.within(500 * MS, 8 * SECOND);
        self.act(self.now + after, Act::Start(at));
    }

    // ---- swaps

    pub(super) fn schedule_swap(&mut self) {
        let spread = match self.profile.swap {
            Swap::No => return,
            Swap::Together | Swap::Wrong => SECOND,
            Swap::Skewed | Swap::Same => 12 * SECOND,
        };
        for at in 0..self.profile.nodes {
            let time = 10 * SECOND + self.random.within(0, spread);
            self.swap_at[at] = time;
            self.act(time, Act::Swap(at));
        }
    }

    pub(super) fn swap(&mut self, at: usize) {
        // Whoever is not there starts with the new configuration.
        let Some(node) = &self.nodes[at] else { return };
        if node.asleep.is_some() {
            self.act(self.now + SECOND, Act::Swap(at));
            return;
        }
        self.say(|| format!("node {at} is to swap"));
        self.attach(at, BusId(1));
    }
}
