//! What waits for an adapter: requests of the cluster, and what has come from the adapter's links.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jackfield_hub::doors::{AdapterRequest, Envelope};
use jackfield_links::broker::LinkEvent;
use parking_lot::{Condvar, Mutex};

/// The queue in front of an adapter.
#[derive(Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    /// Something that came from a link was worked off.
    room: Condvar,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Waiting {
    work: VecDeque<Work>,
    publishes: usize,
    /// Events in `work`.
    events: usize,
}

enum Work {
    Publish(Envelope),
    Follow(Vec<Arc<str>>),
    Unfollow(Vec<Arc<str>>),
    Arrived(u32, Vec<LinkEvent>),
}

/// What goes to the guest in one call.
pub(super) enum Batch {
    Publish(Vec<Envelope>),
    Follow(Vec<Arc<str>>),
    Unfollow(Vec<Arc<str>>),
    Arrived(u32, Vec<LinkEvent>),
}

impl Inbox {
    /// Queues a request. False: too many publishes wait. The rest is bounded by what can be followed.
    pub(super) fn put(&self, request: AdapterRequest) -> bool {
        let mut waiting = self.waiting.lock();
        let work = match request {
            AdapterRequest::Publish(_) if waiting.publishes >= PUBLISHES => return false,
            AdapterRequest::Publish(envelope) => {
                waiting.publishes += 1;
                Work::Publish(envelope)
            }
            AdapterRequest::Follow(topics) => Work::Follow(topics),
            AdapterRequest::Unfollow(topics) => Work::Unfollow(topics),
        };
        waiting.work.push_back(work);
        true
    }

    /// Queues what came from a link, and waits on the link's own thread while too much is queued.
    pub(crate) fn arrive(&self, link: u32, events: Vec<LinkEvent>) {
        if events.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        waiting.events += events.len();
        waiting.work.push_back(Work::Arrived(link, events));
        drop(waiting);
        loop {
            if let Some(wake) = self.wake.get() {
                wake();
            }
            let mut waiting = self.waiting.lock();
            if waiting.events < ARRIVED || self.wake.get().is_none() {
                return;
            }
            self.room.wait_for(&mut waiting, LOOK_AGAIN);
        }
    }

    /// Queues what the guest is to hear (again) after the call that is running.
    pub(crate) fn repeat(&self, link: u32, event: LinkEvent) {
        let mut waiting = self.waiting.lock();
        waiting.events += 1;
        waiting.work.push_back(Work::Arrived(link, vec![event]));
    }

    pub(super) fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>) {
        // There is one cluster for the life of an adapter.
        let _ = self.wake.set(wake);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().work.is_empty()
    }

    /// Takes what is of one kind and stands together.
    pub(super) fn next_batch(&self) -> Option<Batch> {
        let mut waiting = self.waiting.lock();
        match waiting.work.pop_front()? {
            Work::Publish(first) => Some(waiting.publishes(first)),
            Work::Follow(topics) => {
                let (now, rest) = cut(topics);
                rest.into_iter()
                    .for_each(|rest| waiting.work.push_front(Work::Follow(rest)));
                Some(Batch::Follow(now))
            }
            Work::Unfollow(topics) => {
                let (now, rest) = cut(topics);
                rest.into_iter()
                    .for_each(|rest| waiting.work.push_front(Work::Unfollow(rest)));
                Some(Batch::Unfollow(now))
            }
            Work::Arrived(link, mut events) => {
                let fitting = fitting(&events);
                let rest = events.split_off(fitting);
                if !rest.is_empty() {
                    waiting.work.push_front(Work::Arrived(link, rest));
                }
                waiting.events -= events.len();
                self.room.notify_all();
                Some(Batch::Arrived(link, events))
            }
        }
    }
}

impl Waiting {
    /// The publishes that stand behind this one, as far as they fit into one call.
    fn publishes(&mut self, first: Envelope) -> Batch {
        let mut bytes = first.frame.len();
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Some(Work::Publish(next)) = self.work.front()
        {
            bytes += next.frame.len();
            if bytes > BATCH_BYTES {
                break;
            }
            if let Some(Work::Publish(next)) = self.work.pop_front() {
                batch.push(next);
            }
        }
        self.publishes -= batch.len();
        Batch::Publish(batch)
    }
}

/// What fits into one call, and the rest.
fn cut(mut topics: Vec<Arc<str>>) -> (Vec<Arc<str>>, Option<Vec<Arc<str>>>) {
    if topics.len() <= BATCH {
        return (topics, None);
    }
    let rest = topics.split_off(BATCH);
    (topics, Some(rest))
}

/// How many of these events fit into one call.
fn fitting(events: &[LinkEvent]) -> usize {
    let mut bytes = 0;
    let fits = |event: &&LinkEvent| {
        bytes += match event {
            LinkEvent::Message { subject, payload } => subject.len() + payload.len(),
            _ => 0,
        };
        bytes <= BATCH_BYTES
    };
    events.iter().take(BATCH).take_while(fits).count().max(1)
}

/// Publishes that may wait for the adapter before publishers are refused.
const PUBLISHES: usize = 65_536;

/// What goes to the guest in one call, as `wit/deps/adapter` promises.
const BATCH: usize = 1_024;

/// As much of it: half of what a guest may hand to the host in one call, so that it can pass all of it on.
const BATCH_BYTES: usize = 512 << 10;

/// Events of links that may wait; beyond that a link's thread waits, and what it reads from stays unread.
const ARRIVED: usize = 8_192;

/// A thread that waits for room looks after the queue itself from time to time.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
