//! One event loop's part of every channel: its sockets, their outboxes, and which of them subscribe to what.
//!
//! A shard belongs to one thread and has no lock. Other threads reach it through its [`ShardHandle`], a bounded queue of
//! jobs with a wake-up. [`Shard::turn`] works the queue off into outboxes and remembers which became dirty; whoever owns
//! the sockets then writes each dirty one once, with all that gathered.
//!
//! `C` is what the owner keeps for a socket; the shard only holds it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use jackfield_protocol::close::Close;
use jackfield_protocol::names::SocketId;
use jackfield_protocol::websocket;
use parking_lot::Mutex;
use slab::Slab;

use crate::doors::DoorError;
use crate::gate::Grant;
use crate::hub::{Event, Hub};
use crate::outbox::{Outbox, OutboxLimits};
use crate::topic::Topic;

/// The way into a shard from other threads.
pub struct ShardHandle {
    jobs: Mutex<Vec<Job>>,
    /// The length of `jobs`, readable without its lock.
    waiting: AtomicUsize,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Work for one shard.
#[derive(Debug)]
pub enum Job {
    /// Append to the outboxes of a channel's subscribers.
    Deliver(Event),
    /// The adapter follows this topic now: confirm the subscriptions that wait for it.
    Following(Topic),
}

/// One event loop's sockets and subscriptions.
pub struct Shard<C> {
    index: usize,
    hub: Arc<Hub>,
    limits: OutboxLimits,
    sockets: Slab<Socket<C>>,
    channels: HashMap<Topic, Vec<usize>>,
    /// Sockets whose subscription the adapter has not confirmed, by topic.
    waiting: HashMap<Topic, Vec<Waiting>>,
    dirty: VecDeque<usize>,
    jobs: Vec<Job>,
    /// Frames put into outboxes by `Deliver` jobs since the start.
    pub deliveries: u64,
    /// Connections cut because their outbox was full.
    pub cut: u64,
}

/// How a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// Confirm it now.
    Now,
    /// A [`Change`] will come.
    Later,
}

/// What became of a subscription that waited.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// Confirm it: messages arrive from now on.
    Subscribed(usize, Topic),
    /// The adapter did not follow in time.
    TimedOut(usize, Topic),
}

struct Socket<C> {
    owner: C,
    id: SocketId,
    outbox: Outbox,
    memberships: Vec<Membership>,
    dirty: bool,
    /// Set when a close frame was queued: nothing may follow it.
    closing: bool,
}

struct Membership {
    topic: Topic,
    /// Where the socket stands in the channel's list; none while it waits to be confirmed.
    position: Option<usize>,
}

struct Waiting {
    slot: usize,
    until_ms: u64,
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
        self.waiting.store(jobs.len(), Ordering::Relaxed);
        let first = jobs.len() == 1;
        drop(jobs);
        if first {
            (self.wake)();
        }
    }

    fn take(&self, into: &mut Vec<Job>) {
        let mut jobs = self.jobs.lock();
        std::mem::swap(&mut *jobs, into);
        self.waiting.store(0, Ordering::Relaxed);
    }
}

impl<C> Shard<C> {
    /// The shard behind the hub's handle number `index`.
    pub fn new(index: usize, hub: Arc<Hub>, limits: OutboxLimits) -> Self {
        Self {
            index,
            hub,
            limits,
            sockets: Slab::new(),
            channels: HashMap::new(),
            waiting: HashMap::new(),
            dirty: VecDeque::new(),
            jobs: Vec::new(),
            deliveries: 0,
            cut: 0,
        }
    }

    /// Adds a socket; the slot names it until [`Shard::remove`].
    pub fn add(&mut self, id: SocketId, owner: C) -> usize {
        let (outbox, memberships) = (Outbox::default(), Vec::new());
        self.sockets.insert(Socket {
            owner,
            id,
            outbox,
            memberships,
            dirty: false,
            closing: false,
        })
    }

    /// Takes a socket and its subscriptions away.
    pub fn remove(&mut self, slot: usize, now_ms: u64) {
        let memberships = std::mem::take(&mut self.sockets[slot].memberships);
        for membership in memberships {
            self.withdraw(slot, &membership, now_ms);
        }
        self.sockets.remove(slot);
    }

    /// Subscribes a socket that is not subscribed yet.
    ///
    /// # Errors
    /// The adapter door's, when the channel is new here and cannot be followed.
    pub fn subscribe(
        &mut self,
        slot: usize,
        _grant: &Grant,
        topic: Topic,
        now_ms: u64,
    ) -> Result<Subscription, DoorError> {
        let confirmed = self.hub.enter(&topic, self.index)?;
        let position = confirmed.then(|| self.list(slot, &topic));
        self.sockets[slot].memberships.push(Membership {
            topic: topic.clone(),
            position,
        });
        if confirmed {
            return Ok(Subscription::Now);
        }
        self.waiting.entry(topic).or_default().push(Waiting {
            slot,
            until_ms: now_ms + FOLLOW_WAIT_MS,
        });
        Ok(Subscription::Later)
    }

    /// Ends a subscription; harmless if there is none.
    pub fn unsubscribe(&mut self, slot: usize, topic: &Topic, now_ms: u64) {
        let memberships = &mut self.sockets[slot].memberships;
        let Some(at) = memberships.iter().position(|membership| membership.topic == *topic) else {
            return;
        };
        let membership = memberships.swap_remove(at);
        self.withdraw(slot, &membership, now_ms);
    }

    /// Queues a frame for one socket. Over the limit the socket is cut instead.
    pub fn push(&mut self, slot: usize, frame: Bytes) {
        let cut = self.sockets[slot].push(slot, frame, &self.limits, &mut self.dirty);
        self.cut += u64::from(cut);
    }

