//! What may happen in a run.

use super::random::Random;
use super::world::{MS, SECOND};
use crate::cluster::Bounds;

#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) nodes: usize,
    /// Of these, so many start late.
    pub(super) joiners: usize,
    pub(super) buses: usize,
    /// The longest way from a node to a broker, or back.
    pub(super) delay: u64,
    /// How much later than that a broker confirms.
    pub(super) late: u64,
    /// How much later than confirmed a follow takes effect.
    pub(super) interest_lag: u64,
    /// Per thousand messages and receivers.
    pub(super) loss: u64,
    pub(super) twice: u64,
    pub(super) faults: usize,
    /// How long a fault lasts, at most.
    pub(super) longest: u64,
    pub(super) kinds: &'static [Kind],
    /// Time between publishes, at most.
    pub(super) pause: u64,
    /// Time between comings or goings of sockets, at most.
    pub(super) churn: u64,
    pub(super) active: u64,
    pub(super) calm: u64,
    pub(super) bounds: Bounds,
    /// Of the nodes, so many have the name of another one.
    pub(super) twins: usize,
    /// Members of presence channels come and go as well.
    pub(super) members: bool,
    pub(super) swap: Swap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Cut,
    Outage,
    Crash,
    Suspend,
    Leave,
    Lost,
}

/// How nodes come from bus 0 to bus 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swap {
    No,
    /// All within a second.
    Together,
    /// Over ten seconds.
    Skewed,
    /// One node's new bus is another broker.
    Wrong,
    /// Over ten seconds; the new bus is another link to the same broker, as after a change of a password.
    Same,
}

const ALL: &[Kind] = &[
    Kind::Cut,
    Kind::Outage,
    Kind::Crash,
    Kind::Suspend,
    Kind::Leave,
    Kind::Lost,
];

/// The profile of this name.
pub(super) fn named(name: &str) -> Profile {
    quiet(name).or_else(|| troubled(name)).expect("a profile of this name")
}

/// All is well; nobody is closed and nothing is refused.
fn steady() -> Profile {
    Profile {
        nodes: 3,
        joiners: 0,
        buses: 1,
        delay: 5 * MS,
        late: 20 * MS,
        interest_lag: 0,
        loss: 0,
        twice: 0,
        faults: 0,
        longest: 14 * SECOND,
        kinds: &[],
        pause: 80 * MS,
        churn: 200 * MS,
        active: 30 * SECOND,
        calm: 15 * SECOND,
        bounds: Bounds {
            ring_bytes: 1 << 20,
            chunk_bytes: 64 << 10,
            held: 256,
        },
        twins: 0,
        members: true,
        swap: Swap::No,
    }
}

/// Links, brokers and processes fail.
fn faulty() -> Profile {
    Profile {
        active: 40 * SECOND,
        calm: 45 * SECOND,
        faults: 4,
        kinds: ALL,
        ..steady()
    }
}

/// Nothing but the network's own ways.
fn quiet(name: &str) -> Option<Profile> {
    Some(match name {
        "steady" => steady(),
        "lag" => Profile {
            delay: 60 * MS,
            late: 300 * MS,
            interest_lag: 400 * MS,
            pause: 200 * MS,
            ..steady()
        },
        "loss" => Profile {
            loss: 30,
            twice: 20,
            calm: 30 * SECOND,
            ..steady()
        },
        "small" => Profile {
            loss: 30,
            bounds: Bounds {
                ring_bytes: 4_000,
                ..steady().bounds
            },
            calm: 30 * SECOND,
            pause: 30 * MS,
            ..steady()
        },
        "forget" => Profile {
            loss: 10,
            pause: 12 * SECOND,
            churn: 8 * SECOND,
            active: 240 * SECOND,
            calm: 20 * SECOND,
            ..steady()
        },
        "swap" => Profile {
            buses: 2,
            delay: 40 * MS,
            swap: Swap::Together,
            ..steady()
        },
        "skew" => Profile {
            buses: 2,
            delay: 120 * MS,
            late: 100 * MS,
            swap: Swap::Skewed,
            active: 45 * SECOND,
            ..steady()
        },
        "same" => Profile {
            buses: 2,
            delay: 120 * MS,
            swap: Swap::Same,
            active: 45 * SECOND,
            ..steady()
        },
        "wrong" => Profile {
            buses: 3,
            swap: Swap::Wrong,
            ..steady()
        },
        _ => return None,
    })
}

fn troubled(name: &str) -> Option<Profile> {
    Some(match name {
        "apart" => Profile {
            kinds: &[Kind::Cut],
            faults: 2,
            longest: 150 * SECOND,
            pause: 3 * SECOND,
            churn: 8 * SECOND,
            active: 260 * SECOND,
            ..faulty()
        },
        "faults" => faulty(),
        "split" => Profile {
            kinds: &[Kind::Cut, Kind::Crash],
            faults: 6,
            ..faulty()
        },
        "join" => Profile {
            nodes: 4,
            joiners: 2,
            kinds: &[Kind::Leave, Kind::Crash],
            ..faulty()
        },
        "twins" => Profile {
            nodes: 5,
            joiners: 2,
            twins: 2,
            kinds: &[Kind::Leave, Kind::Crash],
            ..faulty()
        },
        "roster" => Profile {
            nodes: 4,
            loss: 10,
            churn: 60 * MS,
            kinds: &[Kind::Cut, Kind::Suspend, Kind::Leave],
            ..faulty()
        },
        "swapfaults" => Profile {
            buses: 2,
            swap: Swap::Skewed,
            ..faulty()
        },
        _ => return None,
    })
}

pub(super) const NAMES: &[&str] = &[
    "steady",
    "lag",
    "loss",
    "small",
    "faults",
    "split",
    "join",
    "twins",
    "roster",
    "swap",
    "skew",
    "same",
    "wrong",
    "swapfaults",
    "forget",
    "apart",
];

impl Profile {
    /// Some runs have more nodes, lists in many pieces, and little room for what is out of order.
    pub(super) fn vary(&mut self, random: &mut Random) {
        if self.twins == 0 && self.active > 0 && random.chance(150) {
            self.nodes += 1 + random.below(3);
        }
        if random.chance(400) {
            self.bounds.chunk_bytes = 100;
        }
        if random.chance(400) {
            self.bounds.held = 2;
        }
    }

    /// Without faults nothing may be refused, and nobody closed.
    pub(super) fn is_quiet(&self) -> bool {
        self.faults == 0 && self.loss == 0
    }
}
