//! Webhooks of channels: who sends them, and what was sent.
//!
//! Every node keeps what was announced last of every channel. One node owns a channel (the highest rendezvous hash among
//! the open ones); whenever the merged view and the ledger differ, the owner announces the next transition, and tells
//! all. Whoever owns the channel later goes on from there.

use std::collections::BTreeMap;
use std::iter;

use jackfield_envelope::{Announcement, Micros, Move, NodeId, Topic};

use crate::cluster::Cluster;
use crate::event::Effect;
use crate::membership::BEAT_US;
use crate::peers::Peer;
use crate::rules::Rule;
use crate::stable::{Keyed, Table, mix, weights};

/// What was announced.
pub(crate) struct Ledger {
    known: Table<Entry>,
    /// Channels whose occupancy differs from what was announced, since when.
    differ: BTreeMap<Topic, Micros>,
}

struct Entry {
    last: Last,
    /// What was announced in another series, while this one has not told again how things are.
    disputed: Option<Last>,
    since: Micros,
}

/// The last announcement of a series.
#[derive(Clone, Copy)]
struct Last {
    series: u64,
    k: u64,
    occupied: bool,
}

impl Last {
    fn of(self, topic: &Topic) -> Announcement {
        Announcement {
            topic: topic.clone(),
            series: self.series,
            k: self.k,
            occupied: self.occupied,
        }
    }
}

impl Ledger {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            known: Table::with_hasher(Keyed(seed)),
            differ: BTreeMap::new(),
        }
    }

    /// Whether that is what was announced last, and for certain.
    fn says(&self, topic: &Topic, occupied: bool) -> bool {
        match self.known.get(topic) {
            Some(entry) => entry.last.occupied == occupied && entry.disputed.is_none(),
            None => !occupied,
        }
    }

    /// All entries, for a snapshot.
    pub(crate) fn entries(&self) -> Vec<Announcement> {
        let entries = self.known.iter().flat_map(|(topic, entry)| {
            let series = iter::once(entry.last).chain(entry.disputed);
            series.map(move |last| last.of(topic))
        });
        let mut entries: Vec<Announcement> = entries.collect();
        entries.sort_unstable();
        entries
    }

    /// The later one of a series counts. After a partition there may be two series: the higher one goes on, and because
    /// nobody knows which was told last, it tells once more how things are. Whoever owns the channel may have met the higher one
    /// alone: what was announced in the other one is given if it is to hear of that.
    fn note(&mut self, it: &Announcement, now: Micros) -> Option<Announcement> {
        let new = Last {
            series: it.series,
            k: it.k,
            occupied: it.occupied,
        };
        let Some(known) = self.known.get_mut(&it.topic) else {
            let entry = Entry {
                last: new,
                disputed: None,
                since: now,
            };
            self.known.insert(it.topic.clone(), entry);
            return None;
        };
        let (last, disputes) = (known.last, known.last.series != it.series);
        if (last.series, last.k) >= (new.series, new.k) {
            known.disputed = known.disputed.or_else(|| disputes.then_some(new));
            return None;
        }
        *known = Entry {
            last: new,
            disputed: disputes.then_some(last),
            since: now,
        };
        disputes.then(|| last.of(&it.topic))
    }

    /// Channels that have been empty for long begin a new series.
    pub(crate) fn forget(&mut self, now: Micros) {
        self.known
            .retain(|_, entry| entry.last.occupied || entry.since + KEEP_US > now);
    }
}

impl Cluster {
    /// Whether this node is the one that tells the app's server of this channel.
    pub fn owns(&self, topic: &Topic) -> bool {
        self.rank(topic) == Some(0)
    }

    /// How many open nodes want the topic more than this one does; none if this one is not open.
    pub(crate) fn rank(&self, topic: &Topic) -> Option<u64> {
        let weight = weights(topic.as_str());
        let mine = (weight(self.me.id), self.me.id);
        let open = self.peers.live.iter().filter(|(_, peer)| peer.open);
        let rivals = open.filter(|(node, _)| (weight(**node), **node) > mine);
        self.is_open().then(|| rivals.count() as u64)
    }

    /// Whether all nodes should agree who owns which channel.
    pub(crate) fn is_calm(&self) -> bool {
        let now = self.me.now;
        // Whoever was not open when it was heard last may be by now, and own the channel.
        let unsure = |peer: &Peer| !peer.open && peer.beat_came + 2 * BEAT_US <= now;
        let calm = self.peers.calm_ticks >= CALM_TICKS && !self.peers.live.values().any(unsure);
        self.buses.proven && (calm || self.peers.live.is_empty())
    }

    /// The merged occupancy of a channel may have changed.
    pub(crate) fn compare_ledger(&mut self, topic: &Topic) {
        if self.ledger.says(topic, self.roster.is_occupied(topic)) {
            self.ledger.differ.remove(topic);
            return;
        }
        let now = self.me.now;
        self.ledger.differ.entry(topic.clone()).or_insert(now);
        self.announce(topic);
    }

    pub(crate) fn on_announced(&mut self, from: NodeId, it: &Announcement) {
        if from == self.me.id || self.me.rules.hold(Rule::Ledger) {
            if let Some(lost) = self.ledger.note(it, self.me.now) {
                self.tell_move(Move::Announced(lost));
            }
            self.compare_ledger(&it.topic);
        }
    }

    /// Once a beat: what has waited long enough, or has become this node's.
    pub(crate) fn announce_all(&mut self) {
        let topics: Vec<Topic> = self.ledger.differ.keys().cloned().collect();
        for topic in topics {
            self.announce(&topic);
        }
    }

    fn announce(&mut self, topic: &Topic) {
        let now = self.me.now;
        let Some(since) = self.ledger.differ.get(topic) else {
            return;
        };
        let occupied = self.roster.is_occupied(topic);
        let waited = occupied || since + VACATED_US <= now;
        if !(waited && self.is_calm() && self.owns(topic)) {
            return;
        }
        let (series, k) = match self.ledger.known.get(topic) {
            // Kinds alternate: what is told again skips a number. Where there was another series, the next one of this one may have been
            // told before it, by somebody who has ended.
            Some(Entry { last, disputed, .. }) => {
                let again = u64::from(last.occupied == occupied);
                (last.series, last.k + 1 + again + 2 * u64::from(disputed.is_some()))
            }
            None => (mix(self.me.id.0 ^ self.me.stamp()), 1),
        };
        let it = Announcement {
            topic: topic.clone(),
            series,
            k,
            occupied,
        };
        self.effects.push(Effect::Announce(it.clone()));
        self.tell_move(Move::Announced(it));
        // If this node ended before it has told, nobody would know what was announced.
        self.flush_moves();
    }
}

/// Page changes and reconnects are back within it (Pusher documents, "Webhooks").
const VACATED_US: u64 = 3_000_000;

/// A node whose view of the others has just changed may not have heard what was announced.
const CALM_TICKS: u32 = 3;

/// Longer than a webhook is repeated.
const KEEP_US: u64 = 600_000_000;
