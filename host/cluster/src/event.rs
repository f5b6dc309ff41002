//! What the cluster is told, and what it wants done.

use std::sync::Arc;

use bytes::Bytes;
use jackfield_envelope::{NodeId, Topic, User};
use jackfield_hub::doors::Reach;

pub use jackfield_envelope::{Announcement, Stay, Turn};

/// One attached adapter. The rooms above number them, below [`MAX_BUSES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BusId(pub u8);

/// So many adapters may be attached at once: one, two during a swap, and room for a swap that is asked for meanwhile.
pub const MAX_BUSES: u8 = 8;

/// Something happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The time that [`Cluster::wake`](crate::Cluster::wake) named has come.
    Wake,

    // ---- from adapters
    /// An adapter is there. Its link is down at first.
    Attach(BusId, Reach),
    /// The adapter that the configuration names now. The others are left when nobody needs them any more, and given up some time
    /// later ([`Effect::Detached`]).
    Target(BusId),
    /// The adapter can reach its broker. It follows nothing yet.
    LinkUp(BusId),
    /// It cannot; what it followed is forgotten.
    LinkDown(BusId),
    /// A message came.
    Message {
        /// Over which adapter.
        bus: BusId,
        /// The topic on which it came.
        topic: &'a str,
        /// As it came.
        bytes: Bytes,
    },
    /// Followers of the topic will see what was published with this ticket.
    Confirmed(BusId, u64),
    /// Nobody knows whether what was published with this ticket was sent.
    Failed(BusId, u64),
    /// What is published on the topic arrives from now on.
    Following(BusId, &'a str),
    /// The broker let go of the topic without being asked.
    Lost(BusId, &'a str),

    // ---- from the hub
    /// Publish.
    Publish(Publication),
    /// The first subscriber of a channel is here, or waits to be. The number comes back in [`Effect::Followed`].
    Occupied(&'a Topic, u64),
    /// The last one is gone.
    Vacated(&'a Topic),
    /// A channel has so many subscribers here. For channels whose subscribers are told.
    Counted(&'a Topic, u32),
    /// A user's first connection here came into a presence channel. A signed-in user is a member of a topic that stands
    /// for the app: it has no subscribers, so the app's server is not told.
    Joined(&'a Topic, &'a User, Bytes),
    /// A user's last connection here is gone.
    Left(&'a Topic, &'a User),
    /// This node is about to end: its sockets are closed.
    Leave,
}

/// Something to publish.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The channel.
    pub topic: Topic,
    /// The same bytes for every subscriber.
    pub frame: Bytes,
    /// For the hub at the other side.
    pub flags: u8,
    /// The socket that is not to get it.
    pub except: Option<u64>,
    /// By which the answer is given; none if nobody waits for one.
    pub ticket: Option<u64>,
}

/// Something is to be done. In this order: what is announced is queued before it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    // ---- to adapters
    /// Publish this; a ticket wants a [`Event::Confirmed`].
    Publish {
        /// Over which adapter.
        bus: BusId,
        /// Where.
        topic: Topic,
        /// What.
        bytes: Bytes,
        /// None for what nobody waits for.
        ticket: Option<u64>,
    },
    /// Follow these topics. Those that are followed already are confirmed again.
    Follow(BusId, Vec<Topic>),
    /// Follow them no longer.
    Unfollow(BusId, Vec<Topic>),
    /// Everybody is on the target, as far as is known: this one is listened to for a while, and not used any more.
    Left(BusId),
    /// The adapter is attached no longer.
    Detached(BusId),

    // ---- to the hub
    /// The end of a publish.
    Answer(u64, Answer),
    /// To the subscribers of a topic here.
    Deliver(Delivery),
    /// Subscribers of the topic that wait are welcome: what is published from now on reaches them. With the number that its
    /// last [`Event::Occupied`] had: subscribers of a later one are not meant.
    Followed(Topic, u64),
    /// Close the topic's sockets with 4200: something was lost for them.
    Close {
        /// The topic.
        topic: Topic,
        /// Why, for the count.
        why: Loss,
    },
    /// A user came into a presence channel, somewhere. Local users included.
    MemberAdded(Topic, User, Bytes),
    /// The user is nowhere in it any more.
    MemberRemoved(Topic, User),
    /// A channel has so many subscribers everywhere.
    Count(Topic, u64),
    /// Queue the webhook `channel_occupied` or `channel_vacated` under an id made of all four fields, and durably.
    Announce(Announcement),
    /// Queue the webhook `member_added` or `member_removed` under an id made of the stay and the turn, and durably.
    Notice(MemberNotice),
    /// How things are has changed.
    State(State),
    /// Another node uses this one's name and goes on doing so. This one must not start.
    NameTaken(NodeId),
    /// Peers know that this node goes; nothing is left to do.
    Gone,
}

/// A user who came into a presence channel, or left it, as the app's server is told of it. Every node makes the same of it; for
/// the exceptions see `notices.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberNotice {
    /// The channel.
    pub topic: Topic,
    /// Who.
    pub user: User,
    /// With which stay the user came, or which one was the last.
    pub stay: Stay,
    /// What it was.
    pub turn: Turn,
}

impl MemberNotice {
    /// Whether the user is there.
    pub const fn came(&self) -> bool {
        is_coming(self.turn)
    }
}

/// The end of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Every live peer's followers will see it.
    Confirmed,
    /// Nothing was delivered, nothing was numbered.
    Refused(Refused),
    /// It was delivered here; elsewhere, perhaps.
    Unknown,
}

/// Why nothing was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// This node is not open yet, or not any more.
    #[error("this instance is not open")]
    NotOpen,
    /// No adapter reaches its broker.
    #[error("the adapter has no link")]
    NoLink,
    /// Too many publishes wait, or too many topics are remembered.
    #[error("this instance is over its capacity")]
    Overloaded,
    /// The frame is longer than can be carried.
    #[error("the event is too large for the cluster")]
    TooLarge,
}

/// One frame for the subscribers of a topic here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The channel.
    pub topic: Topic,
    /// Shared bytes.
    pub frame: Bytes,
    /// As its publisher gave them.
    pub flags: u8,
    /// Who is not to get it.
    pub except: Option<u64>,
}

/// How something was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// An origin did not answer, or had not kept what was missing.
    Gap,
    /// An origin left, and nobody knows its last word.
    Debt,
}

/// How things are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Clients may connect and publish.
    pub open: bool,
    /// What other nodes have is known in full.
    pub complete: bool,
    /// Why not all is well.
    pub degraded: Option<Degraded>,
    /// The names of live nodes that serve other apps than this one. Everything works nevertheless, but who is to tell an app's server
    /// may be one that does not know the app.
    pub neighbours: Vec<Arc<str>>,
}

/// Why not all is well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Degraded {
    /// No adapter has a link.
    #[error("no adapter has a link")]
    NoLink,
    /// A link is up, but nothing comes over it.
    #[error("nothing comes over the link")]
    Unproven,
    /// A peer is alive, but does not say that it hears this node.
    #[error("node {0} does not hear this one")]
    Unheard(NodeId),
    /// The swap to another adapter waits for that one's link.
    #[error("the adapter that is swapped to has no link")]
    NoTarget,
    /// The swap to another adapter waits for this node.
    #[error("the swap waits for node {0}")]
    SwapWaits(NodeId),
}

pub(crate) const fn is_coming(turn: Turn) -> bool {
    matches!(turn, Turn::Came | Turn::Back(_))
}
