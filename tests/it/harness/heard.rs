//! What an adapter tells, kept for a test.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jackfield_hub::doors::{AdapterNews, Traffic};

/// Listens to an adapter.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Told>);

/// All that was told, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) confirmed: Vec<u64>,
    pub(crate) failed: Vec<(u64, String)>,
    pub(crate) following: Vec<String>,
    pub(crate) lost: Vec<String>,
    pub(crate) received: Vec<(String, Bytes)>,
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

    /// Whether the last word was that they cannot.
    pub(crate) fn is_down(&self) -> bool {
        self.states.last().is_some_and(Option::is_some)
    }
}

impl Traffic for Heard {
    fn tell(&self, told: AdapterNews) {
        let mut kept = self.lock();
        match told {
            AdapterNews::Confirmed(tickets) => kept.confirmed.extend(tickets),
            AdapterNews::Failed(tickets, error) => {
                let failed = tickets.iter().map(|&ticket| (ticket, error.to_string()));
                kept.failed.extend(failed);
            }
            AdapterNews::Following(topics) => kept.following.extend(topics),
            AdapterNews::Lost(topics) => kept.lost.extend(topics),
            AdapterNews::Received(messages) => kept.received.extend(messages),
            AdapterNews::State(degraded) => kept.states.push(degraded),
        }
    }
}
