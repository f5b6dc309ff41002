//! The way into a shard from other threads: a bounded queue of jobs with a wake-up.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use jackfield_protocol::close::Close;
use parking_lot::Mutex;

use crate::channel::Welcome;
use crate::hub::Event;
use crate::topic::Topic;
use crate::users::Place;

/// The queue in front of one shard.
pub struct ShardHandle {
    jobs: Mutex<Vec<Job>>,
    /// Jobs not worked off yet, also those that the shard has begun with; readable without the lock.
    waiting: AtomicUsize,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Work for one shard.
#[derive(Debug)]
pub enum Job {
    /// Append to the outboxes of a channel's subscribers.
    Deliver(Event),
    /// A socket has come into a channel.
    Joined(Joined),
    /// Append to the outbox of one socket.
    Tell(Place, Bytes),
    /// End one connection.
    Close(Place, Close),
    /// End the connections of a channel's subscribers.
    CloseAll(Topic, Close),
}

/// Somebody who has come into a channel.
#[derive(Debug)]
pub struct Joined {
    /// Who.
    pub place: Place,
    /// By which request.
    pub ticket: u32,
    /// Into which.
    pub topic: Topic,
    /// What they are told.
    pub welcome: Welcome,
}

impl ShardHandle {
    /// A handle whose `wake` makes the shard's thread take a turn soon. It is called for the first job of a turn only.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            jobs: Mutex::default(),
            waiting: AtomicUsize::new(0),
            wake: Box::new(wake),
        }
    }

    /// Whether a publisher should be refused instead of queueing more.
    pub fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= SHARD_JOBS
    }

    pub(crate) fn push(&self, job: Job) {
        let mut jobs = self.jobs.lock();
        jobs.push(job);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let first = jobs.len() == 1;
        drop(jobs);
        if first {
            (self.wake)();
        }
    }

    /// The jobs that have gathered, for a shard that has worked off so many since it last asked.
    pub(super) fn take(&self, into: &mut Vec<Job>, done: usize) {
        self.waiting.fetch_sub(done, Ordering::Relaxed);
        std::mem::swap(&mut *self.jobs.lock(), into);
    }
}

/// Jobs that may wait for one shard before publishers are refused: some hundred milliseconds of work, a few MiB.
const SHARD_JOBS: usize = 65_536;
