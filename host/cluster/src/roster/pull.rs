//! How parts of the roster travel: numbered transitions, and snapshots for whoever has missed some.

use std::collections::{BTreeMap, VecDeque};

use jackfield_envelope::{AskSnapshot, Message, Micros, Move, Moves, NodeId, Snapshot, Topic};

use crate::cluster::Cluster;
use crate::event::Effect;
use crate::roster::{Change, Roster};
use crate::rules::Rule;
use crate::timers::Timer;

/// This node's own transitions.
#[derive(Default)]
pub(crate) struct Outbox {
    /// The number of the last one.
    seq: u64,
    unsent: Vec<Move>,
    /// Where among them the count of a topic stands that a later one replaces.
    counts: BTreeMap<Topic, usize>,
    sent_at: Micros,
    /// Snapshots that somebody is collecting, the newest last.
    frozen: VecDeque<Frozen>,
}

impl Outbox {
    /// A rush of subscribers makes one count: nobody has seen those that still wait. Comings and goings of the topic stay
    /// where they are among its counts.
    fn add(&mut self, step: Move) {
        match &step {
            Move::Counted(topic, count) => {
                let waiting = self.counts.get(topic).and_then(|at| self.unsent.get_mut(*at));
                if let Some(Move::Counted(_, waiting)) = waiting {
                    *waiting = *count;
                    return;
                }
                self.counts.insert(topic.clone(), self.unsent.len());
            }
            Move::Occupied(topic) | Move::Vacated(topic) => {
                self.counts.remove(topic);
            }
            Move::Joined(..) | Move::Left(..) | Move::Announced(_) => {}
        }
        self.seq += 1;
        self.unsent.push(step);
    }
}

struct Frozen {
    id: u64,
    seq: u64,
    chunks: Vec<Vec<Move>>,
}

/// How far a peer's part is known here.
#[derive(Default)]
pub(crate) struct Pull {
    pub(crate) applied: u64,
    /// A snapshot was complete once.
    whole: bool,
    /// The number in its last beat.
    pub(crate) told: u64,
    state: Asking,
    /// What came while a snapshot was collected.
    ahead: Vec<Moves>,
}

#[derive(Default)]
enum Asking {
    #[default]
    Idle,
    Wanted,
    Active {
        id: u64,
        steps: Vec<Move>,
        next: u32,
        asked: Micros,
    },
}

impl Pull {
    /// Everything that the peer has is known, or will be in a moment.
    pub(crate) const fn is_whole(&self) -> bool {
        self.whole
    }

    const fn is_asking(&self) -> bool {
        !matches!(self.state, Asking::Idle)
    }

    fn want(&mut self) {
        if !self.is_asking() {
            self.state = Asking::Wanted;
        }
    }
}

impl Roster {
    /// The number of the last transition of this node.
    pub(crate) const fn seq(&self) -> u64 {
        self.outbox.seq
    }
}

impl Cluster {
    /// Carries out a transition of this node and tells all. Gives its number.
    pub(crate) fn tell_move(&mut self, step: Move) -> u64 {
        let me = self.me.id;
        let due = self.roster.outbox.sent_at + GATHER_US;
        // Carrying it out may tell another one: the timer is set for both.
        if self.roster.outbox.unsent.is_empty() && due > self.me.now {
            self.timers.set(due, Timer::Flush);
        }
        self.roster.outbox.add(step.clone());
        let seq = self.roster.seq();
        self.apply_move(me, &step);
        if due <= self.me.now || self.roster.outbox.unsent.len() >= MAX_UNSENT {
            self.flush_moves();
        }
        seq
    }

    pub(crate) fn flush_moves(&mut self) {
        let moves = std::mem::take(&mut self.roster.outbox.unsent);
        self.roster.outbox.counts.clear();
        self.roster.outbox.sent_at = self.me.now;
        // Nobody knows this node yet; whoever meets it asks for all it has.
        if moves.is_empty() || !self.is_heard_of() {
            return;
        }
        let mut first = self.roster.seq() + 1 - moves.len() as u64;
        for moves in chunks(moves, self.me.bounds.chunk_bytes) {
            let count = moves.len() as u64;
            self.tell_all(Message::Moves(Moves { first, moves }));
            first += count;
        }
    }

    pub(crate) fn on_moves(&mut self, from: NodeId, moves: Moves) {
        let Some(peer) = self.peers.live.get_mut(&from) else {
            return;
        };
        if peer.pull.is_asking() {
            if peer.pull.ahead.len() < MAX_AHEAD {
                peer.pull.ahead.push(moves);
            }
            return;
        }
        self.apply_moves(from, moves);
        self.pull_snapshots();
    }

