//! The other nodes: who is alive, what their beats said last, and what is known of them as origins.

use std::collections::BTreeMap;
use std::sync::Arc;

use jackfield_envelope::{Mark, Micros, NodeId, Publishes};

use crate::chain::Clock;
use crate::event::{BusId, MAX_BUSES};
use crate::membership::{Debt, Telling};
use crate::roster::Pull;

/// All that is known of other nodes.
#[derive(Default)]
pub(crate) struct Peers {
    pub(crate) live: BTreeMap<NodeId, Peer>,
    /// Live or not.
    pub(crate) sources: BTreeMap<NodeId, Source>,
    pub(crate) debts: Vec<Debt>,
    /// When a link of this node was seen to be down last.
    pub(crate) link_down_at: Option<Micros>,
    /// When an open peer ended last of those that are forgotten since.
    pub(crate) forgotten_death: Micros,
    /// Nodes that others list and this one does not hear.
    pub(crate) strangers: BTreeMap<NodeId, Stranger>,
    /// How many ticks ago somebody came, went, opened or closed.
    pub(crate) calm_ticks: u32,
}

/// A live node.
pub(crate) struct Peer {
    pub(crate) name: Arc<str>,
    pub(crate) buses: [Heard; MAX_BUSES as usize],
    /// Its first beat, and its last one, on whatever bus.
    pub(crate) first_k: u64,
    pub(crate) k: u64,
    pub(crate) open: bool,
    /// It was open once.
    pub(crate) was_open: bool,
    /// What it serves; 0 if it does not say.
    pub(crate) apps: u64,
    /// It hears somebody whom this node does not.
    pub(crate) strangers: bool,
    pub(crate) heard_in_tick: bool,
    /// Beats missed in a row.
    pub(crate) silent: u32,
    /// Since when it knows this node (its clock): what it had forgotten before was looked at.
    pub(crate) met: Option<Micros>,
    /// The buses on which it hears this node: see [`Peer::listen`].
    pub(crate) on: u8,
    /// What it says of this node.
    pub(crate) mark: Option<Mark>,
    /// Its time in the last beat, and ours.
    pub(crate) beat_at: Micros,
    pub(crate) beat_came: Micros,
    pub(crate) telling: Telling,
    pub(crate) pull: Pull,
}

/// The last beat on one bus.
#[derive(Clone, Copy, Default)]
pub(crate) struct Heard {
    pub(crate) k: u64,
    /// When it came; none if none has come.
    pub(crate) came: Option<Micros>,
    pub(crate) ready: bool,
    pub(crate) lists_me: bool,
    pub(crate) publishes: Option<Publishes>,
    /// The last beat that said that the peer publishes here alone.
    pub(crate) alone: u64,
}

/// A node of which others say that it is alive.
#[derive(Clone, Copy)]
pub(crate) struct Stranger {
    /// When somebody said so first.
    pub(crate) first: Micros,
    /// When somebody said so last.
    pub(crate) last: Micros,
    /// It is a debt.
    pub(crate) owed: bool,
}

/// A node as an origin.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) clock: Clock,
    /// All that it published until then (its clock)…
    settled_at: Micros,
    /// …on topics told by this number of our roster is here, or known to be missing.
    settled_seq: u64,
    /// Its time in the last beat that was heard and listed this node.
    pub(crate) beat_at: Micros,
    /// When it said that it starts.
    pub(crate) hello: Option<Micros>,
    /// It has left: older beats are echoes.
    pub(crate) buried: Option<u64>,
    /// When it ended as an open peer, if it has not come back.
    pub(crate) died: Micros,
    /// How far its roster was applied when it ended last, or in which stays of it was told that its users are gone.
    pub(crate) given_up: u64,
    /// When it left, or was heard of last.
    pub(crate) touched: Micros,
}

impl Heard {
    pub(crate) fn is_fresh(&self, now: Micros) -> bool {
        self.came.is_some_and(|came| came + FRESH_US >= now)
    }

    /// It published here alone by this beat, or by the one before: of the two that come here if two adapters lead to one broker,
    /// the one that says so may still be on its way.
    pub(crate) const fn is_alone(&self, k: u64) -> bool {
        self.alone > 0 && self.alone + 1 >= k
    }
}

