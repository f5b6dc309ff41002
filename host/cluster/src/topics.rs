//! The topics that are followed here, and what follows from that.

use std::collections::{BTreeMap, BTreeSet};

use jackfield_envelope::{Micros, Move, NodeId, Topic};

use crate::chain::Rx;
use crate::cluster::Cluster;
use crate::event::{BusId, Effect};
use crate::rules::Rule;
use crate::stable::{Keyed, Table};
use crate::timers::Timer;

/// All of them.
pub(crate) struct Topics {
    pub(crate) table: Table<Followed>,
    /// Those that not every bus has confirmed yet since they were new.
    new: BTreeSet<Topic>,
}

/// One topic.
pub(crate) struct Followed {
    pub(crate) topic: Topic,
    /// Somebody here subscribes to it, or waits to.
    pub(crate) occupied: bool,
    /// By which the hub tells one such time from another.
    number: u64,
    /// The buses that have confirmed it.
    pub(crate) confirmed: u8,
    /// When it was confirmed on every bus whose link was up: what is published from then on is owed.
    pub(crate) since: Option<Micros>,
    /// The number of the transition by which peers know of it.
    pub(crate) told: u64,
    /// The last subscriber has gone; then it is let go.
    linger: Option<Micros>,
    pub(crate) rx: BTreeMap<NodeId, Rx>,
}

impl Topics {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            table: Table::with_hasher(Keyed(seed)),
            new: BTreeSet::new(),
        }
    }

    /// Whether somebody here is to get what is published on the topic.
    pub(crate) fn is_listening(&self, topic: &Topic) -> bool {
        self.table.get(topic).is_some_and(|known| known.listening().is_some())
    }
}

impl Followed {
    /// When somebody is there to deliver to: since when.
    pub(crate) fn listening(&self) -> Option<Micros> {
        self.since.filter(|_| self.occupied)
    }
}

impl Cluster {
    pub(crate) fn on_occupied(&mut self, topic: &Topic, number: u64) {
        let told = self.tell_move(Move::Occupied(topic.clone()));
        if let Some(known) = self.topics.table.get_mut(topic) {
            (known.occupied, known.number) = (true, number);
            known.told = told;
            known.linger = None;
            if known.since.is_some() {
                self.effects.push(Effect::Followed(topic.clone(), number));
            }
            return;
        }
        let followed = Followed {
            topic: topic.clone(),
            occupied: true,
            number,
            confirmed: 0,
            since: None,
            told,
            linger: None,
            rx: BTreeMap::new(),
        };
        self.topics.table.insert(topic.clone(), followed);
        self.topics.new.insert(topic.clone());
        for bus in self.buses.usable() {
            self.effects.push(Effect::Follow(bus, vec![topic.clone()]));
        }
    }

    pub(crate) fn on_vacated(&mut self, topic: &Topic) {
        self.tell_move(Move::Vacated(topic.clone()));
        let Some(known) = self.topics.table.get_mut(topic) else {
            return;
        };
        known.occupied = false;
        for rx in known.rx.values_mut() {
            rx.skip(0, 0);
        }
        let until = self.me.now + LINGER_US;
        known.linger = Some(until);
        self.timers.set(until, Timer::Linger(topic.clone()));
    }

    /// The topic has had nobody for a while: it is let go, with all that is known of its chains.
    pub(crate) fn on_linger(&mut self, topic: &Topic) {
        let now = self.me.now;
        let over = |known: &Followed| known.linger.is_some_and(|until| until <= now);
        if !self.topics.table.get(topic).is_some_and(over) {
            return;
        }
        self.topics.table.remove(topic);
        self.topics.new.remove(topic);
        for bus in self.buses.usable() {
            self.effects.push(Effect::Unfollow(bus, vec![topic.clone()]));
        }
    }

    pub(crate) fn on_following(&mut self, bus: BusId, topic: &str) {
        if topic == self.me.all.as_str() {
            return self.buses.confirm_all(bus);
        }
        if topic == self.me.inbox.as_str() {
            return self.buses.confirm_inbox(bus);
        }
        if let Some(known) = self.topics.table.get_mut(topic) {
            known.confirmed |= bus.bit();
            self.settle_follow(topic);
        }
    }

    /// The broker let go of a topic: a short loss of the link, as far as this topic is concerned.
    pub(crate) fn on_lost(&mut self, bus: BusId, topic: &str) {
        self.peers.link_down_at = Some(self.me.now);
        self.buses.lose(bus);
        let control = [&self.me.all, &self.me.inbox]
            .into_iter()
            .find(|it| it.as_str() == topic);
        if let Some(known) = self.topics.table.get_mut(topic) {
            known.confirmed &= !bus.bit();
            self.effects.push(Effect::Follow(bus, vec![known.topic.clone()]));
        } else if let Some(control) = control {
            self.effects.push(Effect::Follow(bus, vec![control.clone()]));
        }
    }

    /// The link is up: everything is followed anew.
    pub(crate) fn follow_all(&mut self, bus: BusId) {
        let mut topics = vec![self.me.all.clone(), self.me.inbox.clone()];
        let mut rest: Vec<Topic> = self.topics.table.keys().cloned().collect();
        rest.sort_unstable();
        topics.append(&mut rest);
        self.effects.push(Effect::Follow(bus, topics));
    }

    /// The link is down: it confirms nothing any more, and nobody waits for it.
    pub(crate) fn unconfirm(&mut self, bus: BusId) {
        for known in self.topics.table.values_mut() {
            known.confirmed &= !bus.bit();
        }
        self.settle_follows();
    }

    pub(crate) fn settle_follows(&mut self) {
        let waiting: Vec<Topic> = self.topics.new.iter().cloned().collect();
        for topic in waiting {
            self.settle_follow(topic.as_str());
        }
    }

    /// The buses on which everything with somebody to deliver to is confirmed.
    pub(crate) fn fully_confirmed(&self) -> u8 {
        let known = self.topics.table.values().filter(|known| known.since.is_some());
        known.fold(u8::MAX, |mask, known| mask & known.confirmed)
    }

    fn settle_follow(&mut self, topic: &str) {
        let up = self.buses.usable_mask();
        let Some(known) = self.topics.table.get_mut(topic) else {
            return;
        };
        let confirmed = if self.me.rules.hold(Rule::EveryBus) {
            up != 0 && known.confirmed & up == up
        } else {
            known.confirmed & up != 0
        };
        if known.since.is_some() || !confirmed {
            return;
        }
        known.since = Some(self.me.now);
        if known.occupied {
            self.effects.push(Effect::Followed(known.topic.clone(), known.number));
        }
        self.topics.new.remove(topic);
    }
}

/// Somebody who reloads a page is back within it; following is not worth starting anew.
const LINGER_US: u64 = 2_000_000;
