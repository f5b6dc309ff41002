//! The table of channels that have subscribers here, and the way of a message to them.
//!
//! A publish takes one channel's lock for a moment: under it the frame is handed to every shard that has subscribers
//! and to the adapter's queue, so all of them see one order. Plugins run after the lock is released. A channel without
//! subscribers here costs nothing but the adapter's part.

mod joining;
mod questions;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jackfield_protocol::names::SocketId;
use jackfield_protocol::pusher::session::ClientEvent;
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use crate::app::Apps;
use crate::cache::Cache;
use crate::channel::{Channel, State};
use crate::doors::{Adapter, AdapterRequest, DoorError, Envelope, NoticeQueue, Traffic};
use crate::gate::Pass;
use crate::notices::Notices;
use crate::shard::{Job, ShardHandle};
use crate::tickets::{Settled, Tickets};
use crate::topic::Topic;
use crate::users::Users;

pub use joining::JoinError;
pub(crate) use joining::Leaver;
pub use questions::Occupancy;

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
    users: Users,
    /// Locked inside of a channel's lock, so that what a new subscriber gets and what follows are of one piece.
    cache: Mutex<Cache>,
    /// What is looked at again some time after it happened, oldest first.
    later: Mutex<VecDeque<(u64, Later)>>,
    /// Channels whose subscribers are to be told how many they are, when it is time.
    recount: Mutex<Vec<Topic>>,
    /// The time as last heard of, for what happens when an adapter speaks.
    now_ms: AtomicU64,
}

/// A part of the table of channels.
type Stripe = RwLock<HashMap<Topic, Arc<Channel>>>;

/// What may have become true a while after something happened.
enum Later {
    /// The channel is still empty.
    Empty(Topic),
    /// The user is still away.
    Away(Topic, String),
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
    /// The publisher's data, for a cache channel to keep; none for what is not kept.
    pub kept: Option<Arc<str>>,
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

impl Hub {
    /// A hub over these shards. `node` names this process uniquely.
    pub fn new(
        shards: Vec<ShardHandle>,
        adapter: Arc<dyn Adapter>,
        queue: Arc<dyn NoticeQueue>,
        apps: Arc<dyn Apps>,
        node: String,
    ) -> Arc<Self> {
        Arc::new(Self {
            stripes: (0..STRIPES).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            shards: shards.into(),
            adapter,
            tickets: Tickets::default(),
            degraded: RwLock::new(Some("the adapter has not started".to_owned())),
            notices: Notices::new(queue, apps, node),
            users: Users::default(),
            cache: Mutex::default(),
            later: Mutex::default(),
            recount: Mutex::default(),
            now_ms: AtomicU64::new(0),
        })
    }