impl Peer {
    pub(crate) fn bus(&self, bus: BusId) -> &Heard {
        &self.buses[usize::from(bus.0)]
    }

    fn forget_bus(&mut self, bus: BusId) {
        self.buses[usize::from(bus.0)] = Heard::default();
        self.on &= !bus.bit();
    }

    /// Recomputes where it is heard, hears this node and follows all that it has to.
    pub(crate) fn listen(&mut self, now: Micros, mutual: bool) {
        let bits = self.buses.iter().zip(0..).map(|(heard, bus)| {
            let on = heard.is_fresh(now) && heard.ready && heard.lists_me;
            u8::from(on) << bus
        });
        self.on = bits.fold(0, |mask, bit| mask | bit);
        if !mutual && self.buses.iter().any(|heard| heard.is_fresh(now)) {
            self.on = u8::MAX;
        }
    }
}

impl Peers {
    /// What is known of an origin; none if there are too many.
    pub(crate) fn source(&mut self, node: NodeId, now: Micros) -> Option<&mut Source> {
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&node) {
            return None;
        }
        let source = self.sources.entry(node).or_default();
        source.touched = now;
        Some(source)
    }

    /// All that live peers have is known.
    pub(crate) fn are_whole(&self) -> bool {
        self.live.values().all(|peer| peer.pull.is_whole())
    }

    /// What was said on this bus holds no more.
    pub(crate) fn forget_bus(&mut self, bus: BusId) {
        for peer in self.live.values_mut() {
            peer.forget_bus(bus);
        }
    }

    /// The buses on which every live peer hears this node.
    pub(crate) fn heard_by_all(&self) -> u8 {
        self.live.values().fold(u8::MAX, |mask, peer| mask & peer.on)
    }

    /// Whether what these buses have confirmed reaches everybody.
    pub(crate) fn covered(&self, confirmed: u8) -> bool {
        confirmed != 0 && self.live.values().all(|peer| peer.on & confirmed != 0)
    }

    /// When an open peer ended last that has not come back.
    pub(crate) fn death_at(&self) -> Micros {
        let deaths = self.sources.values().map(|source| source.died);
        deaths.fold(self.forgotten_death, Micros::max)
    }

    /// Forgets origins that have been gone for long. Gives their names.
    pub(crate) fn forget_sources(&mut self, now: Micros) -> Vec<NodeId> {
        let gone = |(node, source): (&NodeId, &Source)| {
            let old = source.touched + KEEP_SOURCE_US < now;
            (old && !self.live.contains_key(node)).then_some(*node)
        };
        let gone: Vec<NodeId> = self.sources.iter().filter_map(gone).collect();
        for node in &gone {
            let died = self.sources.remove(node).map_or(0, |source| source.died);
            self.forgotten_death = self.forgotten_death.max(died);
        }
        gone
    }
}

impl Source {
    /// Until when nothing is missing unnoticed on a topic that was told by this number of our roster.
    pub(crate) const fn settled_for(&self, told: u64) -> Micros {
        if told <= self.settled_seq { self.settled_at } else { 0 }
    }

    /// An origin that has expired this node meanwhile begins with its roster anew: until it has it again, it knows less.
    pub(crate) fn settle(&mut self, at: Micros, seq: u64) {
        if at >= self.settled_at && seq >= self.settled_seq {
            (self.settled_at, self.settled_seq) = (at, seq);
        }
    }
}

/// Five beats and a half: some may be lost or late. What is published after that waits until the peer is heard again, or given up, which is
/// six to seven beats after its last one: before whoever published is told that nobody knows.
const FRESH_US: u64 = 5_500_000;

/// Ten times the hundred nodes that the cluster is made for.
pub(crate) const MAX_PEERS: usize = 1_000;

/// Live peers, and as many that have restarted lately.
const MAX_SOURCES: usize = 4 * MAX_PEERS;

/// What was on its way when a node left has arrived by then.
const KEEP_SOURCE_US: u64 = 600_000_000;
