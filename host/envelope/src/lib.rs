//! What the nodes of a cluster say to each other, as bytes, and the names in it.
//!
//! `version, kind, sender (8 bytes), body`, and behind it a MAC if the cluster has a key. Numbers are LEB128, texts and
//! byte strings have their length in front. The kinds are a closed enum. Later versions may append fields to a body, and
//! a reader ignores what it does not know there, so that nodes of two neighbouring versions understand each other; a
//! change that an older reader cannot ignore takes a new version number.
//!
//! Reading allocates in proportion to what is there, never to what is announced, and never panics.

mod fields;
mod kinds;
#[cfg(test)]
mod recorded;
mod seal;
#[cfg(test)]
mod tests;
mod topic;
mod write;

use bytes::Bytes;

pub use fields::MAX_TOPIC_BYTES;
pub use seal::Seal;
pub use topic::{Micros, NodeId, Topic, User};

/// One message and who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub from: NodeId,
    pub message: Message,
}

/// All that can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Data(Data),
    Beat(Beat),
    /// To oneself, to prove a link.
    Canary,
    Tails(Tails),
    TailsAck(TailsAck),
    Need(Need),
    Resend(Resend),
    Moves(Moves),
    AskSnapshot(AskSnapshot),
    Snapshot(Snapshot),
    /// Somebody starts under this name.
    Hello(String),
    /// The name has a node already: the sender.
    Taken(String),
    Bye(Bye),
    /// The sender has told an app's server of these members.
    Told(Vec<Told>),
}

/// A publish, on its channel's topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    pub link: Link,
    /// Of the rooms above; carried as it is.
    pub flags: u8,
    /// The socket that is not to get it, as a number of the rooms above.
    pub except: Option<u64>,
    pub frame: Bytes,
}

/// The place of a publish in its origin's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Counts all publishes of the origin, from 1.
    pub n: u64,
    /// The publish before it on this topic; 0 if the origin remembers none.
    pub prev: u64,
    /// The origin's clock.
    pub at: Micros,
    /// The `at` of `prev`; if there is none, of the newest publish of any topic that the origin has forgotten.
    pub prev_at: Micros,
}

/// I am here. To all, once for each bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    pub name: String,
    /// Counts beats.
    pub k: u64,
    pub at: Micros,
    /// The control topics, and every topic with somebody to deliver to, are followed on this bus.
    pub ready: bool,
    pub open: bool,
    pub publishes: Publishes,
    pub roster_seq: u64,
    pub roster_digest: u64,
    /// The `at` of the newest publish that was forgotten.
    pub forgotten_at: Micros,
    /// When an open peer ended last that has not come back.
    pub death_at: Micros,
    /// All live peers.
    pub peers: Vec<Mark>,
    /// What the sender serves: see `Setup::apps` of the cluster. 0 from versions that did not say it.
    pub apps: u64,
}

/// What a node knows of one of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub node: NodeId,
    /// A beat of it was heard on this bus a moment ago.
    pub heard: bool,
    /// How far its roster is applied.
    pub applied: u64,
    /// Since when the sender knows it, without a break.
    pub since: Micros,
    /// It has acknowledged all that was published until then (the sender's clock)…
    pub settled_at: Micros,
    /// …on the topics that it occupied by this number of its roster.
    pub settled_seq: u64,
}

/// Where a node publishes, seen from the bus on which it says so. What is better for those who hear it comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Publishes {
    /// Here alone.
    Here,
    /// Here and elsewhere.
    Everywhere,
    /// Not here.
    Elsewhere,
}

/// The last numbers of topics that the receiver occupies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tails {
    /// Since when the sender knows the receiver: see [`Mark`].
    pub since: Micros,
    /// Entries up to this time are of topics that the receiver came to lately.
    pub after: Micros,
    /// All topics of the receiver with a publish in between have an entry.
    pub upto: Micros,
    /// How far the receiver's roster is applied.
    pub applied: u64,
    pub entries: Vec<Tail>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    pub topic: Topic,
    pub n: u64,
    pub at: Micros,
}

