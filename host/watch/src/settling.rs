//! Waiting until files have changed and have not gone on changing.

use std::time::{Duration, Instant};

use crate::print::Print;

/// Files that are waited for until they have changed and have not gone on changing.
pub struct Settling {
    /// What they were like at the last look, and since when they have been.
    seen: Print,
    since: Instant,
    /// What they were like when they were read.
    done: Print,
}

/// What a look at files came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// They are as they were when they were read.
    Same,
    /// They may still be changing.
    Unsettled,
    /// They are to be read.
    Changed,
}

impl Settling {
    /// Files that were like this when they were read.
    pub fn new(done: Print) -> Self {
        Self {
            seen: done.clone(),
            since: Instant::now(),
            done,
        }
    }

    /// Looks at them. Whoever is told of a change is told of it once.
    pub fn look(&mut self, now: Print) -> Look {
        if now != self.seen {
            (self.seen, self.since) = (now, Instant::now());
        }
        if self.seen == self.done {
            return Look::Same;
        }
        if self.since.elapsed() < SETTLED {
            return Look::Unsettled;
        }
        self.done = self.seen.clone();
        Look::Changed
    }

    /// They are read now.
    pub fn read(&mut self, now: Print) {
        self.done = now;
    }
}

/// Files that have not changed for so long are read: longer than a copy pauses.
const SETTLED: Duration = Duration::from_millis(250);

/// The next look while something is going on.
pub const SOON: Duration = Duration::from_millis(50);

/// The next look when nothing is said to have happened: a few system calls.
pub const POLL: Duration = Duration::from_secs(2);
