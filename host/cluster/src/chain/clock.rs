//! How far another node's clock is ahead of ours, from below.
//!
//! A message is sent before it is received, so `at − now` at its receipt never exceeds the true difference. The largest
//! one of the last minute is used, minus what the clocks may have drifted apart since.

use jackfield_envelope::Micros;

/// The clock of one origin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// Since when `current` is collected.
    since: Micros,
    current: Option<i64>,
    previous: Option<i64>,
}

impl Clock {
    /// A message with the origin's time `at` has come.
    pub(crate) fn sample(&mut self, at: Micros, now: Micros) {
        if now.saturating_sub(self.since) > WINDOW_US {
            // After a long silence both halves are old.
            let stale = now - self.since > 2 * WINDOW_US;
            self.previous = if stale { None } else { self.current };
            (self.current, self.since) = (None, now);
        }
        let ahead = signed(at) - signed(now);
        self.current = Some(self.current.map_or(ahead, |known| known.max(ahead)));
    }

    /// The origin's clock when ours stood at `then`, or somewhat less. None as long as nothing has come.
    pub(crate) fn at_least(&self, then: Micros, now: Micros) -> Option<Micros> {
        let ahead = self.current.max(self.previous)?;
        let drift = signed((now - then + 2 * WINDOW_US) / DRIFT_DIVISOR);
        Some(u64::try_from(signed(then) + ahead - drift).unwrap_or(0))
    }
}

/// A clock of microseconds reaches 2^63 after 290 thousand years; what a hostile message says is cut.
fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// Two halves of the last minute.
const WINDOW_US: u64 = 30_000_000;

/// Two clocks, each off by 50 millionths, part by 100 millionths.
const DRIFT_DIVISOR: u64 = 10_000;
