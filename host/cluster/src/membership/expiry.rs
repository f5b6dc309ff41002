//! The end of a peer, and the debts that it leaves.

use std::sync::Arc;

use jackfield_envelope::{Mark, Micros, NodeId, Topic};

use crate::cluster::Cluster;
use crate::event::{Effect, Loss};
use crate::membership::{BEAT_US, MAX_SILENT};
use crate::peers::{MAX_PEERS, Peer, Stranger};
use crate::rules::Rule;
use crate::topics::Followed;

/// A peer left, and nobody knows its last word.
pub(crate) struct Debt {
    node: NodeId,
    name: Arc<str>,
    /// When it was expired.
    since: Micros,
    /// What is owed to whom.
    topics: Vec<Topic>,
    /// Our roster's number at that time: who has applied it knows of all these topics.
    seq: u64,
}

/// How a peer ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was silent for too long.
    Expired,
    /// It said so. On topics told by this number of our roster, all is acknowledged.
    Left { last_at: Micros, known_seq: u64 },
}

impl Cluster {
    pub(crate) fn count_silence(&mut self) {
        let counts = self.buses.proven || !self.me.rules.hold(Rule::ProvenLink);
        let mut expired = Vec::new();
        for (node, peer) in &mut self.peers.live {
            if std::mem::take(&mut peer.heard_in_tick) {
                peer.silent = 0;
            } else if counts {
                peer.silent += 1;
            }
            if peer.silent > MAX_SILENT {
                expired.push(*node);
            }
        }
        expired.extend(self.replaced());
        for node in expired {
            self.end_peer(node, End::Expired);
        }
    }

    pub(crate) fn end_peer(&mut self, node: NodeId, end: End) {
        let Some(peer) = self.peers.live.remove(&node) else {
            return;
        };
        self.peers.calm_ticks = 0;
        let now = self.me.now;
        let died = if self.may_be_open(&peer) { self.me.stamp() } else { 0 };
        if let Some(source) = self.peers.source(node, now) {
            source.died = died;
            source.buried = Some(if end == End::Expired { peer.k } else { u64::MAX });
            source.given_up = source.given_up.max(peer.pull.applied);
        }
        let removed = self.roster.remove_node(node);
        for change in removed {
            self.on_change(node, change);
        }
        let gaps = self.topics.table.values().filter(|known| {
            let rx = known.rx.get(&node);
            rx.is_some_and(|rx| rx.gap.is_some())
        });
        let gaps: Vec<Topic> = gaps.map(|known| known.topic.clone()).collect();
        for topic in gaps {
            self.give_up(&topic, node, Loss::Gap);
        }
        match end {
            End::Expired => {
                self.stats.expired += 1;
                self.owe(node, peer);
            }
            End::Left { last_at, known_seq } if self.me.rules.hold(Rule::Debt) => {
                let clock = self.peers.sources.get(&node).map(|source| source.clock);
                let base = |since| clock.and_then(|clock| clock.at_least(since, now)).unwrap_or(0);
                self.add_debt(node, peer.name, |known| {
                    known.told > known_seq && known.since.map(base) <= Some(last_at)
                });
                // It does not come back.
                self.pay_debts();
            }
            End::Left { .. } => {}
        }
        self.tell_due();
        self.retry_publishes();
    }

    /// A debt that the peer's beat settles is gone: it is back, has all topics, and all it said was acknowledged.
    pub(crate) fn settle_debts(&mut self, from: NodeId, beat_at: Micros, mark: Mark) {
        let settled = mark.settled_at + FRESH_BEAT_US >= beat_at;
        let strict = self.me.rules.hold(Rule::SettledBeat);
        self.peers
            .debts
            .retain(|debt| debt.node != from || (strict && !(settled && mark.settled_seq >= debt.seq)));
    }

    /// Debts that nobody will settle are paid: whoever may have missed something connects anew.
    pub(crate) fn pay_debts(&mut self) {
        let now = self.me.now;
        let live = &self.peers.live;
        let due = |debt: &Debt| {
            let replaced = live
                .iter()
                .any(|(node, peer)| *node != debt.node && peer.name == debt.name);
            let sources = &self.peers.sources;
            let gone = sources
                .get(&debt.node)
                .is_some_and(|source| source.buried == Some(u64::MAX));
            replaced || gone || debt.since + DEBT_US <= now
        };
        let (due, left) = std::mem::take(&mut self.peers.debts).into_iter().partition(due);
        self.peers.debts = left;
        for debt in due {
            self.pay(debt);
        }
    }