    /// What a peer's beat says of its roster.
    pub(crate) fn compare_roster(&mut self, from: NodeId, seq: u64, digest: u64) {
        let known = self.roster.digest_of(from);
        let Some(peer) = self.peers.live.get_mut(&from) else {
            return;
        };
        let pull = &mut peer.pull;
        // Transitions may be on their way: what the beat before this one knew of is late.
        let behind = pull.applied < pull.told;
        let differs = pull.applied == seq && known != digest;
        if !pull.whole || ((behind || differs) && self.me.rules.hold(Rule::RosterBeat)) {
            pull.want();
        }
        pull.told = pull.told.max(seq);
        self.pull_snapshots();
    }

    /// Asks for snapshots that are wanted, a few at a time, and again for pieces that do not come.
    pub(crate) fn pull_snapshots(&mut self) {
        let now = self.me.now;
        let mut asks = Vec::new();
        let active = |pull: &Pull| matches!(pull.state, Asking::Active { .. });
        let mut count = self.peers.live.values().filter(|peer| active(&peer.pull)).count();
        for (node, peer) in &mut self.peers.live {
            match &mut peer.pull.state {
                Asking::Active { id, next, asked, .. } if *asked + ASK_AGAIN_US <= now => {
                    *asked = now;
                    asks.push((*node, *id, *next));
                }
                Asking::Wanted if count < MAX_PULLS => {
                    count += 1;
                    asks.push((*node, 0, 0));
                    peer.pull.state = Asking::Active {
                        id: 0,
                        steps: Vec::new(),
                        next: 0,
                        asked: now,
                    };
                }
                Asking::Idle | Asking::Wanted | Asking::Active { .. } => {}
            }
        }
        for (node, id, chunk) in asks {
            self.stats.snapshots += u64::from(chunk == 0);
            self.tell_node(node, Message::AskSnapshot(AskSnapshot { id, chunk }));
        }
    }

    pub(crate) fn on_ask_snapshot(&mut self, from: NodeId, ask: AskSnapshot) {
        let mut frozen = self.roster.outbox.frozen.iter();
        let found = frozen.find(|frozen| frozen.id == ask.id && (ask.chunk as usize) < frozen.chunks.len());
        let (snapshot, chunk) = match found {
            Some(frozen) => (frozen, ask.chunk),
            // It asks for one that is not kept any more: it begins anew.
            None => (self.freeze(), 0),
        };
        let snapshot = Snapshot {
            id: snapshot.id,
            seq: snapshot.seq,
            chunk,
            of: u32::try_from(snapshot.chunks.len()).unwrap_or(u32::MAX),
            moves: snapshot.chunks.get(chunk as usize).cloned().unwrap_or_default(),
        };
        self.tell_node(from, Message::Snapshot(snapshot));
    }

    pub(crate) fn on_snapshot(&mut self, from: NodeId, snapshot: Snapshot) {
        let now = self.me.now;
        let Some(peer) = self.peers.live.get_mut(&from) else {
            return;
        };
        let pull = &mut peer.pull;
        let Asking::Active { id, steps, next, asked } = &mut pull.state else {
            return;
        };
        if snapshot.chunk == 0 && snapshot.id != *id {
            // Also what is sent instead of a piece that is not kept any more.
            steps.clear();
            (*id, *next) = (snapshot.id, 0);
        }
        if snapshot.id != *id || snapshot.chunk != *next {
            return;
        }
        if snapshot.seq < pull.applied {
            // It is older than what is known: in a moment there is a newer one.
            *id = 0;
            return;
        }
        steps.extend(snapshot.moves);
        *next += 1;
        *asked = now;
        if *next < snapshot.of {
            let ask = AskSnapshot {
                id: snapshot.id,
                chunk: *next,
            };
            return self.tell_node(from, Message::AskSnapshot(ask));
        }
        let steps = std::mem::take(steps);
        let ahead = std::mem::take(&mut pull.ahead);
        (pull.state, pull.whole, pull.applied) = (Asking::Idle, true, snapshot.seq);
        self.apply_snapshot(from, &steps);
        for moves in ahead {
            self.on_moves(from, moves);
        }
        self.pull_snapshots();
    }

