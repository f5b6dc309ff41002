//! Publishers that wait for the cluster's answer.
//!
//! A ticket is one envelope; a publish may have several (one per channel) and is answered when all are settled. The
//! number of open tickets is bounded by the HTTP requests in flight and their time limit.

use std::collections::BTreeMap;
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
    /// By the first ticket of each publish.
    open: Mutex<BTreeMap<u64, Waiter>>,
}

struct Waiter {
    /// Tickets that are not settled, of those that it has.
    left: usize,
    count: usize,
    answer: oneshot::Sender<Settled>,
}

impl Tickets {
    /// Opens `count` tickets with consecutive numbers; the receiver gets one answer for all of them.
    pub(crate) fn open(&self, count: usize) -> (u64, oneshot::Receiver<Settled>) {
        let first = self.next.fetch_add(count as u64, Ordering::Relaxed);
        let (answer, receiver) = oneshot::channel();
        if count == 0 {
            // Nothing to wait for, and the receiver is right here.
            let _ = answer.send(Ok(()));
        } else {
            let left = count;
            self.open.lock().insert(first, Waiter { left, count, answer });
        }
        (first, receiver)
    }

    /// Settles a ticket, which happens once; the first failure answers its publisher at once. Unknown numbers are ignored: the
    /// publisher has given up, or has its answer.
    pub(crate) fn settle(&self, ticket: u64, outcome: &Settled) {
        let mut open = self.open.lock();
        let Some((&first, waiter)) = open.range_mut(..=ticket).next_back() else {
            return;
        };
        if ticket - first >= waiter.count as u64 {
            return;
        }
        waiter.left -= 1;
        if waiter.left == 0 || outcome.is_err() {
            let waiter = open.remove(&first);
            drop(open);
            // An error means that the publisher is gone, and nobody needs the answer.
            let _ = waiter.map(|waiter| waiter.answer.send(outcome.clone()));
        }
    }

    /// Forgets a publish whose publisher gave up.
    pub(crate) fn forget(&self, first: u64) {
        self.open.lock().remove(&first);
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.lock().values().map(|waiter| waiter.left).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_when_all_are_settled() {
        let tickets = Tickets::default();
        let (first, mut answer) = tickets.open(2);
        tickets.settle(first, &Ok(()));
        tickets.settle(99, &Ok(()));
        assert_eq!(tickets.len(), 1);
        assert!(answer.try_recv().is_err());
        tickets.settle(first + 1, &Ok(()));
        assert_eq!(answer.try_recv().expect("settled"), Ok(()));
        assert_eq!(tickets.len(), 0);
    }

    #[test]
    fn nothing_is_published_at_once() {
        let tickets = Tickets::default();
        let (_, mut answer) = tickets.open(0);
        assert_eq!(answer.try_recv().expect("settled"), Ok(()));
        assert_eq!(tickets.len(), 0);
    }

    #[test]
    fn the_first_failure_answers() {
        let tickets = Tickets::default();
        let (first, mut answer) = tickets.open(2);
        let error = PublishError::Overloaded;
        tickets.settle(first + 1, &Err(error.clone()));
        assert_eq!(answer.try_recv().expect("settled"), Err(error));
        assert_eq!(tickets.len(), 0);
        // Too late for an answer.
        tickets.settle(first, &Ok(()));
    }

    #[test]
    fn those_who_give_up_are_forgotten_and_nobody_else() {
        let tickets = Tickets::default();
        let (before, _kept) = tickets.open(1);
        let (first, _given_up) = tickets.open(3);
        let (behind, mut answer) = tickets.open(1);
        tickets.forget(first);
        tickets.settle(first + 1, &Ok(()));
        assert_eq!(tickets.len(), 2);
        tickets.settle(behind, &Ok(()));
        assert_eq!(answer.try_recv().expect("settled"), Ok(()));
        tickets.settle(before, &Ok(()));
        assert_eq!(tickets.len(), 0);
    }
}
