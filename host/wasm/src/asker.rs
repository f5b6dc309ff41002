//! Whoever waits for the answer of a plugin that waits: there until it leaves, and then for all calls on its behalf to see.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The asker of one question.
#[derive(Debug, Default)]
pub(crate) struct Asker {
    gone: AtomicBool,
    told: Notify,
}

impl Asker {
    /// Nobody waits for the answer any more.
    pub(crate) fn leave(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    /// Whether it has left.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    /// Waits until it has left.
    pub(crate) async fn gone(&self) {
        // Made before the look: it hears of a leave from here on.
        let told = self.told.notified();
        if !self.is_gone() {
            told.await;
        }
    }
}
