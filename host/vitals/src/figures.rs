//! What is counted of one version of a plugin while it is used: calls, how long they take, and the memory of its instances.
//!
//! Nothing here takes a lock. Reading the clock costs a tenth of the shortest calls, so of many calls only some are timed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The figures of one version.
#[derive(Debug, Default)]
pub struct Figures {
    /// Calls that somebody asked for.
    pub calls: AtomicU64,
    /// Those that ended in a trap or ran out of time.
    pub traps: AtomicU64,
    /// How long the timed ones took.
    pub times: Times,
    /// Instances that there are, and what their memories hold together.
    pub instances: AtomicU64,
    pub memory_bytes: AtomicU64,
}

impl Figures {
    /// Counts a call. When it began, if it is one of those that are timed.
    #[inline]
    pub fn begin(&self) -> Option<Instant> {
        let number = self.calls.fetch_add(1, Relaxed);
        (number < ALL_TIMED || number.is_multiple_of(TIMED)).then(Instant::now)
    }

    /// A call that began then has ended, well or not.
    #[inline]
    pub fn end(&self, begun: Option<Instant>) {
        if let Some(begun) = begun {
            self.times.add(begun.elapsed());
        }
    }
}

/// How many calls took how long, in steps of a quarter of a power of two.
pub struct Times {
    steps: [AtomicU64; STEPS],
    sum_ns: AtomicU64,
}

/// Times as they were at one moment.
#[derive(Clone, Debug)]
pub struct CallTimes {
    steps: Vec<u64>,
    sum_ns: u64,
}

impl Times {
    #[cold]
    fn add(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.steps[step(ns)].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    pub fn now(&self) -> CallTimes {
        CallTimes {
            steps: self.steps.iter().map(|step| step.load(Relaxed)).collect(),
            sum_ns: self.sum_ns.load(Relaxed),
        }
    }
}

impl CallTimes {
    /// How many calls were timed.
    pub fn count(&self) -> u64 {
        self.steps.iter().sum()
    }

    /// What they took together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns)
    }

    /// How many of them took less than this power of two, in nanoseconds.
    pub fn below(&self, power: u32) -> u64 {
        self.steps[..step(1 << power)].iter().sum()
    }

    /// What so many of a thousand calls took at most, to a quarter of a power of two upwards; none if no call was timed.
    pub fn within(&self, of_thousand: u64) -> Option<Duration> {
        let wanted = (self.count() * of_thousand).div_ceil(1_000);
        let mut seen = 0;
        let found = self.steps.iter().position(|count| {
            seen += count;
            seen >= wanted && seen > 0
        });
        found.map(|index| Duration::from_nanos(top(index)))
    }
}

/// Where a time belongs: the three highest of its bits say so.
fn step(ns: u64) -> usize {
    let ns = ns.clamp(4, (8 << LONGEST_POWER) - 1);
    let power = ns.ilog2() - 2;
    (power * 4 + (ns >> power) as u32 - 4) as usize
}

/// The first time that no longer belongs there.
fn top(step: usize) -> u64 {
    (5 + step as u64 % 4) << (step / 4)
}

impl Default for Times {
    fn default() -> Self {
        Self {
            steps: [const { AtomicU64::new(0) }; STEPS],
            sum_ns: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now().fmt(f)
    }
}

/// Calls that are all timed, for plugins that are seldom asked; afterwards one of so many is.
const ALL_TIMED: u64 = 256;
const TIMED: u64 = 16;

/// Times from `4 << 34` ns, 69 s, on are not told apart: no deadline is longer.
const LONGEST_POWER: u32 = 34;
const STEPS: usize = (LONGEST_POWER as usize + 1) * 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_ends_where_the_next_begins() {
        for index in 0..STEPS - 1 {
            assert_eq!((step(top(index) - 1), step(top(index))), (index, index + 1));
        }
        assert_eq!((step(0), step(4), step(u64::MAX)), (0, 0, STEPS - 1));
    }

    #[test]
    fn what_most_calls_took_is_known_to_a_quarter() {
        let times = Times::default();
        assert_eq!(times.now().within(500), None);
        for us in 1..=1_000 {
            times.add(Duration::from_micros(us));
        }
        let now = times.now();
        assert_eq!((now.count(), now.sum()), (1_000, Duration::from_micros(500_500)));
        for (of_thousand, exact) in [(500, 500_u64), (990, 990), (1_000, 1_000)] {
            let told = now.within(of_thousand).expect("calls were timed").as_nanos() as u64;
            assert!((exact * 1_000..=exact * 1_250).contains(&told), "{of_thousand}: {told}");
        }
        // 2^19 ns is 524 µs.
        assert_eq!(now.below(19), 524);
    }

    #[test]
    fn the_first_calls_are_all_timed_and_then_some() {
        let figures = Figures::default();
        let timed = (0..ALL_TIMED + 16 * TIMED).filter(|_| figures.begin().is_some());
        assert_eq!(timed.count() as u64, ALL_TIMED + 16);
    }
}