    /// Queues a close frame behind what waits; nothing is accepted after it.
    pub fn close(&mut self, slot: usize, close: Close) {
        self.push(slot, websocket::close_frame(close));
        self.sockets[slot].closing = true;
    }

    /// Whether a close frame was queued.
    pub fn is_closing(&self, slot: usize) -> bool {
        self.sockets[slot].closing
    }

    /// Works off the jobs that have gathered. Says what the conversations must be told.
    pub fn turn(&mut self) -> Vec<Change> {
        let mut jobs = std::mem::take(&mut self.jobs);
        self.hub.shard(self.index).take(&mut jobs);
        let mut changes = Vec::new();
        for job in jobs.drain(..) {
            match job {
                Job::Deliver(event) => self.deliver(&event),
                Job::Following(topic) => self.confirm(&topic, &mut changes),
            }
        }
        // The emptied vector goes back and forth with the handle's: no allocation in the long run.
        self.jobs = jobs;
        changes
    }

    /// Gives up subscriptions that the adapter did not confirm in time.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Change> {
        let mut late = Vec::new();
        for (topic, waiting) in &self.waiting {
            late.extend(
                waiting
                    .iter()
                    .filter(|w| w.until_ms <= now_ms)
                    .map(|w| (w.slot, topic.clone())),
            );
        }
        for (slot, topic) in &late {
            self.unsubscribe(*slot, topic, now_ms);
        }
        late.into_iter()
            .map(|(slot, topic)| Change::TimedOut(slot, topic))
            .collect()
    }

    /// The next socket with something to write, its mark taken off.
    pub fn next_dirty(&mut self) -> Option<usize> {
        loop {
            let slot = self.dirty.pop_front()?;
            // A slot without a socket was removed meanwhile.
            if let Some(socket) = self.sockets.get_mut(slot) {
                socket.dirty = false;
                return Some(slot);
            }
        }
    }

    /// What the owner keeps for a socket.
    pub fn owner(&self, slot: usize) -> &C {
        &self.sockets[slot].owner
    }

    /// A socket's outbox.
    pub fn outbox(&mut self, slot: usize) -> &mut Outbox {
        &mut self.sockets[slot].outbox
    }

    /// All sockets.
    pub fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.sockets.iter().map(|(slot, _)| slot)
    }

    /// Sockets for which no close frame was queued.
    pub fn open_slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.sockets
            .iter()
            .filter(|(_, socket)| !socket.closing)
            .map(|(slot, _)| slot)
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.channels.values().map(Vec::len).sum()
    }

    fn deliver(&mut self, event: &Event) {
        let Some(subscribers) = self.channels.get(&event.topic) else {
            return;
        };
        for slot in subscribers {
            let socket = &mut self.sockets[*slot];
            if event.except == Some(socket.id) {
                continue;
            }
            let cut = socket.push(*slot, event.frame.clone(), &self.limits, &mut self.dirty);
            self.deliveries += u64::from(!cut);
            self.cut += u64::from(cut);
        }
    }

    fn confirm(&mut self, topic: &Topic, changes: &mut Vec<Change>) {
        for Waiting { slot, .. } in self.waiting.remove(topic).unwrap_or_default() {
            let position = self.list(slot, topic);
            let membership = self.sockets[slot].memberships.iter_mut().find(|m| m.topic == *topic);
            membership.expect("a waiting socket is a member").position = Some(position);
            changes.push(Change::Subscribed(slot, topic.clone()));
        }
    }

    fn list(&mut self, slot: usize, topic: &Topic) -> usize {
        let subscribers = self.channels.entry(topic.clone()).or_default();
        subscribers.push(slot);
        subscribers.len() - 1
    }

    /// Undoes a membership that was already taken off the socket.
    fn withdraw(&mut self, slot: usize, membership: &Membership, now_ms: u64) {
        let topic = &membership.topic;
        match membership.position {
            Some(position) => self.unlist(topic, position),
            None => self.forget_waiting(slot, topic),
        }
        self.hub.leave(topic, self.index, now_ms);
    }

    fn forget_waiting(&mut self, slot: usize, topic: &Topic) {
        let Some(waiting) = self.waiting.get_mut(topic) else {
            return;
        };
        waiting.retain(|w| w.slot != slot);
        if waiting.is_empty() {
            self.waiting.remove(topic);
        }
    }

    /// Fills the gap with the last subscriber, whose position changes: constant time whatever the channel's size.
    fn unlist(&mut self, topic: &Topic, position: usize) {
        let subscribers = self.channels.get_mut(topic).expect("a member's channel is listed");
        subscribers.swap_remove(position);
        if let Some(moved) = subscribers.get(position) {
            let membership = self.sockets[*moved].memberships.iter_mut().find(|m| m.topic == *topic);
            membership.expect("a listed socket is a member").position = Some(position);
        } else if subscribers.is_empty() {
            self.channels.remove(topic);
        }
    }
}

impl<C> Socket<C> {
    /// Queues a frame and marks the socket dirty. True when the socket was cut for it.
    fn push(&mut self, slot: usize, frame: Bytes, limits: &OutboxLimits, dirty: &mut VecDeque<usize>) -> bool {
        if self.closing {
            return false;
        }
        if self.outbox.push(frame, limits).is_err() {
            self.closing = true;
            self.outbox.replace(websocket::close_frame(Close::OutboxFull));
        }
        if !std::mem::replace(&mut self.dirty, true) {
            dirty.push_back(slot);
        }
        self.closing
    }
}

/// Jobs that may wait for one shard before publishers are refused: some hundred milliseconds of work, a few MiB.
const SHARD_JOBS: usize = 65_536;

/// How long a subscription waits for the adapter to follow its channel before it is refused.
const FOLLOW_WAIT_MS: u64 = 5_000;