    /// What a transition meant for the rest of this node.
    pub(crate) fn on_change(&mut self, node: NodeId, change: Change) {
        match change {
            Change::Came(topic) => {
                self.tell_late(node, &topic);
                self.compare_ledger(&topic);
            }
            Change::Went(topic) => {
                if let Some(peer) = self.peers.live.get_mut(&node) {
                    peer.telling.late.remove(&topic);
                }
                self.compare_ledger(&topic);
            }
            Change::Added(topic, user, info) => self.effects.push(Effect::MemberAdded(topic, user, info)),
            Change::Removed(topic, user) => self.effects.push(Effect::MemberRemoved(topic, user)),
            Change::Counted(topic) => {
                let count = self.roster.count(&topic);
                self.effects.push(Effect::Count(topic, count));
            }
        }
    }

    fn apply_move(&mut self, node: NodeId, step: &Move) {
        if let Move::Announced(it) = step {
            return self.on_announced(node, it);
        }
        for change in self.roster.apply(node, step) {
            self.on_change(node, change);
        }
    }

    fn apply_snapshot(&mut self, node: NodeId, steps: &[Move]) {
        for change in self.roster.replace(node, steps) {
            self.on_change(node, change);
        }
        for step in steps {
            if let Move::Announced(it) = step {
                self.on_announced(node, it);
            }
        }
    }

    /// Transitions count in their order alone; a hole asks for a snapshot.
    fn apply_moves(&mut self, from: NodeId, moves: Moves) {
        for (seq, step) in (moves.first..).zip(&moves.moves) {
            let Some(peer) = self.peers.live.get_mut(&from) else {
                return;
            };
            let in_order = peer.pull.whole && seq <= peer.pull.applied + 1;
            if !in_order && self.me.rules.hold(Rule::RosterOrder) {
                peer.pull.want();
                // The snapshot may be older than what is behind the hole.
                return peer.pull.ahead.push(moves);
            }
            if seq > peer.pull.applied {
                peer.pull.applied = seq;
                self.apply_move(from, step);
            }
        }
    }

    /// Those that collect at the same time, and both copies of a question that came over two buses, get the same one.
    fn freeze(&mut self) -> &Frozen {
        let newest = self.roster.outbox.frozen.len().checked_sub(1);
        if let Some(at) = newest.filter(|at| self.roster.outbox.frozen[*at].id + FROZEN_US > self.me.now) {
            return &self.roster.outbox.frozen[at];
        }
        // What has a number does not change any more.
        self.flush_moves();
        let mut steps = self.roster.steps_of(self.me.id);
        steps.extend(self.ledger.entries().into_iter().map(Move::Announced));
        let frozen = Frozen {
            id: self.me.stamp(),
            seq: self.roster.seq(),
            chunks: chunks(steps, self.me.bounds.chunk_bytes),
        };
        let kept = &mut self.roster.outbox.frozen;
        if kept.len() >= MAX_FROZEN {
            kept.pop_front();
        }
        kept.push_back(frozen);
        &kept[kept.len() - 1]
    }
}

/// At least one, which may be empty.
fn chunks(steps: Vec<Move>, chunk: usize) -> Vec<Vec<Move>> {
    let mut chunks = vec![Vec::new()];
    let mut bytes = 0;
    for step in steps {
        let size = size(&step);
        if bytes > 0 && bytes + size > chunk {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(last) = chunks.last_mut() {
            last.push(step);
        }
    }
    chunks
}

fn size(step: &Move) -> usize {
    let (topic, rest) = match step {
        Move::Occupied(topic) | Move::Vacated(topic) | Move::Counted(topic, _) => (topic, 0),
        Move::Joined(topic, user, info) => (topic, user.len() + info.len()),
        Move::Left(topic, user) => (topic, user.len()),
        Move::Announced(it) => (&it.topic, 0),
    };
    topic.as_str().len() + rest + 24
}

/// The first transition goes out at once, those that follow it together: a broker delivers each to everybody.
const GATHER_US: u64 = 100_000;

/// Then they go out without waiting.
const MAX_UNSENT: usize = 1_000;

/// Snapshots collected at the same time: a broker cuts off who has too much queued.
const MAX_PULLS: usize = 4;

/// A piece of 64 KiB has come by then, or was lost.
const ASK_AGAIN_US: u64 = 1_000_000;

/// Messages kept while a snapshot is collected; whoever misses some asks for another one.
const MAX_AHEAD: usize = 1_024;

/// Older ones are made anew for whoever begins.
const FROZEN_US: u64 = 1_000_000;

/// One a second at most: so long, in seconds, a collector has at least.
const MAX_FROZEN: usize = 4;