    /// Delivers events to local subscribers and offers them to other instances. Local fan-out is queued when this
    /// returns.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`] and [`PublishError::Overloaded`]: nothing was delivered.
    pub fn publish(self: &Arc<Self>, _pass: &Pass, events: Vec<Event>, now_ms: u64) -> Result<Receipt, PublishError> {
        if let Some(reason) = self.degraded() {
            return Err(PublishError::Unavailable(reason));
        }
        if self.shards.iter().any(ShardHandle::is_full) {
            return Err(PublishError::Overloaded);
        }
        let count = events.len();
        let (first, answer) = self.tickets.open(count);
        for (event, ticket) in events.into_iter().zip(first..) {
            if let Err(error) = self.hand_over(event, ticket, now_ms) {
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

    /// Tells the app's server of a client event that was published.
    pub fn notice_client_event(&self, topic: &Topic, event: &ClientEvent, sender: SocketId) {
        self.notices.client_event(topic, event, sender);
    }

    /// What the adapter says of itself: none when instances can reach each other.
    pub fn degraded(&self) -> Option<String> {
        self.degraded.read().clone()
    }

    /// Lets the adapter work off what is queued. Also called from time to time, for adapters that restart.
    pub fn drive(&self) {
        self.adapter.drive(self);
    }

    /// Looks at what happened a while ago: lets go of empty channels, tells of users who stayed away, forgets old events.
    /// Called every second or so.
    pub fn sweep(&self, now_ms: u64) {
        while let Some((since_ms, later)) = self.due(now_ms) {
            match later {
                Later::Empty(topic) => self.let_go(&topic, since_ms),
                Later::Away(topic, user_id) => self.tell_if_gone(&topic, &user_id, since_ms),
            }
        }
        self.now_ms.store(now_ms, Ordering::Relaxed);
        self.cache.lock().sweep(now_ms);
        self.tell_counts(now_ms);
        self.drive();
    }

    /// The queue of one shard.
    pub fn shard(&self, index: usize) -> &ShardHandle {
        &self.shards[index]
    }

    /// How many publishes wait for the adapter.
    pub fn open_tickets(&self) -> usize {
        self.tickets.len()
    }

    /// Under the channel's lock: to the shards, then into the adapter's queue.
    fn hand_over(&self, event: Event, ticket: u64, now_ms: u64) -> Result<(), DoorError> {
        let envelope = Envelope {
            topic: event.topic.clone(),
            frame: event.frame.clone(),
            ticket,
        };
        // An event that is kept needs the lock even without subscribers: one may just be coming.
        let channel = match &event.kept {
            None => self.find(event.topic.as_str()),
            Some(_) => Some(self.find_or_add(&event.topic, now_ms)),
        };
        let Some(channel) = channel else {
            return self.adapter.submit(AdapterRequest::Publish(envelope));
        };
        let mut state = channel.state.lock();
        if let Some(data) = &event.kept {
            self.cache
                .lock()
                .put(&event.topic, event.frame.clone(), Arc::clone(data), now_ms);
            state.missed = false;
        }
        self.push_all(&state, event);
        self.adapter.submit(AdapterRequest::Publish(envelope))
    }

    /// Hands an event to every shard with subscribers.
    fn push_all(&self, state: &State, event: Event) {
        for (handle, _) in self.shards.iter().zip(&state.by_shard).filter(|(_, count)| **count > 0) {
            handle.push(Job::Deliver(event.clone()));
        }
    }

    fn due(&self, now_ms: u64) -> Option<(u64, Later)> {
        let mut later = self.later.lock();
        let (since_ms, _) = later.front()?;
        if since_ms + HOLD_MS <= now_ms {
            later.pop_front()
        } else {
            None
        }
    }

    fn let_go(&self, topic: &Topic, since_ms: u64) {
        let mut stripe = self.stripe(topic.as_str()).write();
        let Some(channel) = stripe.get(topic).cloned() else {
            return;
        };
        let mut state = channel.state.lock();
        state.lingers = false;
        if state.total > 0 {
            return;
        }
        if state.empty_since_ms > since_ms {
            // It was occupied in between: its time begins anew.
            let since_ms = state.empty_since_ms;
            self.linger(&mut state, topic, since_ms);
            return;
        }
        state.removed = true;
        stripe.remove(topic);
        // Who came and left within one millisecond is looked at behind the channel, and it will be gone by then.
        for user_id in state.presence.take_leaving() {
            self.notices.member_removed(topic, &user_id);
        }
        if state.announced {
            self.notices.vacated(topic);
        }
        // Best effort: an adapter that is gone has forgotten the topic anyway.
        let _ = self.adapter.submit(AdapterRequest::Unfollow(topic.clone()));
    }

    fn find(&self, topic: &str) -> Option<Arc<Channel>> {
        self.stripe(topic).read().get(topic).cloned()
    }

    fn find_with_topic(&self, topic: &str) -> Option<(Topic, Arc<Channel>)> {
        let stripe = self.stripe(topic).read();
        let (topic, channel) = stripe.get_key_value(topic)?;
        Some((topic.clone(), Arc::clone(channel)))
    }

    /// A channel that is new lingers from the start, in case nobody comes.
    fn find_or_add(&self, topic: &Topic, now_ms: u64) -> Arc<Channel> {
        if let Some(channel) = self.find(topic.as_str()) {
            return channel;
        }
        let mut stripe = self.stripe(topic.as_str()).write();
        let channel = stripe
            .entry(topic.clone())
            .or_insert_with(|| Arc::new(Channel::new(self.shards.len())));
        let mut state = channel.state.lock();
        if state.total == 0 {
            self.linger(&mut state, topic, now_ms);
        }
        drop(state);
        Arc::clone(channel)
    }

    /// The channel is empty: it is let go if it stays so.
    fn linger(&self, state: &mut State, topic: &Topic, now_ms: u64) {
        state.empty_since_ms = now_ms;
        if !std::mem::replace(&mut state.lingers, true) {
            self.later.lock().push_back((now_ms, Later::Empty(topic.clone())));
        }
    }

    fn stripe(&self, topic: &str) -> &Stripe {
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

    fn following(&self, topics: &[String]) {
        for topic in topics {
            self.welcome_waiting(topic);
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

/// Tables of channels, each under a lock of its own: many more than threads, so that they seldom meet.
const STRIPES: usize = 64;

/// How long a channel is followed after its last subscriber left, and a user awaited before the app's server is told:
/// page changes and reconnects come back within it (Pusher documents, "Webhooks": up to 3 s).
const HOLD_MS: u64 = 3_000;

#[cfg(test)]
mod tests;