/// The sender knows now what it has to have; it asks if it has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailsAck {
    pub upto: Micros,
    /// The entries of topics that it came to lately.
    pub late: Vec<(Topic, u64)>,
}

/// Something is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub topic: Topic,
    /// All after this number; 0 if there is none yet.
    pub after: u64,
    /// The receiver's baseline: what is older is not owed.
    pub since: Micros,
}

/// The answer to [`Need`], perhaps in several pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resend {
    pub topic: Topic,
    /// What follows is all from here on: see [`Need`].
    pub after: u64,
    pub since: Micros,
    /// False: the ring does not reach back so far.
    pub whole: bool,
    /// The last number on this topic.
    pub top: u64,
    /// Envelopes with [`Data`].
    pub frames: Vec<Bytes>,
}

/// Transitions of the sender's part of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moves {
    /// The number of the first one.
    pub first: u64,
    pub moves: Vec<Move>,
}

/// One transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    Occupied(Topic),
    Vacated(Topic),
    /// So many subscribers are there.
    Counted(Topic, u32),
    Joined(Topic, User, Bytes),
    Left(Topic, User),
    Announced(Announcement),
}

/// A webhook that an owner has queued.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Announcement {
    /// The channel.
    pub topic: Topic,
    /// Tells this count from one that began before the channel was forgotten.
    pub series: u64,
    /// Counts what was announced of the channel.
    pub k: u64,
    /// Occupied, else vacated.
    pub occupied: bool,
}

/// A user's time in a presence channel at one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stay {
    pub node: NodeId,
    /// The number of the transition of that node with which it began.
    pub number: u64,
}

/// A webhook of a member that a node has queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub topic: Topic,
    pub user: User,
    /// The one that began, or the last one.
    pub stay: Stay,
    pub turn: Turn,
}

/// What a stay was for the cluster: before it, or after it, the user was nowhere in the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It began.
    Came,
    /// It ended.
    Left,
    /// Its node was given up after that beat; or somebody had told wrongly, about then, that the user is there.
    Gone(u64),
    /// With that beat its node was there again; or somebody had told wrongly, about then, that the user is gone.
    Back(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskSnapshot {
    /// Of which snapshot; 0 asks for a new one.
    pub id: u64,
    pub chunk: u32,
}

/// A part of the sender's part of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Tells it from others of this sender.
    pub id: u64,
    pub seq: u64,
    pub chunk: u32,
    pub of: u32,
    pub moves: Vec<Move>,
    /// For each of these the number that it had when it happened. Empty from versions that did not say it.
    pub numbers: Vec<u64>,
}

/// I go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bye {
    /// Nothing was published later.
    pub last_at: Micros,
    /// Who has acknowledged all, and on the topics told by which number of its roster.
    pub settled: Vec<(NodeId, u64)>,
}

/// Why bytes are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it ends too early")]
    Short,
    #[error("a length or number is out of bounds")]
    Bounds,
    #[error("a version that this program does not know")]
    Version,
    #[error("a kind of message that this program does not know")]
    Kind,
    #[error("the seal is wrong")]
    Seal,
}

impl Envelope {
    /// Reads what came on `topic`.
    pub fn decode(topic: &str, bytes: Bytes, seal: &Seal) -> Result<Self, Malformed> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(Malformed::Bounds);
        }
        kinds::read(seal.open(topic, bytes)?)
    }

    /// The bytes to send on `topic`.
    pub fn encode(&self, topic: &str, seal: &Seal) -> Bytes {
        seal.close(topic, write::write(self))
    }
}

/// Bodies of this version are understood, and written.
pub const VERSION: u8 = 1;

/// Nothing longer is read: a resent frame of the largest size fits.
pub const MAX_ENVELOPE_BYTES: usize = 1 << 20;

/// A longer frame is not published: it could not be resent.
pub const MAX_FRAME_BYTES: usize = MAX_ENVELOPE_BYTES / 2;

/// Lists are sent in pieces of about this size, so that no piece holds up what is behind it for long.
pub const CHUNK_BYTES: usize = 64 << 10;
