//! The table of channels that have subscribers here, and the way of a message to them.
//!
//! A publish takes one channel's lock for a moment: under it the frame is handed to every shard that has subscribers
//! and to the adapter's queue, so all of them see one order. Plugins run after the lock is released. A channel without
//! subscribers here costs nothing but the adapter's part.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jackfield_protocol::names::SocketId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use crate::doors::{Adapter, AdapterRequest, DoorError, Envelope, Notice, NoticeQueue, Traffic};
use crate::gate::Pass;
use crate::shard::{Job, ShardHandle};
use crate::tickets::{Settled, Tickets};
use crate::topic::Topic;

/// Who is in which channel, over all shards of this instance.
pub struct Hub {
    stripes: Box<[Stripe]>,
    hasher: RandomState,
    shards: Box<[ShardHandle]>,
    adapter: Arc<dyn Adapter>,
    tickets: Tickets,
    /// Why instances cannot reach each other; none when they can.
    degraded: RwLock<Option<String>>,
    notices: Notices,
    /// Channels whose last subscriber left, oldest first; each at most once.
    lingering: Mutex<VecDeque<(u64, Topic)>>,
}

/// One event on its way to the subscribers of one channel.
#[derive(Clone, Debug)]
pub struct Event {
    /// The channel.
    pub topic: Topic,
    /// The WebSocket frame, the same bytes for every subscriber.
    pub frame: Bytes,
    /// Who is not to get it.
    pub except: Option<SocketId>,
}

/// Why a publish was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Nothing was delivered: the adapter cannot reach other instances.
    #[error("nothing was delivered: {0}")]
    Unavailable(String),
    /// Nothing was delivered: too much waits already.
    #[error("nothing was delivered: this instance is over its capacity; try again")]
    Overloaded,
    /// Delivered here; whether elsewhere is unknown.
    #[error("delivered on this instance; whether on others is unknown, and a retry may deliver twice: {0}")]
    Unknown(DoorError),
}

/// A publish that local subscribers will get; the adapter's confirmation may be outstanding.
pub struct Receipt {
    hub: Arc<Hub>,
    first: u64,
    count: usize,
    answer: oneshot::Receiver<Settled>,
}

/// A part of the table of channels.
type Stripe = RwLock<HashMap<Topic, Arc<Channel>>>;

struct Channel {
    /// Held for a hand-over, never while a plugin runs.
    state: Mutex<Members>,
}

struct Members {
    /// Subscribers by shard.
    by_shard: Box<[u32]>,
    total: u32,
    /// Whether the adapter confirmed that messages of peers arrive.
    following: bool,
    /// Whether the channel stands in `Hub::lingering`.
    lingers: bool,
    /// Whether the entry has left the table: whoever holds it looks again.
    removed: bool,
}

struct Notices {
    queue: Arc<dyn NoticeQueue>,
    /// Makes ids unique over restarts and instances.
    node: String,
    count: AtomicU64,
}

impl Hub {
    /// A hub over these shards. `node` names this process uniquely.
    pub fn new(
        shards: Vec<ShardHandle>,
        adapter: Arc<dyn Adapter>,
        queue: Arc<dyn NoticeQueue>,
        node: String,
    ) -> Arc<Self> {
        Arc::new(Self {
            stripes: (0..STRIPES).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            shards: shards.into(),
            adapter,
            tickets: Tickets::default(),
            degraded: RwLock::new(Some("the adapter has not started".to_owned())),
            notices: Notices {
                queue,
                node,
                count: AtomicU64::new(0),
            },
            lingering: Mutex::default(),
        })
    }

