//! How many connections there are: those of one app, or those of the whole instance.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many places are taken. How many there may be is said by whoever takes one, since that may change meanwhile.
#[derive(Debug, Default)]
pub struct Seats {
    taken: AtomicU64,
}

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

impl Seats {
    /// Takes one of so many; none when there is none left. Without a limit there always is.
    pub fn take(self: &Arc<Self>, limit: Option<NonZeroU64>) -> Option<Seat> {
        let limit = limit.map_or(u64::MAX, NonZeroU64::get);
        let more = |taken: u64| (taken < limit).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Seat(Arc::clone(self)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_that_is_given_back_can_be_taken() {
        let (seats, two) = (Arc::<Seats>::default(), NonZeroU64::new(2));
        let (first, second) = (seats.take(two), seats.take(two));
        assert!(first.is_some() && second.is_some() && seats.take(two).is_none());
        drop(first);
        let third = seats.take(two);
        assert!(third.is_some() && seats.take(two).is_none());
    }

    #[test]
    fn a_limit_that_is_changed_holds_for_whoever_comes() {
        let (seats, two) = (Arc::<Seats>::default(), NonZeroU64::new(2));
        let taken = [seats.take(two), seats.take(two)];
        assert!(taken.iter().all(Option::is_some) && seats.take(NonZeroU64::new(1)).is_none());
        assert!(seats.take(NonZeroU64::new(3)).is_some());
    }

    #[test]
    fn without_a_limit_there_is_always_a_seat() {
        let seats = Arc::<Seats>::default();
        let taken: Vec<Option<Seat>> = (0..100).map(|_| seats.take(None)).collect();
        assert!(taken.iter().all(Option::is_some));
    }
}
