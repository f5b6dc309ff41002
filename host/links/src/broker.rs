//! Links to the brokers through which instances reach each other: Redis, Redis Cluster, NATS.
//!
//! A link connects by itself and for ever, remembers what is followed, and says in one ordered stream of events what
//! became of everything. It is *up* only while a canary, a message of its own, comes back through the very connections that
//! carry the rest; a broker that accepts and stays silent is down within seconds.
//!
//! The protocols are the business of the crates `redis` and `async-nats`. What stands here is what they leave to their users: how
//! much may be under way, what is told when something was lost, and whether a connection still carries what it is given.
//!
//! Invariants: nothing waits in `publish`, `follow` and `unfollow`; a link that is down holds no message; no link
//! waits for another; neither Debug output nor an event holds a password.

mod backoff;
mod cluster;
mod flight;
mod handover;
mod interest;
mod keeper;
mod life;
mod nats;
mod options;
mod place;
mod pulse;
mod redis;
mod shared;
mod single;
mod slots;
mod socket;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use crate::tls::TlsOptions;
use keeper::Keeper;
pub use options::{NatsOptions, RedisClusterOptions, RedisOptions, Secret};

/// What happened on a link. Handed over in batches, in order, to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Proven: a canary has come back through the connections that carry messages.
    Up,
    /// Not to be relied on, and why. What was in flight is [`Self::Failed`]; what was followed will be followed again. Told
    /// again while the link is down whenever the reason changes.
    Down(String),
    /// Somebody, perhaps this very link, published this.
    Message {
        /// Where.
        subject: String,
        /// What.
        payload: Bytes,
    },
    /// The ticket of a message that the broker has taken.
    Confirmed(u64),
    /// The ticket of a message of which nobody knows whether the broker has taken it.
    Failed(u64),
    /// The broker has confirmed the subscription. Told again after a reconnect, and when one asks again.
    Following(String),
    /// A subscription ended without being asked to: messages may be missed until it is [`Self::Following`] again, which
    /// the link sees to.
    Lost(String),
}

/// A message to publish.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where.
    pub subject: String,
    /// At most [`MAX_PAYLOAD_BYTES`].
    pub payload: Bytes,
    /// Comes back once, in [`LinkEvent::Confirmed`] or [`LinkEvent::Failed`]; in order of publishing per server.
    pub ticket: u64,
}

/// Why nothing of a batch was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is no proven way to the broker.
    #[error("the link is down")]
    Down,
    /// More is on its way already than the broker keeps up with.
    #[error("the link has too much on its way")]
    Full,
    /// The broker knows no such subject, or the payload is too large.
    #[error("{0}")]
    Malformed(String),
}

/// A moment of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Whether publishing is possible.
    pub up: bool,
    /// How often it was up again after it had been down.
    pub reconnects: u64,
    /// Messages that the broker confirmed.
    pub published: u64,
    /// Messages received.
    pub received: u64,
    /// Messages that are waiting or unconfirmed.
    pub queued: usize,
    /// Messages that were refused because too much was on its way.
    pub refused: u64,
    /// How long the last canary took, from the queue to the subscription.
    pub round_trip: Duration,
}

/// A link, on a thread of its own, which also calls its receiver: a receiver that takes its time has the broker wait. Dropping it closes its
/// connections, tells nothing more and forgets everything.
pub trait Link: Send + Sync {
    /// Takes a batch; never waits.
    ///
    /// # Errors
    /// Refused as a whole; nothing was sent then and no ticket comes back.
    fn publish(&self, batch: Vec<Outgoing>) -> Result<(), LinkError>;

    /// Follows subjects from now on, over every reconnect; each is told when it is confirmed. Following twice is following.
    ///
    /// # Errors
    /// [`LinkError::Malformed`] if one of them can be no subject; nothing changes then.
    fn follow(&self, subjects: Vec<String>) -> Result<(), LinkError>;

    /// Ends that. Messages on their way may still come. Unknown subjects are passed over.
    fn unfollow(&self, subjects: Vec<String>);

    /// How it does.
    fn stats(&self) -> LinkStats;
}

/// Opens a link to one Redis server, or to whichever server is the master now if sentinels are named. Any server since
/// 2.6 will do: RESP2, AUTH, PUBLISH and SUBSCRIBE are all that it needs to allow.
///
/// # Errors
/// When the options make no sense or a file of them cannot be read. A server that is away is none: see [`LinkEvent::Down`].
pub fn open_redis(
    options: &RedisOptions,
    receiver: impl Fn(Vec<LinkEvent>) + Send + 'static,
) -> Result<Arc<dyn Link>, String> {
    Keeper::open(options.check()?, receiver)
}

/// Opens a link to a Redis Cluster: to each primary with sharded Pub/Sub if every one knows it, as they do since 7.0, else to one of
/// the others with the classic kind, which the cluster spreads to all its servers.
///
/// # Errors
/// As [`open_redis`].
pub fn open_redis_cluster(
    options: &RedisClusterOptions,
    receiver: impl Fn(Vec<LinkEvent>) + Send + 'static,
) -> Result<Arc<dyn Link>, String> {
    Keeper::open(options.check()?, receiver)
}

/// Opens a link to a NATS server, or to any one of a cluster's. Its own messages come back, as with Redis.
///
/// # Errors
/// As [`open_redis`].
pub fn open_nats(
    options: &NatsOptions,
    receiver: impl Fn(Vec<LinkEvent>) + Send + 'static,
) -> Result<Arc<dyn Link>, String> {
    Keeper::open(options.check()?, receiver)
}

/// The largest payload: the limit of a NATS server as it comes. An event may have 10 KiB, an envelope hardly more.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// The longest subject: a NATS server takes lines of 4 KiB. A topic of 400 bytes, each written as three, has room here, and a prefix.
pub const MAX_SUBJECT_BYTES: usize = 2_048;
