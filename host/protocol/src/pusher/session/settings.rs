//! What the operator and the app say about a conversation: times, switches and limits, with Pusher's own values.

use std::time::Duration;

use crate::names::{MAX_NAME_BYTES, SocketId};

/// What the operator and the app say about a conversation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The id that the client gets in its greeting.
    pub socket_id: SocketId,
    /// Silence after which the server asks for a sign of life; at least one second.
    pub activity_timeout: Duration,
    /// Further silence after which it gives up.
    pub pong_timeout: Duration,
    /// How long a client may stay without a signin and without a private or presence channel; none: for ever.
    ///
    /// Rule: Pusher documents, "Authorized connections".
    pub user_authentication_timeout: Option<Duration>,
    /// What the app has switched on.
    pub features: Features,
    /// How much of everything is accepted.
    pub limits: Limits,
}

impl Settings {
    /// Pusher's own values: 120 s of silence, 30 s for a pong, nobody has to sign in, [`Limits::PUSHER`]; all features
    /// are off.
    pub const fn new(socket_id: SocketId) -> Self {
        Self {
            socket_id,
            activity_timeout: Duration::from_secs(120),
            pong_timeout: Duration::from_secs(30),
            user_authentication_timeout: None,
            features: Features::OFF,
            limits: Limits::PUSHER,
        }
    }
}

/// What an app has switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Clients may send events to each other (Pusher protocol, "Client events").
    pub client_events: bool,
    /// Clients may sign in (Pusher protocol, "User authentication").
    pub user_authentication: bool,
    /// The watchlist of a signed-in user counts (Pusher documents, "Watchlist events"). Without it, it is not read.
    pub watchlist: bool,
}

impl Features {
    /// Nothing but subscriptions.
    pub const OFF: Self = Self {
        client_events: false,
        user_authentication: false,
        watchlist: false,
    };
}

/// How much of everything a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most channels at once, asked for or subscribed; they are searched from the front of a list.
    pub max_channels: usize,
    /// Largest `data` of a client event and largest `user_info` of a signed-in user, in bytes of their JSON.
    pub max_event_bytes: usize,
    /// Longest name of a channel, in bytes.
    pub max_channel_name_bytes: usize,
    /// Longest name of a client event, in bytes.
    pub max_event_name_bytes: usize,
    /// Largest `user_info` of a presence member, in bytes of its JSON.
    pub max_presence_member_bytes: usize,
}

impl Limits {
    /// 10 kB an event, 200 bytes a name, 1 kB a member (Pusher protocol, "Presence channels"), and a hundred channels.
    ///
    /// Pusher knows no limit of channels; ours bounds what one client can make the cluster follow. A page has a handful.
    pub const PUSHER: Self = Self {
        max_channels: 100,
        max_event_bytes: 10 * 1024,
        max_channel_name_bytes: MAX_NAME_BYTES,
        max_event_name_bytes: MAX_NAME_BYTES,
        max_presence_member_bytes: 1024,
    };
}
