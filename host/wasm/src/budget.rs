//! How much of its CPU time a running call has used: judged at the ticks of the epoch that find it running.
//!
//! CPU time, not wall time: on a busy machine a harmless guest may be off the processor for longer than its whole budget. The
//! thread's CPU clock is a system call, so it is read only when a tick finds a call running: one in a thousand.

use std::time::Duration;

use jackfield_vitals::Failure;

use crate::engine::TICK;

/// The account of one call.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// The thread's CPU time when the call was first seen by the ticker.
    seen_at: Option<Duration>,
    /// Whether its time has been counted anew.
    looked_anew: bool,
}

impl Budget {
    /// Whether the call has used up what it may, at a tick. `now` is the thread's CPU time.
    pub(crate) fn is_spent(&mut self, now: Duration, most: Duration) -> bool {
        // At the tick that is nearest to the limit.
        now.saturating_sub(*self.seen_at.get_or_insert(now)) + TICK / 2 >= most
    }

    /// How the call, which has just failed, is counted: whether others on the same thread have noticed how long it took. What it did
    /// before it was first seen, up to a tick, is not known.
    pub(crate) fn failure(&self, now: Duration) -> Failure {
        match self.seen_at {
            Some(seen) if now.saturating_sub(seen) >= NOTICED => Failure::Stall,
            _ => Failure::Trap,
        }
    }

    /// The host has done something in the midst of the call that takes long by its nature, which is not the guest's doing: its time is
    /// counted from the next tick on. Once a call, or it could go on for ever.
    pub(crate) fn look_anew(&mut self) {
        if !self.looked_anew {
            self.looked_anew = true;
            self.seen_at = None;
        }
    }
}

/// More than a trap takes that comes at once, on a busy machine too (20 to 130 us); no more, because several such calls may come in one
/// turn of an event loop.
const NOTICED: Duration = Duration::from_micros(200);

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_millis(2);

    fn spent(budget: &mut Budget, at_us: u64) -> bool {
        budget.is_spent(Duration::from_micros(at_us), MOST)
    }

    #[test]
    fn counts_from_the_first_tick_to_the_one_nearest_to_the_limit() {
        let mut budget = Budget::default();
        assert_eq!(
            [700, 1_700, 2_700].map(|at| spent(&mut budget, at)),
            [false, false, true]
        );
    }

    #[test]
    fn does_not_count_what_the_host_did_for_it() {
        let mut budget = Budget::default();
        assert!(!spent(&mut budget, 700));
        // A body of some megabytes was hashed.
        budget.look_anew();
        assert_eq!([30_700, 31_700].map(|at| spent(&mut budget, at)), [false, false]);
        assert!(spent(&mut budget, 32_700));
    }

    #[test]
    fn others_notice_what_goes_on_once_it_is_seen() {
        let failure = |budget: &Budget, at_us| budget.failure(Duration::from_micros(at_us));
        let mut budget = Budget::default();
        assert_eq!(failure(&budget, 900), Failure::Trap, "between two ticks");
        assert!(!spent(&mut budget, 900));
        assert_eq!(failure(&budget, 1_099), Failure::Trap);
        assert_eq!(failure(&budget, 1_100), Failure::Stall);
    }

    #[test]
    fn is_not_put_off_for_ever() {
        let mut budget = Budget::default();
        let mut left = false;
        for tick in 1..10 {
            left |= spent(&mut budget, tick * 1_000);
            budget.look_anew();
        }
        assert!(left);
    }
}
