//! What peers tell of their parts of the roster: transitions in their order, and a snapshot where some were missed.

use jackfield_envelope::{AskSnapshot, Message, Micros, Move, Moves, NodeId, Snapshot, User};

use crate::cluster::Cluster;
use crate::event::Effect;
use crate::roster::Change;
use crate::rules::Rule;

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
        /// With their numbers.
        steps: Vec<(Move, u64)>,
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

impl Cluster {
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
        // Of versions without numbers: nothing that happened later has this one.
        let numbers = snapshot.numbers.into_iter().chain(std::iter::repeat(snapshot.seq));
        steps.extend(snapshot.moves.into_iter().zip(numbers));
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
        (pull.state, pull.applied) = (Asking::Idle, snapshot.seq);
        self.apply_snapshot(from, &steps);
        if let Some(peer) = self.peers.live.get_mut(&from) {
            peer.pull.whole = true;
        }
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
            Change::Added(topic, user, info, stay) => {
                let added = Effect::MemberAdded(topic.clone(), User::clone(&user), info);
                self.effects.push(added);
                if let Some(stay) = stay {
                    self.note_came(topic, user, stay);
                }
            }
            Change::Removed(topic, user, stay) => {
                let removed = Effect::MemberRemoved(topic.clone(), User::clone(&user));
                self.effects.push(removed);
                if let Some(stay) = stay {
                    self.note_went(topic, user, stay);
                }
            }
            Change::Counted(topic) => {
                let count = self.roster.count(&topic);
                self.effects.push(Effect::Count(topic, count));
            }
        }
    }

    pub(crate) fn apply_move(&mut self, node: NodeId, step: &Move, number: u64) {
        if let Move::Announced(it) = step {
            return self.on_announced(node, it);
        }
        for change in self.roster.apply(node, step, number) {
            self.on_change(node, change);
        }
    }

    fn apply_snapshot(&mut self, node: NodeId, steps: &[(Move, u64)]) {
        for change in self.roster.replace(node, steps) {
            self.on_change(node, change);
        }
        for (step, _) in steps {
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
                self.apply_move(from, step, seq);
            }
        }
    }
}

/// Snapshots collected at the same time: a broker cuts off who has too much queued.
const MAX_PULLS: usize = 4;

/// A piece of 64 KiB has come by then, or was lost.
const ASK_AGAIN_US: u64 = 1_000_000;

/// Messages kept while a snapshot is collected; whoever misses some asks for another one.
const MAX_AHEAD: usize = 1_024;
