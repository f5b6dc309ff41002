//! One channel's state on this instance, all of it under one lock.
//!
//! Whoever holds the lock decides the order in which every shard sees what happens in the channel: joins, events, members
//! who come and go. So a new subscriber's welcome and the events after it can neither overlap nor leave a hole.

use std::sync::Arc;

use jackfield_protocol::pusher::session::Member;
use parking_lot::Mutex;

use crate::app::App;
use crate::cache::Cached;
use crate::presence::Presence;
use crate::users::Place;

/// A channel.
pub(crate) struct Channel {
    /// Held for a hand-over, never while a plugin runs.
    pub(crate) state: Mutex<State>,
}

/// What there is to know of it.
pub(crate) struct State {
    /// Subscribers by shard, those who wait included.
    pub(crate) by_shard: Box<[u32]>,
    pub(crate) total: u32,
    /// Whether messages of other instances arrive.
    pub(crate) following: bool,
    /// Tells this time of being occupied from earlier ones.
    pub(crate) occupation: u64,
    /// Who waits for that.
    pub(crate) waiting: Vec<Joiner>,
    pub(crate) presence: Presence,
    /// Whether the channel is in the list of those to be let go, and since when it has been empty.
    pub(crate) lingers: bool,
    pub(crate) empty_since_ms: u64,
    /// Whether the entry has left the table: whoever holds it looks again.
    pub(crate) removed: bool,
    /// Whether the app's server was told that the cache is empty, since it last was not.
    pub(crate) missed: bool,
    /// How many subscribers there are everywhere, and whether this instance tells the app's server.
    pub(crate) count: u64,
    pub(crate) count_owned: bool,
    /// When they were told last, and whether it has changed since.
    pub(crate) count_told_ms: u64,
    pub(crate) count_changed: bool,
}

/// Somebody who subscribes.
#[derive(Clone, Debug)]
pub(crate) struct Joiner {
    /// The app.
    pub(crate) app: Arc<App>,
    /// Which socket.
    pub(crate) place: Place,
    /// Tells the request from an earlier one of the same socket.
    pub(crate) ticket: u32,
    /// Who it is, in a presence channel.
    pub(crate) member: Option<Member>,
}

/// What somebody who has subscribed is told, exact for the moment of coming in.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The text of `subscription_succeeded`.
    pub text: String,
    /// The last event of a cache channel: none if the channel keeps none, and then what there is of it.
    pub cached: Option<Option<Cached>>,
}

impl Channel {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            state: Mutex::new(State {
                by_shard: vec![0; shards].into(),
                total: 0,
                following: false,
                occupation: 0,
                waiting: Vec::new(),
                presence: Presence::default(),
                lingers: false,
                empty_since_ms: 0,
                removed: false,
                missed: false,
                count: 0,
                count_owned: false,
                count_told_ms: 0,
                count_changed: false,
            }),
        }
    }
}

impl State {
    /// Takes somebody off the list of those who wait; true if they stood on it.
    pub(crate) fn forget_waiting(&mut self, place: Place, ticket: u32) -> bool {
        let before = self.waiting.len();
        self.waiting
            .retain(|joiner| joiner.place != place || joiner.ticket != ticket);
        self.waiting.len() < before
    }

    /// Nobody is left: what comes next is another time of being occupied.
    pub(crate) fn vacate(&mut self) {
        self.following = false;
        self.presence = Presence::default();
    }

    /// Subscribers who have been welcomed.
    pub(crate) fn subscribers(&self) -> u32 {
        self.total - self.waiting.len() as u32
    }
}
