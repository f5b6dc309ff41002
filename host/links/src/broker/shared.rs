//! The state of a link: what its wire tells and what its users ask meet here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::flight::Flights;
use super::handover::Handover;
use super::interest::Interest;
use super::pulse::Pulse;
use super::wire::Canary;
use super::{LinkEvent, LinkStats};

pub(super) struct Shared {
    pub(super) handover: Handover,
    pub(super) flights: Mutex<Flights>,
    pub(super) something_to_publish: Notify,
    pub(super) interest: Mutex<Interest>,
    pub(super) something_to_ask: Notify,
    /// A server said that another one is responsible.
    pub(super) something_has_moved: Notify,
    pub(super) pulse: Mutex<Pulse>,
    received: AtomicU64,
    /// What the subjects of canaries, and few others, begin with.
    pub(super) canary_prefix: String,
}

impl Shared {
    pub(super) fn new(canary_prefix: String) -> Arc<Self> {
        Arc::new(Self {
            handover: Handover::default(),
            flights: Mutex::default(),
            something_to_publish: Notify::new(),
            interest: Mutex::default(),
            something_to_ask: Notify::new(),
            something_has_moved: Notify::new(),
            pulse: Mutex::new(Pulse::new()),
            received: AtomicU64::new(0),
            canary_prefix,
        })
    }

    /// Messages have come, in this order.
    pub(super) fn heard(&self, messages: impl IntoIterator<Item = (String, Bytes)>) {
        let mut events = Vec::new();
        for (subject, payload) in messages {
            if subject.starts_with(&self.canary_prefix)
                && let Some(all_are_back) = self.pulse.lock().heard(&subject, &payload)
            {
                if all_are_back {
                    // In its place among what was heard with it.
                    self.handover.tell(events.drain(..));
                    self.proven();
                }
                continue;
            }
            self.received.fetch_add(1, Ordering::Relaxed);
            events.push(LinkEvent::Message { subject, payload });
        }
        self.handover.tell(events);
    }

    /// The broker has confirmed that this is followed.
    pub(super) fn entered(&self, subject: &str) {
        let mut interest = self.interest.lock();
        if interest.entered(subject) {
            // Under the lock, so that no later word on the same subject is told before.
            self.handover.tell([LinkEvent::Following(subject.to_owned())]);
        }
    }

    /// The broker says that this is not followed any more, asked or unasked.
    pub(super) fn left(&self, subject: &str) {
        let mut interest = self.interest.lock();
        if interest.left(subject) {
            self.handover.tell([LinkEvent::Lost(subject.to_owned())]);
            self.something_has_moved.notify_one();
        }
    }

    /// There are connections, on which nothing is followed.
    pub(super) fn begin(&self, canaries: Vec<Canary>) {
        self.interest.lock().begin();
        self.pulse.lock().begin(canaries);
    }

    /// Sends the canaries.
    pub(super) fn beat(&self) {
        let canaries = self.pulse.lock().beat();
        self.flights.lock().send_canaries(canaries);
        self.something_to_publish.notify_one();
    }

    /// There are no connections any more. Whether the link was up.
    pub(super) fn end(&self) -> bool {
        self.pulse.lock().begin(Vec::new());
        self.interest.lock().begin();
        let mut flights = self.flights.lock();
        let was_up = flights.is_up();
        let failed = flights.end();
        self.handover.tell(failed);
        was_up
    }

    pub(super) fn stats(&self) -> LinkStats {
        let round_trip = self.pulse.lock().round_trip;
        let flights = self.flights.lock();
        LinkStats {
            up: flights.is_up(),
            reconnects: flights.times_up.saturating_sub(1),
            published: flights.published,
            received: self.received.load(Ordering::Relaxed),
            queued: flights.len(),
            refused: flights.refused,
            round_trip,
        }
    }

    /// The canaries have come back: tells it if that is news.
    fn proven(&self) {
        let mut flights = self.flights.lock();
        if !flights.is_up() {
            flights.set_up();
            // Under the lock, so that no confirmation is told before.
            self.handover.tell([LinkEvent::Up]);
        }
    }
}
