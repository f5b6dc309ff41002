//! What the hub and the cluster tell each other.
//!
//! The hub tells the cluster what happens here, in the order in which it happens under a channel's lock; the cluster
//! tells the hub what that means, one thing after the other. Between them stands a queue: [`Cluster::submit`] never waits, and
//! [`Cluster::drive`] works off what has gathered on the calling thread, unless another one is at it. So no channel's lock is
//! ever held while a plugin runs or while the cluster thinks.

use std::sync::Arc;

use bytes::Bytes;
use jackfield_protocol::names::SocketId;

use crate::doors::DoorError;
use crate::hub::{Event, PublishError};
use crate::topic::Topic;
use crate::users::Place;

/// The way to the other instances, and what is known of all of them.
pub trait Cluster: Send + Sync {
    /// Queues what happened here. Never runs a plugin, never waits.
    ///
    /// # Errors
    /// The queue is full, or the door has no plugin. What cannot be taken back (somebody has left) is never refused.
    fn submit(&self, news: News) -> Result<(), DoorError>;

    /// Works off what is queued and tells `hub` what comes of it. Called with no lock held.
    fn drive(&self, hub: &dyn Listener);

    /// What is known of a channel at other instances. Like all questions below, not to be asked from within [`Listener::hear`].
    fn elsewhere(&self, topic: &Topic) -> Elsewhere;

    /// The channels of an app with subscribers at other instances, and how many those are.
    fn channels_elsewhere(&self, app: &str) -> Vec<(String, u64)>;
}

/// What is known of a channel beyond this hub.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    /// Subscribers at other instances.
    pub subscribers: u64,
    /// The users of a presence channel, here and elsewhere.
    pub members: Vec<Present>,
}

/// What happens here.
#[derive(Debug)]
pub enum News {
    /// To be delivered here and elsewhere. With the ticket of who waits for the answer.
    Publish(Event, Option<u64>),
    /// For the hubs of all instances, this one included: see [`Told::Command`].
    Command(Bytes),
    /// The first subscriber waits. The number comes back with [`Told::Followed`].
    Occupied(Topic, u64),
    /// The last subscriber is gone.
    Vacated(Topic),
    /// So many subscribers are here.
    Counted(Topic, u32),
    /// A user's first connection came into a presence channel.
    Joined(Topic, Present),
    /// A user's last connection left it.
    Left(Topic, Arc<str>),
    /// A user signed in for the first time.
    SignedIn(Signed),
    /// A user's last connection is gone.
    SignedOut(Signed),
    /// A connection wants to know who of these users is there, now and from now on.
    Watch(Watch),
    /// It does no longer.
    Unwatch(Watch),
}

/// A user of an app.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signed {
    /// The app's id.
    pub app: Arc<str>,
    /// The user's id.
    pub user: Arc<str>,
}

/// Somebody in a presence channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The user's id.
    pub user: Arc<str>,
    /// `user_info` as JSON, or empty.
    pub info: Bytes,
}

/// Who watches for whom.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Who.
    pub place: Place,
    /// The app's id.
    pub app: Arc<str>,
    /// User ids.
    pub list: Vec<String>,
}

/// Hears what the cluster tells: the hub.
pub trait Listener {
    /// Called by [`Cluster::drive`], one thing after the other, with no channel's lock held.
    fn hear(&self, told: Told<'_>);
}

/// What the cluster tells the hub.
#[derive(Debug)]
pub enum Told<'a> {
    /// The end of the publish of this ticket.
    Answered(u64, Result<(), PublishError>),
    /// An event for the subscribers of a topic here.
    Event(Delivery<'a>),
    /// What [`News::Command`] said, here or elsewhere.
    Command(&'a [u8]),
    /// Who waits since the [`News::Occupied`] of this number is welcome: what is published from now on reaches them. With the
    /// users that are in a presence channel, everywhere.
    Followed(&'a str, u64, Vec<Present>),
    /// Something was lost for the subscribers of this topic: they are to connect anew.
    Lost(&'a str),
    /// A user came into a presence channel, here or elsewhere.
    MemberAdded(&'a str, Present),
    /// A user is nowhere in a presence channel any more.
    MemberRemoved(&'a str, &'a str),
    /// A channel has so many subscribers everywhere; and whether this instance tells the app's server.
    Counted(&'a str, u64, bool),
    /// A signed-in user is there, or is nowhere any more.
    Online(Signed, bool),
    /// The answer to [`News::Watch`]: who is there, in the order of the list.
    Watching(Watch, Vec<bool>),
    /// [`News::Unwatch`] has come up.
    Unwatch(Watch),
    /// This instance is to tell the app's server that a channel is occupied, or that it is not, under this id.
    Announce(&'a str, bool, String),
    /// This instance is to tell the app's server that a user came into a presence channel, or that they left it, under this id.
    Notice(&'a str, &'a str, bool, String),
    /// How things are has changed.
    Health(Health),
}

/// One event for the subscribers of a topic.
#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The frame.
    pub frame: Bytes,
    /// Who is not to get it.
    pub except: Option<SocketId>,
    /// A cache channel is to keep it.
    pub kept: bool,
}

/// How instances reach each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether this instance knows the others and is known to them. Nobody may connect before that.
    pub open: bool,
    /// Whether what the others have is known in full.
    pub complete: bool,
    /// Whether a publish reaches everybody; else why not.
    pub degraded: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            open: false,
            complete: false,
            degraded: Some("the adapter has not started".to_owned()),
        }
    }
}
