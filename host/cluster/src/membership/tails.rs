//! Tails: every peer is told the last numbers of the topics that it occupies, until it acknowledges them.
//!
//! A frame that was lost shows by the next one on its topic. Tails show it when there is no next one.

use std::collections::BTreeMap;

use jackfield_envelope::{Message, Micros, NodeId, Tail, Tails, TailsAck, Topic};

use crate::cluster::Cluster;
use crate::rules::Rule;

/// How far one peer is told, and has acknowledged.
#[derive(Default)]
pub(crate) struct Telling {
    /// Since when the peer is known.
    pub(crate) since: Micros,
    /// Acknowledged: all that was published until then on topics that it was known to occupy.
    pub(crate) acked: Micros,
    /// Topics that it came to after a publish, which it may have missed: that publish's number, and since when it is known.
    pub(crate) late: BTreeMap<Topic, (u64, Micros)>,
    /// Our time and its roster's number at the last tick.
    checkpoint: (Micros, u64),
    /// The newest checkpoint up to which all is acknowledged.
    pub(crate) settled: (Micros, u64),
}

impl Telling {
    pub(crate) fn new(now: Micros) -> Self {
        // What was published before is told as late when its roster is known.
        Self {
            since: now,
            acked: now,
            ..Self::default()
        }
    }

    fn settle(&mut self) {
        let (at, _) = self.checkpoint;
        if self.acked >= at && self.late.values().all(|(_, known)| *known > at) {
            self.settled = self.settled.max(self.checkpoint);
        }
    }
}

impl Cluster {
    /// Tells every peer what it has not acknowledged.
    pub(crate) fn tell_tails(&mut self) {
        let at = self.me.stamp();
        let nodes: Vec<NodeId> = self.peers.live.keys().copied().collect();
        let mut entries = self.new_tails();
        for node in nodes {
            let mut entries = entries.remove(&node).unwrap_or_default();
            let Some(peer) = self.peers.live.get_mut(&node) else {
                continue;
            };
            let applied = peer.pull.applied;
            peer.telling.settle();
            peer.telling.checkpoint = (at, applied);
            let late = peer.telling.late.keys();
            entries.extend(late.filter_map(|topic| {
                let sent = self.origin.last(topic)?;
                Some(tail(topic, sent.n, sent.at))
            }));
            // What is cut off is newer than what is sent.
            entries.sort_unstable_by_key(|tail| tail.at);
            if entries.is_empty() {
                peer.telling.acked = at;
                peer.telling.late.clear();
                peer.telling.settle();
                continue;
            }
            let Telling {
                since, acked: after, ..
            } = peer.telling;
            if self.me.rules.hold(Rule::Tails) {
                let upto = cut(&mut entries, after, at, self.me.bounds.chunk_bytes);
                let tails = Tails {
                    since: since.min(upto),
                    after,
                    upto,
                    // What is cut off may be of any topic.
                    applied: if upto == at { applied } else { 0 },
                    entries,
                };
                self.tell_node(node, Message::Tails(tails));
            }
        }
    }

    pub(crate) fn on_tails(&mut self, from: NodeId, tails: &Tails) {
        let now = self.me.now;
        // A beat comes first: what was forgotten before is looked at then. The tails come again.
        let peer = self.peers.live.get(&from);
        if peer.is_none_or(|peer| peer.met != Some(tails.since)) {
            return;
        }
        self.owe_tails(from, &tails.entries);
        let Some(source) = self.peers.source(from, now) else {
            return;
        };
        source.clock.sample(tails.upto, now);
        source.settle(tails.upto, tails.applied);
        // From here on the gap is this node's to close.
        let late = tails.entries.iter().filter(|tail| tail.at <= tails.after);
        let ack = TailsAck {
            upto: tails.upto,
            late: late.map(|tail| (tail.topic.clone(), tail.n)).collect(),
        };
        self.tell_node(from, Message::TailsAck(ack));
    }

    pub(crate) fn on_tails_ack(&mut self, from: NodeId, ack: &TailsAck) {
        let Some(peer) = self.peers.live.get_mut(&from) else {
            return;
        };
        peer.telling.acked = peer.telling.acked.max(ack.upto.min(self.me.last_stamp()));
        for (topic, n) in &ack.late {
            if peer.telling.late.get(topic).is_some_and(|(late, _)| n >= late) {
                peer.telling.late.remove(topic);
            }
        }
        peer.telling.settle();
    }

    /// A peer has come to a topic: it may have missed what was published a moment ago.
    pub(crate) fn tell_late(&mut self, node: NodeId, topic: &Topic) {
        let (now, last) = (self.me.stamp(), self.origin.last(topic));
        let Some(peer) = self.peers.live.get_mut(&node) else {
            return;
        };
        match last {
            Some(sent) if self.me.rules.hold(Rule::Late) => {
                peer.telling.late.insert(topic.clone(), (sent.n, now));
            }
            _ => {
                peer.telling.late.remove(topic);
            }
        }
    }

    /// For every peer: its topics that were published on since it acknowledged last.
    fn new_tails(&self) -> BTreeMap<NodeId, Vec<Tail>> {
        let mut tails: BTreeMap<NodeId, Vec<Tail>> = BTreeMap::new();
        let acked = self.peers.live.values().map(|peer| peer.telling.acked);
        let Some(oldest) = acked.min() else { return tails };
        for (topic, sent) in self.origin.since(oldest) {
            for node in self.roster.occupants(topic) {
                let telling = self.peers.live.get(&node).map(|peer| &peer.telling);
                if telling.is_some_and(|telling| sent.at > telling.acked && !telling.late.contains_key(topic)) {
                    tails.entry(node).or_default().push(tail(topic, sent.n, sent.at));
                }
            }
        }
        tails
    }
}

fn tail(topic: &Topic, n: u64, at: Micros) -> Tail {
    Tail {
        topic: topic.clone(),
        n,
        at,
    }
}

/// Cuts the list to one piece; the rest follows when that is acknowledged. Gives the time until which it is complete.
fn cut(entries: &mut Vec<Tail>, after: Micros, now: Micros, chunk: usize) -> Micros {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|tail| {
        bytes += tail.topic.as_str().len() + TAIL_BYTES;
        bytes <= chunk
    });
    let count = fits.count();
    let complete = count == entries.len();
    entries.truncate(count);
    if complete {
        now
    } else {
        entries.last().map_or(after, |last| last.at.max(after))
    }
}

/// A tail without its topic, at most.
const TAIL_BYTES: usize = 22;
