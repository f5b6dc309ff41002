//! Publishers that wait for the cluster's answer.
//!
//! A ticket is one envelope; a publish may have several (one per channel) and is answered when all are settled. The
//! number of open tickets is bounded by the HTTP requests in flight and their time limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::hub::PublishError;

/// How a publish ended.
pub(crate) type Settled = Result<(), PublishError>;

/// All open tickets.
#[derive(Default)]
pub(crate) struct Tickets {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Mutex<Waiter>>>>,
}

struct Waiter {
    left: usize,
    answer: Option<oneshot::Sender<Settled>>,
}

impl Tickets {
    /// Opens `count` tickets with consecutive numbers; the receiver gets one answer for all of them.
    pub(crate) fn open(&self, count: usize) -> (u64, oneshot::Receiver<Settled>) {
        let first = self.next.fetch_add(count as u64, Ordering::Relaxed);
        let (answer, receiver) = oneshot::channel();
        let waiter = Arc::new(Mutex::new(Waiter {
            left: count,
            answer: Some(answer),
        }));
        let mut open = self.open.lock();
        for ticket in first..first + count as u64 {
            open.insert(ticket, Arc::clone(&waiter));
        }
        (first, receiver)
    }

    /// Settles tickets; the first failure answers its publisher at once. Unknown numbers are ignored: the publisher has
    /// given up, or a plugin named what it was never given.
    pub(crate) fn settle(&self, tickets: &[u64], outcome: &Settled) {
        for ticket in tickets {
            let Some(waiter) = self.open.lock().remove(ticket) else {
                continue;
            };
            let mut waiter = waiter.lock();
            waiter.left -= 1;
            if waiter.left > 0 && outcome.is_ok() {
                continue;
            }
            if let Some(answer) = waiter.answer.take() {
                // An error means that the publisher is gone, and nobody needs the answer.
                let _ = answer.send(outcome.clone());
            }
        }
    }

    /// Forgets tickets whose publisher gave up.
    pub(crate) fn forget(&self, first: u64, count: usize) {
        let mut open = self.open.lock();
        for ticket in first..first + count as u64 {
            open.remove(&ticket);
        }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_when_all_are_settled() {
        let tickets = Tickets::default();
        let (first, mut answer) = tickets.open(2);
        tickets.settle(&[first, 99], &Ok(()));
        assert!(answer.try_recv().is_err());
        tickets.settle(&[first + 1], &Ok(()));
        assert_eq!(answer.try_recv().expect("settled"), Ok(()));
        assert_eq!(tickets.len(), 0);
    }

    #[test]
    fn the_first_failure_answers() {
        let tickets = Tickets::default();
        let (first, mut answer) = tickets.open(2);
        let error = PublishError::Overloaded;
        tickets.settle(&[first + 1], &Err(error.clone()));
        assert_eq!(answer.try_recv().expect("settled"), Err(error));
        tickets.forget(first, 2);
        assert_eq!(tickets.len(), 0);
    }
}