    /// Delivers events to local subscribers and offers them to other instances. Local fan-out is queued when this
    /// returns.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`] and [`PublishError::Overloaded`]: nothing was delivered.
    pub fn publish(self: &Arc<Self>, _pass: &Pass, events: Vec<Event>) -> Result<Receipt, PublishError> {
        if let Some(reason) = self.degraded() {
            return Err(PublishError::Unavailable(reason));
        }
        if self.shards.iter().any(ShardHandle::is_full) {
            return Err(PublishError::Overloaded);
        }
        let count = events.len();
        let (first, answer) = self.tickets.open(count);
        for (event, ticket) in events.into_iter().zip(first..) {
            if let Err(error) = self.hand_over(event, ticket) {
                self.tickets.settle(&[ticket], &Err(error));
            }
        }
        self.drive();
        Ok(Receipt {
            hub: Arc::clone(self),
            first,
            count,
            answer,
        })
    }

    /// What the adapter says of itself: none when instances can reach each other.
    pub fn degraded(&self) -> Option<String> {
        self.degraded.read().clone()
    }

    /// Lets the adapter work off what is queued. Also called from time to time, for adapters that restart.
    pub fn drive(&self) {
        self.adapter.drive(self);
    }

    /// Lets go of channels that have had no subscribers for a while. Called every second or so.
    pub fn sweep(&self, now_ms: u64) {
        loop {
            let due = {
                let mut lingering = self.lingering.lock();
                match lingering.front() {
                    Some((since, _)) if since + LINGER_MS <= now_ms => lingering.pop_front(),
                    _ => None,
                }
            };
            let Some((_, topic)) = due else { break };
            self.let_go(&topic);
        }
        self.drive();
    }

    /// How many channels have or lately had subscribers here.
    pub fn channels(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.read().len()).sum()
    }

    /// How many publishes wait for the adapter.
    pub fn open_tickets(&self) -> usize {
        self.tickets.len()
    }

    /// The queue of one shard.
    pub fn shard(&self, index: usize) -> &ShardHandle {
        &self.shards[index]
    }

    /// Counts a subscriber of `shard`. True when its subscription may be confirmed at once.
    pub(crate) fn enter(&self, topic: &Topic, shard: usize) -> Result<bool, DoorError> {
        let channel = loop {
            let channel = self.find_or_add(topic);
            let mut members = channel.state.lock();
            if members.removed {
                continue;
            }
            if members.total == 0
                && !members.following
                && let Err(error) = self.adapter.submit(AdapterRequest::Follow(topic.clone()))
            {
                self.linger(&mut members, topic, 0);
                return Err(error);
            }
            members.by_shard[shard] += 1;
            members.total += 1;
            if members.following {
                return Ok(true);
            }
            drop(members);
            break channel;
        };
        self.drive();
        let following = channel.state.lock().following;
        Ok(following)
    }

    /// Takes a subscriber of `shard` off.
    pub(crate) fn leave(&self, topic: &Topic, shard: usize, now_ms: u64) {
        let Some(channel) = self.find(topic) else { return };
        let mut members = channel.state.lock();
        members.by_shard[shard] -= 1;
        members.total -= 1;
        if members.total == 0 {
            self.linger(&mut members, topic, now_ms);
        }
    }

    fn linger(&self, members: &mut Members, topic: &Topic, since_ms: u64) {
        if !std::mem::replace(&mut members.lingers, true) {
            self.lingering.lock().push_back((since_ms, topic.clone()));
        }
    }

    /// Under the channel's lock: to the shards, then into the adapter's queue.
    fn hand_over(&self, event: Event, ticket: u64) -> Result<(), DoorError> {
        let envelope = Envelope {
            topic: event.topic.clone(),
            frame: event.frame.clone(),
            ticket,
        };
        let Some(channel) = self.find(&event.topic) else {
            return self.adapter.submit(AdapterRequest::Publish(envelope));
        };
        let members = channel.state.lock();
        for (handle, _) in self
            .shards
            .iter()
            .zip(&members.by_shard)
            .filter(|(_, count)| **count > 0)
        {
            handle.push(Job::Deliver(event.clone()));
        }
        self.adapter.submit(AdapterRequest::Publish(envelope))
    }

    fn let_go(&self, topic: &Topic) {
        let mut stripe = self.stripe(topic).write();
        let Some(channel) = stripe.get(topic).cloned() else {
            return;
        };
        let mut members = channel.state.lock();
        members.lingers = false;
        if members.total > 0 {
            return;
        }
        members.removed = true;
        stripe.remove(topic);
        // Best effort: an adapter that is gone has forgotten the topic anyway.
        let _ = self.adapter.submit(AdapterRequest::Unfollow(topic.clone()));
    }

    fn find(&self, topic: &Topic) -> Option<Arc<Channel>> {
        self.stripe(topic).read().get(topic).cloned()
    }

    fn find_or_add(&self, topic: &Topic) -> Arc<Channel> {
        if let Some(channel) = self.find(topic) {
            return channel;
        }
        let mut stripe = self.stripe(topic).write();
        Arc::clone(
            stripe
                .entry(topic.clone())
                .or_insert_with(|| Arc::new(Channel::new(self.shards.len()))),
        )
    }

    fn stripe(&self, topic: &Topic) -> &Stripe {
        // The table inside the stripe hashes with keys of its own, so taking low bits here leaves it even.
        &self.stripes[self.hasher.hash_one(topic) as usize % STRIPES]
    }
}