    fn pay(&mut self, mut debt: Debt) {
        if self.peers.link_down_at > Some(debt.since) {
            // The peer may have been back while this node was away: it may owe anything to anybody.
            debt.since = self.me.now;
            debt.topics = self.topics.table.keys().cloned().collect();
            debt.topics.sort_unstable();
        }
        for topic in debt.topics {
            let Some(known) = self.topics.table.get(&topic) else {
                continue;
            };
            if known.listening().is_some_and(|since| since < debt.since) {
                self.stats.closes += 1;
                self.effects.push(Effect::Close { topic, why: Loss::Debt });
            }
        }
    }

    /// What the peer said last does not settle everything: a debt, on the topics concerned.
    fn owe(&mut self, node: NodeId, peer: Peer) {
        if !self.may_be_open(&peer) || !self.me.rules.hold(Rule::Debt) {
            return;
        }
        let mark = peer.mark.filter(|mark| mark.heard);
        let told_all = mark.is_some_and(|mark| mark.settled_at + FRESH_BEAT_US >= peer.beat_at);
        let linked = self.was_linked(&peer);
        // Topics that it knew of by then are settled; it may have missed that this node came to later ones.
        let known_seq = match mark {
            Some(mark) if told_all && linked => mark.settled_seq,
            _ => 0,
        };
        if mark.is_some() && !self.me.rules.hold(Rule::SettledBeat) && linked {
            return;
        }
        self.add_debt(node, peer.name, |known| known.told > known_seq);
    }

    /// No link of this node was down since the peer was heard last, nor shortly before.
    fn was_linked(&self, peer: &Peer) -> bool {
        let down = self.peers.link_down_at;
        down.is_none_or(|down| down + 2 * BEAT_US < peer.beat_came)
    }

    /// The peer took publishes once, or may have begun to while nothing came from it.
    fn may_be_open(&self, peer: &Peer) -> bool {
        peer.was_open || !self.was_linked(peer)
    }

    fn add_debt(&mut self, node: NodeId, name: Arc<str>, is_owed: impl Fn(&Followed) -> bool) {
        let followed = self.topics.table.values();
        let owed = followed.filter(|known| known.since.is_some() && is_owed(known));
        let mut topics: Vec<Topic> = owed.map(|known| known.topic.clone()).collect();
        if topics.is_empty() {
            return;
        }
        topics.sort_unstable();
        self.stats.debts += 1;
        self.peers.debts.push(Debt {
            node,
            name,
            since: self.me.now,
            topics,
            seq: self.roster.seq(),
        });
        if self.peers.debts.len() > MAX_DEBTS {
            let oldest = self.peers.debts.remove(0);
            self.pay(oldest);
        }
    }

    /// A peer lists nodes that this one may never have heard.
    pub(crate) fn note_strangers(&mut self, from: NodeId, marks: &[Mark]) {
        let now = self.me.now;
        let mut found = false;
        for mark in marks.iter().filter(|mark| mark.node != self.me.id) {
            let source = self.peers.sources.get(&mark.node);
            let known = self.peers.live.contains_key(&mark.node) || source.is_some_and(|it| it.buried.is_some());
            if known || self.peers.strangers.len() >= MAX_PEERS {
                continue;
            }
            found = true;
            let first = Stranger {
                first: now,
                last: now,
                owed: false,
            };
            self.peers.strangers.entry(mark.node).or_insert(first).last = now;
        }
        if let Some(peer) = self.peers.live.get_mut(&from) {
            peer.strangers = found;
        }
    }

    /// A node that others knew and that never was heard here is dead, or out of reach: a debt as well.
    pub(crate) fn owe_strangers(&mut self) {
        let now = self.me.now;
        let gone = u64::from(MAX_SILENT + 1) * BEAT_US;
        let mut owed = Vec::new();
        self.peers.strangers.retain(|node, stranger| {
            if stranger.first + gone <= now && !stranger.owed {
                stranger.owed = true;
                owed.push(*node);
            }
            !stranger.owed || stranger.last + DEBT_US > now
        });
        for node in owed {
            self.add_debt(node, "".into(), |_| true);
        }
    }

    /// Peers whose name another one has taken over: they have restarted. Whoever is still heard is not replaced.
    fn replaced(&self) -> Vec<NodeId> {
        let live = &self.peers.live;
        let replaced = live.iter().filter(|(node, peer)| {
            let mut others = live.iter();
            let newer = others.any(|(other, it)| other != *node && it.name == peer.name && it.silent == 0);
            peer.silent > 1 && newer
        });
        replaced.map(|(node, _)| *node).collect()
    }
}

/// A beat that settles what was said up to the beat before.
const FRESH_BEAT_US: u64 = BEAT_US * 3 / 2;

/// A node that was merely cut off is back within it, and then nobody need be closed.
const DEBT_US: u64 = 20_000_000;

/// Of that many dead nodes at once; beyond, the oldest debt is paid early.
const MAX_DEBTS: usize = 64;
