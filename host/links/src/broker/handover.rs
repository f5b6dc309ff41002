//! The way of events from a link to its one receiver, who is called on the link's own thread: what has just been read is passed on without
//! waking anybody, and while the receiver takes its time nothing is read. So what lies here is bounded by what comes between two turns of a
//! task, and a broker whose messages nobody takes finds its connection full.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::LinkEvent;

#[derive(Default)]
pub(super) struct Handover {
    waiting: Mutex<Waiting>,
    something: Notify,
}

#[derive(Default)]
struct Waiting {
    events: Vec<LinkEvent>,
    closed: bool,
}

impl Handover {
    /// Tells something; never waits. After [`Self::close`] nobody listens.
    pub(super) fn tell(&self, events: impl IntoIterator<Item = LinkEvent>) {
        let mut waiting = self.waiting.lock();
        if !waiting.closed {
            waiting.events.extend(events);
            self.something.notify_one();
        }
    }

    /// Calls the receiver with all that is told, until it is closed.
    pub(super) async fn pass_on(&self, receiver: impl Fn(Vec<LinkEvent>)) {
        loop {
            self.something.notified().await;
            let mut waiting = self.waiting.lock();
            if waiting.closed {
                return;
            }
            let events = std::mem::take(&mut waiting.events);
            drop(waiting);
            if !events.is_empty() {
                receiver(events);
            }
        }
    }

    /// Nothing more is passed on, once the receiver returns.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.events.clear();
        self.something.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn everything_is_passed_on_in_order_and_nothing_behind_the_end() {
        let (handover, heard) = (Handover::default(), RefCell::new(Vec::new()));
        let receiver = |events: Vec<LinkEvent>| {
            // Told while the receiver is called: it comes next.
            if let [LinkEvent::Confirmed(1), ..] = events[..] {
                handover.tell([LinkEvent::Confirmed(3)]);
            }
            if events.contains(&LinkEvent::Confirmed(3)) {
                handover.tell([LinkEvent::Confirmed(4)]);
                handover.close();
                handover.tell([LinkEvent::Confirmed(5)]);
            }
            heard.borrow_mut().extend(events);
        };
        handover.tell([LinkEvent::Confirmed(1)]);
        handover.tell([LinkEvent::Confirmed(2)]);
        handover.pass_on(receiver).await;
        assert_eq!(heard.into_inner(), [1, 2, 3].map(LinkEvent::Confirmed));
    }
}
