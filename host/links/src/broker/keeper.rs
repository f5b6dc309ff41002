//! A link that keeps itself alive: connects, lives, fails, and connects again, for ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::sleep;

use super::backoff::Backoff;
use super::life::live;
use super::options::Checked;
use super::shared::Shared;
use super::wire::Broker;
use super::{Link, LinkError, LinkEvent, LinkStats, MAX_PAYLOAD_BYTES, MAX_SUBJECT_BYTES, Outgoing};

pub(super) struct Keeper {
    shared: Arc<Shared>,
    check: fn(&str) -> Result<(), String>,
}

impl Keeper {
    /// A link as an operator wants it, on a thread of its own, where tasks run in the order in which they are woken.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn open<B: Broker>(
        checked: Checked<B>,
        receiver: impl Fn(Vec<LinkEvent>) + Send + 'static,
    ) -> Result<Arc<dyn Link>, String> {
        let shared = Shared::new(checked.canary_prefix);
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let own = Arc::clone(&shared);
        let run = move || {
            runtime.spawn(keep(checked.broker, Arc::clone(&own), checked.answer));
            // When the handover is closed, all tasks end with the runtime.
            runtime.block_on(own.handover.pass_on(receiver));
        };
        let started = std::thread::Builder::new().name("link".to_owned()).spawn(run);
        started.map_err(|error| error.to_string())?;
        Ok(Arc::new(Self {
            shared,
            check: B::check,
        }))
    }

    fn check(&self, subject: &str) -> Result<(), LinkError> {
        if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES {
            let why = format!("a subject has 1 to {MAX_SUBJECT_BYTES} bytes");
            return Err(LinkError::Malformed(why));
        }
        (self.check)(subject).map_err(LinkError::Malformed)
    }

    fn check_message(&self, message: &Outgoing) -> Result<(), LinkError> {
        let length = message.payload.len();
        if length > MAX_PAYLOAD_BYTES {
            let why = format!("a payload of {length} bytes; {MAX_PAYLOAD_BYTES} are allowed");
            return Err(LinkError::Malformed(why));
        }
        self.check(&message.subject)
    }
}

async fn keep<B: Broker>(broker: B, shared: Arc<Shared>, answer: Duration) {
    let mut backoff = Backoff::new();
    let mut told = String::new();
    loop {
        let reason = match broker.connect(&shared).await {
            Ok((wire, life)) => live(&shared, &wire, life, answer).await,
            Err(reason) => reason,
        };
        let was_up = shared.end();
        if was_up {
            backoff = Backoff::new();
        }
        if was_up || reason != told {
            shared.handover.tell([LinkEvent::Down(reason.clone())]);
            told = reason;
        }
        sleep(backoff.pause()).await;
    }
}

impl Link for Keeper {
    fn publish(&self, batch: Vec<Outgoing>) -> Result<(), LinkError> {
        batch.iter().try_for_each(|message| self.check_message(message))?;
        self.shared.flights.lock().submit(batch)?;
        self.shared.something_to_publish.notify_one();
        Ok(())
    }

    fn follow(&self, subjects: Vec<String>) -> Result<(), LinkError> {
        subjects.iter().try_for_each(|subject| self.check(subject))?;
        let mut interest = self.shared.interest.lock();
        let followed = interest.want(subjects);
        // Under the lock, so that no later word on the same subject is told before.
        self.shared
            .handover
            .tell(followed.into_iter().map(LinkEvent::Following));
        drop(interest);
        self.shared.something_to_ask.notify_one();
        Ok(())
    }

    fn unfollow(&self, subjects: Vec<String>) {
        self.shared.interest.lock().unwant(&subjects);
        self.shared.something_to_ask.notify_one();
    }

    fn stats(&self) -> LinkStats {
        self.shared.stats()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.handover.close();
    }
}
