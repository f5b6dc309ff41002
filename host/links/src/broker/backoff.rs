//! Pauses between attempts to connect.

use std::time::Duration;

/// Each pause is twice the one before, within limits, less a random part so that instances do not return together.
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self { next: FIRST_PAUSE }
    }

    /// Between half of the pause and all of it.
    pub(super) fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST_PAUSE);
        whole / 2 + whole.mul_f64(random_fraction() / 2.0)
    }
}

fn random_fraction() -> f64 {
    // Without randomness the pauses are merely whole ones.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    f64::from(random) / f64::from(u32::MAX)
}

/// Long enough not to spin, short enough not to be noticed when a connection was merely cut.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A broker that is back is found again within a second; a hundred instances knock a hundred times a second meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let mut backoff = Backoff::new();
        let pauses: Vec<Duration> = (0..20).map(|_| backoff.pause()).collect();
        assert!(pauses[0] >= FIRST_PAUSE / 2 && pauses[0] <= FIRST_PAUSE);
        assert!(
            pauses[10..]
                .iter()
                .all(|pause| (LONGEST_PAUSE / 2..=LONGEST_PAUSE).contains(pause))
        );
        assert!(pauses[10..].windows(2).any(|pair| pair[0] != pair[1]));
    }
}
