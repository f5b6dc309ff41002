//! How long something took, many times over.

use std::time::Duration;

/// Sorted, and not empty.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// Milliseconds at so many thousandths.
    pub(crate) fn ms(&self, share: usize) -> f64 {
        self.0[(self.0.len() - 1) * share / 1_000].as_secs_f64() * 1e3
    }
}
