//! How long a webhook is tried again, and how often.
//!
//! Pauses double from a second to a minute, for five minutes in all; the last try is made when they are over.

use std::time::Duration;

use tokio::time::Instant;

/// What time it is, and time that passes.
pub(super) trait Clock {
    /// Now.
    fn now(&self) -> Instant;
    /// Comes back after so long.
    fn pause(&self, pause: Duration) -> impl Future<Output = ()> + Send;
}

/// The clock of this machine.
pub(super) struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn pause(&self, pause: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(pause)
    }
}

/// How long to go on, and how long to pause before the next try.
pub(super) struct Patience<'a, C> {
    clock: &'a C,
    ends: Instant,
    pause: Duration,
}

impl<'a, C: Clock> Patience<'a, C> {
    pub(super) fn new(clock: &'a C) -> Self {
        Self {
            clock,
            ends: clock.now() + GIVE_UP,
            pause: FIRST_PAUSE,
        }
    }

    /// Pauses; false when it is time to give up instead.
    pub(super) async fn wait(&mut self) -> bool {
        let left = self.ends.saturating_duration_since(self.clock.now());
        if left.is_zero() {
            return false;
        }
        self.clock.pause(self.pause.min(left)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// Pusher repeats webhooks for five minutes.
pub(super) const GIVE_UP: Duration = Duration::from_secs(300);
/// The pause after the first failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
