//! The way of events from a link to its one receiver: a thread of its own, so that a receiver may take its time.
//!
//! Telling never waits and never loses anything; instead who reads from a socket waits for [`Handover::room`] first, or drops
//! what it reads and says so. What lies here is thus bounded by [`ROOM_EVENTS`] and [`ROOM_BYTES`] and one read of each connection.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::LinkEvent;

pub(super) struct Handover {
    waiting: Mutex<Waiting>,
    something: Condvar,
    room: Notify,
}

#[derive(Default)]
struct Waiting {
    events: Vec<LinkEvent>,
    bytes: usize,
    closed: bool,
}

impl Handover {
    /// Starts the thread that calls the receiver.
    pub(super) fn start(receiver: impl Fn(Vec<LinkEvent>) + Send + 'static) -> Result<Arc<Self>, String> {
        let handover = Arc::new(Self {
            waiting: Mutex::default(),
            something: Condvar::new(),
            room: Notify::new(),
        });
        let taking = handover.clone();
        let thread = std::thread::Builder::new().name("link-events".to_owned());
        let run = move || {
            while let Some(events) = taking.take() {
                receiver(events);
            }
        };
        thread.spawn(run).map_err(|error| error.to_string())?;
        Ok(handover)
    }

    /// Tells something. After [`Self::close`] nobody listens.
    pub(super) fn tell(&self, events: impl IntoIterator<Item = LinkEvent>) {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return;
        }
        for event in events {
            waiting.bytes += size(&event);
            waiting.events.push(event);
        }
        self.something.notify_one();
    }

    /// Waits until little enough lies here.
    pub(super) async fn room(&self) {
        loop {
            let given = self.room.notified();
            tokio::pin!(given);
            // From here on a notice is not missed.
            given.as_mut().enable();
            if !self.is_full() {
                return;
            }
            given.await;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.events.len() >= ROOM_EVENTS || waiting.bytes >= ROOM_BYTES
    }

    /// Ends the thread as soon as the receiver returns.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.events.clear();
        self.something.notify_one();
    }

    fn take(&self) -> Option<Vec<LinkEvent>> {
        let mut waiting = self.waiting.lock();
        while waiting.events.is_empty() {
            if waiting.closed {
                return None;
            }
            self.something.wait(&mut waiting);
        }
        waiting.bytes = 0;
        let events = std::mem::take(&mut waiting.events);
        drop(waiting);
        self.room.notify_waiters();
        Some(events)
    }
}

fn size(event: &LinkEvent) -> usize {
    match event {
        LinkEvent::Message { subject, payload } => subject.len() + payload.len(),
        LinkEvent::Down(text) | LinkEvent::Following(text) | LinkEvent::Lost(text) => text.len(),
        LinkEvent::Up | LinkEvent::Confirmed(_) | LinkEvent::Failed(_) => 0,
    }
}

/// How much may lie here before sockets are no longer read: a fraction of a second under load.
const ROOM_EVENTS: usize = 65_536;
/// Eight of the largest messages, or thousands of usual ones.
const ROOM_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[tokio::test]
    async fn a_slow_receiver_leaves_no_room_and_gets_everything_in_order() {
        let (enter, entered) = sync_channel(1);
        let (leave, left) = sync_channel::<()>(0);
        let (sender, seen) = sync_channel(ROOM_EVENTS + 1);
        let handover = Handover::start(move |events| {
            // Fail when the test has ended, or lets go.
            let _ = enter.try_send(());
            let _ = left.recv();
            for event in events {
                let _ = sender.send(event);
            }
        });
        let handover = handover.unwrap();
        handover.tell([LinkEvent::Confirmed(0)]);
        entered.recv().unwrap();
        let all = ROOM_EVENTS as u64;
        handover.tell((1..all).map(LinkEvent::Confirmed));
        assert!(!handover.is_full());
        handover.tell([LinkEvent::Confirmed(all)]);
        assert!(handover.is_full());
        drop(leave);
        handover.room().await;
        for ticket in 0..=all {
            assert_eq!(seen.recv().unwrap(), LinkEvent::Confirmed(ticket));
        }
        handover.close();
        assert!(seen.recv().is_err(), "the thread has ended");
    }
}