impl Traffic for Hub {
    fn confirmed(&self, tickets: &[u64]) {
        self.tickets.settle(tickets, &Ok(()));
    }

    fn failed(&self, tickets: &[u64], error: &DoorError) {
        self.tickets.settle(tickets, &Err(error.clone()));
    }

    fn following(&self, topics: &[Topic]) {
        for topic in topics {
            let Some(channel) = self.find(topic) else { continue };
            let mut members = channel.state.lock();
            if std::mem::replace(&mut members.following, true) {
                continue;
            }
            for (handle, _) in self
                .shards
                .iter()
                .zip(&members.by_shard)
                .filter(|(_, count)| **count > 0)
            {
                handle.push(Job::Following(topic.clone()));
            }
            self.notices.occupied(topic);
        }
    }

    fn state(&self, degraded: Option<String>) {
        *self.degraded.write() = degraded;
    }
}

impl Receipt {
    /// The adapter's answer, if it has come. The adapters that answer inside the call have it here.
    pub fn settled(&mut self) -> Option<Result<(), PublishError>> {
        let settled = self.answer.try_recv().ok()?;
        Some(settled.map_err(PublishError::Unknown))
    }

    /// Waits for the adapter. The caller bounds the wait and drops the receipt when it gives up.
    ///
    /// # Errors
    /// [`PublishError::Unknown`].
    pub async fn confirmed(mut self) -> Result<(), PublishError> {
        match (&mut self.answer).await {
            Ok(settled) => settled.map_err(PublishError::Unknown),
            Err(_) => Err(PublishError::Unavailable("the server is stopping".to_owned())),
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.hub.tickets.forget(self.first, self.count);
    }
}

impl Channel {
    fn new(shards: usize) -> Self {
        let by_shard = vec![0; shards].into();
        Self {
            state: Mutex::new(Members {
                by_shard,
                total: 0,
                following: false,
                lingers: false,
                removed: false,
            }),
        }
    }
}

impl Notices {
    fn occupied(&self, topic: &Topic) {
        let k = self.count.fetch_add(1, Ordering::Relaxed);
        self.queue.offer(Notice {
            id: format!("{}-{k}", self.node),
            app: topic.app().to_owned(),
            name: "channel_occupied",
            channel: topic.channel().to_owned(),
            time_ms: 0,
        });
    }
}

/// Tables of channels, each under a lock of its own: many more than threads, so that they seldom meet.
const STRIPES: usize = 64;

/// How long a channel is followed after its last subscriber left: page changes and reconnects come back within it, and
/// cause neither broker traffic nor notices (the Pusher documents give 3 s for the same purpose).
const LINGER_MS: u64 = 3_000;

#[cfg(test)]
mod tests;
