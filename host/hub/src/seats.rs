//! How many connections there may be at a time: those of one app, or those of the whole instance.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many places, and how many of them are taken.
#[derive(Debug)]
pub struct Seats {
    limit: Option<NonZeroU64>,
    taken: AtomicU64,
}

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

impl Seats {
    /// So many; none: no limit.
    pub fn new(limit: Option<NonZeroU64>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            taken: AtomicU64::new(0),
        })
    }

    /// Takes one; none when there is none left.
    pub fn take(self: &Arc<Self>) -> Option<Seat> {
        let limit = self.limit.map_or(u64::MAX, NonZeroU64::get);
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
        let seats = Seats::new(NonZeroU64::new(2));
        let (first, second) = (seats.take(), seats.take());
        assert!(first.is_some() && second.is_some() && seats.take().is_none());
        drop(first);
        let third = seats.take();
        assert!(third.is_some() && seats.take().is_none());
    }

    #[test]
    fn without_a_limit_there_is_always_a_seat() {
        let seats = Seats::new(None);
        let taken: Vec<Option<Seat>> = (0..100).map(|_| seats.take()).collect();
        assert!(taken.iter().all(Option::is_some));
    }
}
