//! What an adapter tells, kept for a test.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jackfield_hub::doors::{DoorError, Traffic};

/// Listens to an adapter.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Told>);

/// All that was told, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) confirmed: Vec<u64>,
    pub(crate) failed: Vec<(u64, String)>,
    pub(crate) following: Vec<String>,
    /// None: up.
    pub(crate) states: Vec<Option<String>>,
}

impl Heard {
    /// What was told so far.
    pub(crate) fn told(&self) -> Told {
        self.lock().clone()
    }

    /// What was told since this was asked last.
    pub(crate) fn take(&self) -> Told {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// The last word on whether instances can reach each other.
    pub(crate) fn is_up(&self) -> bool {
        self.states.last() == Some(&None)
    }
}

impl Traffic for Heard {
    fn confirmed(&self, tickets: &[u64]) {
        self.lock().confirmed.extend(tickets);
    }

    fn failed(&self, tickets: &[u64], error: &DoorError) {
        let failed = tickets.iter().map(|&ticket| (ticket, error.to_string()));
        self.lock().failed.extend(failed);
    }

    fn following(&self, topics: &[String]) {
        self.lock().following.extend_from_slice(topics);
    }

    fn state(&self, degraded: Option<String>) {
        self.lock().states.push(degraded);
    }
}
