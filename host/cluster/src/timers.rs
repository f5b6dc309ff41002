//! What is to be looked at at some time. A timer is not taken back: whoever is woken looks whether it is still due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jackfield_envelope::{Micros, NodeId, Topic};

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Transitions wait to be sent.
    Flush,
    /// Others are to hear what an app's server was told.
    Say,
    /// Something of this origin is missing.
    Gap(Topic, NodeId),
    /// The topic has nobody.
    Linger(Topic),
}

#[derive(Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(Micros, Timer)>>);

impl Timers {
    pub(crate) fn set(&mut self, at: Micros, timer: Timer) {
        self.0.push(Reverse((at, timer)));
    }

    pub(crate) fn next(&self) -> Micros {
        self.0.peek().map_or(Micros::MAX, |Reverse((at, _))| *at)
    }

    pub(crate) fn due(&mut self, now: Micros) -> Option<Timer> {
        if self.next() > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, timer))| timer)
    }
}
