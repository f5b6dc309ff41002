//! A broker: passes on what is published to whoever follows, late, twice or not at all.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::profile::Swap;
use super::world::{Input, Item, World};
use crate::{BusId, Topic};

#[derive(Default)]
pub(super) struct Broker {
    /// By topic.
    followers: BTreeMap<Topic, BTreeSet<End>>,
    /// The numbers of those that are up.
    pub(super) links: BTreeMap<End, u64>,
    /// When the last one arrived, by way; without a receiver: at the broker.
    arrivals: BTreeMap<(End, Option<End>, Option<Topic>), u64>,
}

/// A node's end of a link: the node's place, and its number for the bus.
pub(super) type End = (usize, BusId);

/// What a node asks of a broker.
pub(super) enum Request {
    Publish(Topic, Bytes, Option<u64>),
    Follow(Vec<Topic>),
    Unfollow(Vec<Topic>),
    /// The end of a follow's lag.
    Effective(Topic),
}

/// A link as it was when something was sent over it.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) bus: BusId,
    pub(super) node: usize,
    pub(super) link: u64,
}

impl Broker {
    /// Links are cut.
    pub(super) fn cut(&mut self, gone: impl Fn(&End) -> bool) {
        self.links.retain(|end, _| !gone(end));
        for ends in self.followers.values_mut() {
            ends.retain(|end| !gone(end));
        }
    }
}

impl World {
    /// Over which broker a node's bus goes.
    pub(super) fn broker_of(&self, node: usize, bus: BusId) -> usize {
        match self.profile.swap {
            Swap::Wrong if node == 0 && bus.0 == 1 => 2,
            Swap::Same => 0,
            _ => usize::from(bus.0),
        }
    }

    pub(super) fn request(&mut self, node: usize, bus: BusId, request: Request) {
        let broker = self.broker_of(node, bus);
        let Some(link) = self.brokers[broker].links.get(&(node, bus)).copied() else {
            return;
        };
        let at = self.arrival(broker, ((node, bus), None, None));
        self.put(at, Item::Broker(Way { bus, node, link }, request));
    }

    pub(super) fn at_broker(&mut self, way: Way, request: Request) {
        let broker = self.broker_of(way.node, way.bus);
        if self.brokers[broker].links.get(&(way.node, way.bus)) != Some(&way.link) {
            return;
        }
        match request {
            Request::Publish(topic, bytes, ticket) => {
                self.spread(broker, (way.node, way.bus), &topic, &bytes);
                if let Some(ticket) = ticket {
                    self.answer(way, Input::Confirmed(way.bus, ticket));
                }
            }
            Request::Follow(topics) => {
                for topic in topics {
                    let lag = self.random.within(0, self.profile.interest_lag.max(1));
                    let at = self.now + lag;
                    self.put(at, Item::Broker(way, Request::Effective(topic.clone())));
                    self.answer(way, Input::Following(way.bus, topic));
                }
            }
            Request::Effective(topic) => {
                self.brokers[broker]
                    .followers
                    .entry(topic)
                    .or_default()
                    .insert((way.node, way.bus));
            }
            Request::Unfollow(topics) => {
                for topic in topics {
                    if let Some(ends) = self.brokers[broker].followers.get_mut(&topic) {
                        ends.remove(&(way.node, way.bus));
                    }
                }
            }
        }
    }

    /// The broker lets go of a topic by itself.
    pub(super) fn lose_topic(&mut self, bus: BusId, topic: &Topic) {
        let broker = &mut self.brokers[usize::from(bus.0)];
        for end in broker.followers.remove(topic).unwrap_or_default() {
            let (node, bus) = end;
            if let Some(link) = self.brokers[usize::from(bus.0)].links.get(&end).copied() {
                self.answer(Way { bus, node, link }, Input::Lost(bus, topic.clone()));
            }
        }
    }

    fn spread(&mut self, broker: usize, from: End, topic: &Topic, bytes: &Bytes) {
        let followers = self.brokers[broker].followers.get(topic).cloned().unwrap_or_default();
        for end in followers {
            let (node, bus) = end;
            let Some(link) = self.brokers[broker].links.get(&end).copied() else {
                continue;
            };
            if self.random.chance(self.profile.loss) && self.now < self.profile.active {
                continue;
            }
            let copies = 1 + u64::from(self.random.chance(self.profile.twice));
            for _ in 0..copies {
                let by_topic = self.unordered.then(|| topic.clone());
                let at = self.arrival(broker, (from, Some(end), by_topic));
                let input = Input::Message(bus, topic.clone(), bytes.clone());
                let life = self.lives[node];
                self.put(
                    at,
                    Item::Input {
                        node,
                        life,
                        way: Some(Way { bus, node, link }),
                        input,
                    },
                );
            }
        }
    }

    fn answer(&mut self, way: Way, input: Input) {
        let late = self.random.within(0, self.profile.late.max(1));
        let delay = self.random.within(300, self.profile.delay);
        let (node, life) = (way.node, self.lives[way.node]);
        self.put(
            self.now + late + delay,
            Item::Input {
                node,
                life,
                way: Some(way),
                input,
            },
        );
    }

    /// In order on the same way.
    fn arrival(&mut self, broker: usize, way: (End, Option<End>, Option<Topic>)) -> u64 {
        let at = self.now + self.random.within(300, self.profile.delay);
        let last = self.brokers[broker].arrivals.entry(way).or_default();
        *last = at.max(*last + 1);
        *last
    }
}
