//! What this node tells of its own part of the roster: numbered transitions, gathered, and snapshots for whoever asks.

use std::collections::{BTreeMap, VecDeque};

use jackfield_envelope::{AskSnapshot, Message, Micros, Move, Moves, NodeId, Snapshot, Topic};

use crate::cluster::Cluster;
use crate::roster::Roster;
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
    /// Steps with their numbers.
    chunks: Vec<Vec<(Move, u64)>>,
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
        self.apply_move(me, &step, seq);
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
        for moves in chunks(moves, self.me.bounds.chunk_bytes, size) {
            let count = moves.len() as u64;
            self.tell_all(Message::Moves(Moves { first, moves }));
            first += count;
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
        let steps = snapshot.chunks.get(chunk as usize).cloned().unwrap_or_default();
        let (moves, numbers) = steps.into_iter().unzip();
        let snapshot = Snapshot {
            id: snapshot.id,
            seq: snapshot.seq,
            chunk,
            of: u32::try_from(snapshot.chunks.len()).unwrap_or(u32::MAX),
            moves,
            numbers,
        };
        self.tell_node(from, Message::Snapshot(snapshot));
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
        let announced = self.ledger.entries().into_iter();
        steps.extend(announced.map(|it| (Move::Announced(it), 0)));
        let frozen = Frozen {
            id: self.me.stamp(),
            seq: self.roster.seq(),
            chunks: chunks(steps, self.me.bounds.chunk_bytes, |(step, _)| size(step)),
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
pub(crate) fn chunks<T>(steps: Vec<T>, chunk: usize, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
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
pub(crate) const GATHER_US: u64 = 100_000;

/// Then they go out without waiting.
const MAX_UNSENT: usize = 1_000;

/// Older ones are made anew for whoever begins.
const FROZEN_US: u64 = 1_000_000;

/// One a second at most: so long, in seconds, a collector has at least.
const MAX_FROZEN: usize = 4;
