//! The table of channels that have subscribers here, and the way of a message to them.
//!
//! The cluster decides what is delivered and in which order; it is told of everything that happens here, and tells this
//! hub what comes of it. A delivery takes one channel's lock for a moment: under it the frame is handed to every shard that
//! has subscribers, so all of them see one order. Neither plugins nor the cluster run under it.

mod joining;
mod questions;
mod told;

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
use crate::cluster::{Cluster, Health, News};
use crate::command::Command;
use crate::doors::NoticeQueue;
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
    cluster: Arc<dyn Cluster>,
    apps: Arc<dyn Apps>,
    tickets: Tickets,
    health: RwLock<Health>,
    notices: Notices,
    users: Users,
    /// Locked inside of a channel's lock, so that what a new subscriber gets and what follows are of one piece.
    cache: Mutex<Cache>,
    /// Channels that were empty at that time, and are looked at again some time later; oldest first.
    empty: Mutex<VecDeque<(u64, Topic)>>,
    /// Channels whose subscribers are to be told how many they are, when it is time.
    recount: Mutex<Vec<Topic>>,
    /// Tells one occupation of a channel from another.
    occupations: AtomicU64,
    /// The time as last heard of, for what happens when the cluster speaks.
    now_ms: AtomicU64,
}

/// A part of the table of channels.
type Stripe = RwLock<HashMap<Topic, Arc<Channel>>>;

/// One event on its way to the subscribers of one channel.
#[derive(Clone, Debug)]
pub struct Event {
    /// The channel.
    pub topic: Topic,
    /// The WebSocket frame, the same bytes for every subscriber.
    pub frame: Bytes,
    /// Who is not to get it.
    pub except: Option<SocketId>,
    /// Whether a cache channel keeps it.
    pub kept: bool,
}

/// Why a publish was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Nothing was delivered: the adapter cannot reach other instances.
    #[error("nothing was delivered: {0}")]
    Unavailable(String),
    /// Nothing was delivered: too much waits already.
    #[error("nothing was delivered: this instance is over its capacity; try again")]
    Overloaded,
    /// Delivered here; whether elsewhere is unknown.
    #[error("delivered on this instance; whether on others is unknown, and a retry may deliver twice: {0}")]
    Unknown(String),
}

/// A publish that is on its way to subscribers; its outcome may be outstanding.
pub struct Receipt {
    hub: Arc<Hub>,
    first: u64,
    answer: oneshot::Receiver<Settled>,
}

impl Hub {
    /// A hub over these shards. `node` names this process uniquely.
    pub fn new(
        shards: Vec<ShardHandle>,
        cluster: Arc<dyn Cluster>,
        queue: Arc<dyn NoticeQueue>,
        apps: Arc<dyn Apps>,
        node: String,
    ) -> Arc<Self> {
        Arc::new(Self {
            stripes: (0..STRIPES).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            shards: shards.into(),
            cluster,
            tickets: Tickets::default(),
            health: RwLock::default(),
            notices: Notices::new(queue, Arc::clone(&apps), node),
            apps,
            users: Users::default(),
            cache: Mutex::default(),
            empty: Mutex::default(),
            recount: Mutex::default(),
            occupations: AtomicU64::new(0),
            now_ms: AtomicU64::new(0),
        })
    }

    /// Delivers events to the subscribers of all instances. What the receipt says of them may come at once.
    ///
    /// # Errors
    /// [`PublishError::Overloaded`]: nothing was delivered.
    pub fn publish(self: &Arc<Self>, _pass: &Pass, events: Vec<Event>) -> Result<Receipt, PublishError> {
        if self.shards.iter().any(ShardHandle::is_full) {
            return Err(PublishError::Overloaded);
        }
        let count = events.len();
        let (first, answer) = self.tickets.open(count);
        for (event, ticket) in events.into_iter().zip(first..) {
            let (topic, frame) = (event.topic.clone(), event.frame.clone());
            let kept = event.kept;
            if let Err(error) = self.cluster.submit(News::Publish(event, Some(ticket))) {
                let outcome = Err(PublishError::Unavailable(error.to_string()));
                self.tickets.settle(ticket, &outcome);
            } else if kept {
                // Instances that do not follow the channel now may have subscribers of it later.
                self.command(Command::Keep {
                    topic: topic.as_str(),
                    frame: &frame,
                });
            }
        }
        self.drive();
        Ok(Receipt {
            hub: Arc::clone(self),
            first,
            answer,
        })
    }

    /// Tells the app's server of a client event that was published.
    pub fn notice_client_event(&self, topic: &Topic, event: &ClientEvent, sender: SocketId) {
        self.notices.client_event(topic, event, sender);
    }

    /// How instances reach each other.
    pub fn health(&self) -> Health {
        self.health.read().clone()
    }

    /// Whether this instance knows the others.
    pub fn is_open(&self) -> bool {
        self.health.read().open
    }

    /// Lets the cluster work off what is queued. Also called from time to time, for adapters that restart.
    pub fn drive(&self) {
        self.cluster.drive(self);
    }

    /// Looks at what happened a while ago: lets go of empty channels, forgets old events. Called every second or so.
    pub fn sweep(&self, now_ms: u64) {
        while let Some((since_ms, topic)) = self.due(now_ms) {
            self.let_go(&topic, since_ms);
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

    /// To the hubs of all instances.
    fn command(&self, command: Command<'_>) {
        // A queue that is full has refused what the command belongs to as well.
        let _ = self.cluster.submit(News::Command(command.encode()));
    }

    /// Hands an event to every shard with subscribers.
    fn push_all(&self, state: &State, event: Event) {
        for (handle, _) in self.shards.iter().zip(&state.by_shard).filter(|(_, count)| **count > 0) {
            handle.push(Job::Deliver(event.clone()));
        }
    }

    fn due(&self, now_ms: u64) -> Option<(u64, Topic)> {
        let mut empty = self.empty.lock();
        let (since_ms, _) = empty.front()?;
        if since_ms + HOLD_MS <= now_ms {
            empty.pop_front()
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
            self.empty.lock().push_back((now_ms, topic.clone()));
        }
    }

    fn stripe(&self, topic: &str) -> &Stripe {
        // The table inside the stripe hashes with keys of its own, so taking low bits here leaves it even.
        &self.stripes[self.hasher.hash_one(topic) as usize % STRIPES]
    }
}

impl Receipt {
    /// The outcome, if it has come. Adapters that answer inside the call have it here.
    pub fn settled(&mut self) -> Option<Result<(), PublishError>> {
        self.answer.try_recv().ok()
    }

    /// Waits for the outcome. The cluster bounds the wait.
    ///
    /// # Errors
    /// As the cluster says.
    pub async fn confirmed(mut self) -> Result<(), PublishError> {
        match (&mut self.answer).await {
            Ok(settled) => settled,
            Err(_) => Err(PublishError::Unavailable("the server is stopping".to_owned())),
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        // Else it is forgotten already.
        if !self.answer.is_terminated() {
            self.hub.tickets.forget(self.first);
        }
    }
}

/// Tables of channels, each under a lock of its own: many more than threads, so that they seldom meet.
const STRIPES: usize = 64;

/// How long an empty channel is kept: page changes and reconnects come back within it.
const HOLD_MS: u64 = 3_000;
