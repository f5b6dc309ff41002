//! One client's conversation. Does no I/O: feed it texts and ticks, do what it says.
//!
//! It promises an answer to whatever it does not understand, a `pusher:error` that says what would be accepted, and it
//! holds no more than a bounded list of channels. It knows one client only; who may subscribe is judged elsewhere, so a
//! channel counts as subscribed from [`Session::subscribed`] on and not before.
//!
//! It refuses presence and cache channels and signin for now, and never closes on a mistake that an error can tell.

mod incoming;

use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::frames;
use crate::{
    close::Close,
    names::{ChannelKind, ChannelName, EventName, SocketId},
};
use incoming::{Complaint, Incoming, SubscribeData, UnsubscribeData};

/// How many channels a connection may have at once, unless the operator says otherwise.
///
/// They are kept in a list that is searched from its front: a page has a handful of channels, and a hundred is still a
/// matter of microseconds. It also bounds what one client can make the cluster follow.
pub const DEFAULT_MAX_CHANNELS: usize = 100;

/// What the operator and the app say about a conversation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The id that the client gets in its greeting.
    pub socket_id: SocketId,
    /// Silence after which the server asks for a sign of life; at least one second.
    pub activity_timeout: Duration,
    /// Further silence after which it gives up.
    pub pong_timeout: Duration,
    /// Whether the app lets clients send events to each other.
    pub client_events: bool,
    /// Largest `data` of a client event, in bytes of its JSON.
    pub max_event_bytes: usize,
    /// Most channels at once, asked for or subscribed.
    pub max_channels: usize,
}

impl Settings {
    /// Pusher's own values: 120 s of silence, 30 s for a pong, 10 kB an event; client events are off.
    pub const fn new(socket_id: SocketId) -> Self {
        Self {
            socket_id,
            activity_timeout: Duration::from_secs(120),
            pong_timeout: Duration::from_secs(30),
            client_events: false,
            max_event_bytes: 10 * 1024,
            max_channels: DEFAULT_MAX_CHANNELS,
        }
    }
}

/// What the owner of the connection is to do about a message.
#[derive(Debug)]
pub enum Intent {
    /// Nothing.
    Nothing,
    /// Send this text.
    Reply(String),
    /// Judge the request, then call [`Session::subscribed`] or [`Session::subscription_refused`]; requests for one
    /// channel in the order in which they came, since a verdict is matched to its request by the channel's name.
    Subscribe(Subscribe),
    /// Take the client out of the channel; it expects no answer.
    Unsubscribe(ChannelName),
    /// Pass the event on to everybody in the channel but this client.
    ClientEvent(ClientEvent),
    /// End the connection.
    Close(Close),
}

/// A client asks to hear a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The channel; the session holds it as pending.
    pub channel: ChannelName,
    /// `KEY:SIGNATURE` as sent, not verified. Empty where the client sent none, as it does for public channels.
    pub auth: String,
    /// As sent, byte for byte, because it is part of what was signed.
    pub channel_data: Option<String>,
}

/// A client's event for the other subscribers of a channel. It has passed every check but the rate limit.
#[derive(Clone, Debug)]
pub struct ClientEvent {
    /// A channel that needs authorisation and to which the sender is subscribed.
    pub channel: ChannelName,
    /// Starts with `client-`.
    pub event: EventName,
    /// Any JSON, to be relayed in the type in which it came.
    pub data: Box<RawValue>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nothing.
    Idle,
    /// Send [`frames::ping`]; the session has noted that it is on its way.
    Ping,
    /// End the connection.
    Close(Close),
}

/// One client's conversation, from its greeting on.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    /// In the order of asking. A list, because most connections have one or two.
    subscriptions: Vec<Subscription>,
    last_heard: Instant,
    /// When a sign of life was asked for, if none has come since.
    pinged: Option<Instant>,
}

#[derive(Debug)]
struct Subscription {
    channel: ChannelName,
    granted: bool,
}

impl Session {
    /// Starts the conversation with a client that has just connected.
    pub const fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            subscriptions: Vec::new(),
            last_heard: now,
            pinged: None,
        }
    }

    /// The first text to send.
    pub fn greet(&self) -> String {
        frames::connection_established(self.settings.socket_id, self.settings.activity_timeout)
    }

    /// Takes a text message and says what to do about it.
    pub fn receive(&mut self, text: &str, now: Instant) -> Intent {
        self.heard(now);
        let intent = Incoming::parse(text).and_then(|message| self.act(&message));
        intent.unwrap_or_else(|complaint| Intent::Reply(complaint.reply()))
    }

    /// Notes a sign of life. Any bytes count, WebSocket pings and pongs as well (Pusher protocol, "Ping and pong").
    pub const fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.pinged = None;
    }

    /// Says what is due by now. Call it about once a second.
    pub fn tick(&mut self, now: Instant) -> Tick {
        let since = |then| now.saturating_duration_since(then);
        match self.pinged {
            Some(pinged) if since(pinged) >= self.settings.pong_timeout => Tick::Close(Close::PongMissing),
            None if since(self.last_heard) >= self.settings.activity_timeout => {
                self.pinged = Some(now);
                Tick::Ping
            }
            _ => Tick::Idle,
        }
    }

    /// Notes that a subscription was granted; the text tells the client.
    ///
    /// `None` if it is not pending any more: the client has unsubscribed meanwhile and must hear nothing.
    pub fn subscribed(&mut self, channel: &ChannelName) -> Option<String> {
        let pending = self
            .subscriptions
            .iter_mut()
            .find(|known| known.channel == *channel && !known.granted)?;
        pending.granted = true;
        Some(frames::subscription_succeeded(channel))
    }

    /// Forgets a channel whose subscription was refused or revoked; the text tells the client why.
    ///
    /// `status` reads like an HTTP status: 401 or 403 for a bad signature, 503 when the cluster cannot follow, …
    /// Harmless when the client has unsubscribed meanwhile: clients ignore errors of channels that they left.
    pub fn subscription_refused(&mut self, channel: &ChannelName, status: u16, error: &str) -> String {
        self.forget(channel);
        frames::subscription_error(channel, refusal_kind(status), error, status)
    }

    /// The `pusher:error` for a client event that the rate limit refused.
    pub fn rate_limited(&self, event: &EventName, retry_after_ms: u64) -> String {
        frames::rate_limited(event, retry_after_ms)
    }

    /// Every channel that is subscribed or asked for, which is what to leave when the connection ends.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.subscriptions.iter().map(|known| &known.channel)
    }

    /// Whether the client was told that it is subscribed.
    pub fn is_subscribed(&self, channel: &ChannelName) -> bool {
        self.subscriptions
            .iter()
            .any(|known| known.granted && known.channel == *channel)
    }

    /// Whether the client still waits for the answer to its request.
    pub fn is_pending(&self, channel: &ChannelName) -> bool {
        self.subscriptions
            .iter()
            .any(|known| !known.granted && known.channel == *channel)
    }

    fn act(&mut self, message: &Incoming<'_>) -> Result<Intent, Complaint> {
        match message.event() {
            "pusher:ping" => Ok(Intent::Reply(frames::pong())),
            "pusher:pong" => Ok(Intent::Nothing),
            "pusher:subscribe" => self.subscribe(message.data()?),
            "pusher:unsubscribe" => self.unsubscribe(&message.data()?),
            // Pusher protocol, "User authentication": a signin that fails is answered with 4009.
            "pusher:signin" => Err(Complaint::with_code("pusher:signin is not supported yet", 4009)),
            _ => self.client_event(message),
        }
    }

    fn subscribe(&mut self, data: SubscribeData) -> Result<Intent, Complaint> {
        let channel = ChannelName::parse(&data.channel)?;
        if let Some(error) = not_supported_yet(&channel) {
            return Ok(refuse(&channel, 501, error));
        }
        if self.is_subscribed(&channel) || self.is_pending(&channel) {
            return Err(Complaint::new(format!("Existing subscription to channel {channel}")));
        }
        if self.subscriptions.len() >= self.settings.max_channels {
            let limit = self.settings.max_channels;
            return Ok(refuse(
                &channel,
                429,
                &format!("this connection is at its limit of {limit} channels"),
            ));
        }
        // Most connections never need room for a second one, so do not let the list grow to four at once.
        self.subscriptions.reserve_exact(1);
        self.subscriptions.push(Subscription {
            channel: channel.clone(),
            granted: false,
        });
        let auth = data.auth.unwrap_or_default();
        Ok(Intent::Subscribe(Subscribe {
            channel,
            auth,
            channel_data: data.channel_data,
        }))
    }

    fn unsubscribe(&mut self, data: &UnsubscribeData) -> Result<Intent, Complaint> {
        let channel = ChannelName::parse(&data.channel)?;
        if self.forget(&channel) {
            Ok(Intent::Unsubscribe(channel))
        } else {
            Ok(Intent::Nothing)
        }
    }

    /// Pusher protocol, "Client events": who may send what, in the order in which a developer would find it out.
    fn client_event(&self, message: &Incoming<'_>) -> Result<Intent, Complaint> {
        let event = EventName::parse(message.event())?;
        if !event.is_client() {
            return Err(Complaint::new(format!(
                "unknown event {event}; pusher:subscribe, pusher:unsubscribe, pusher:ping, pusher:pong and names that \
                 start with client- are accepted"
            )));
        }
        let refuse = |why: &str| Err(Complaint::new(format!("client event {event} was not sent: {why}")));
        if !self.settings.client_events {
            return refuse("client events are not enabled for this app");
        }
        let Some(channel) = message.channel() else {
            return refuse("it names no `channel`");
        };
        let channel = ChannelName::parse(channel)?;
        if !channel.needs_auth() {
            return refuse(&format!(
                "{channel} is public; private and presence channels are accepted"
            ));
        }
        if !self.is_subscribed(&channel) {
            return refuse(&format!("this connection is not subscribed to {channel}"));
        }
        let data = message.raw_data();
        let (bytes, limit) = (data.get().len(), self.settings.max_event_bytes);
        if bytes > limit {
            return refuse(&format!(
                "its `data` is {bytes} bytes of JSON; at most {limit} are accepted"
            ));
        }
        if incoming::nests_too_deeply(data.get()) {
            return refuse("its `data` is nested too deeply; 128 levels are accepted");
        }
        Ok(Intent::ClientEvent(ClientEvent {
            channel,
            event,
            data: data.to_owned(),
        }))
    }

    /// Whether the channel was there to be forgotten.
    fn forget(&mut self, channel: &ChannelName) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|known| known.channel != *channel);
        self.subscriptions.len() < before
    }
}

fn refuse(channel: &ChannelName, status: u16, error: &str) -> Intent {
    Intent::Reply(frames::subscription_error(channel, refusal_kind(status), error, status))
}

fn not_supported_yet(channel: &ChannelName) -> Option<&'static str> {
    if channel.kind() == ChannelKind::Presence {
        Some("presence channels are not supported yet")
    } else if channel.is_cache() {
        Some("cache channels are not supported yet")
    } else {
        None
    }
}

/// The `type` of a subscription error, for clients that tell errors apart by it. `AuthError` is what pusher-js says.
const fn refusal_kind(status: u16) -> &'static str {
    match status {
        401 | 403 => "AuthError",
        429 => "LimitReached",
        501 => "NotSupported",
        503 => "Unavailable",
        _ => "SubscriptionError",
    }
}

#[cfg(test)]
mod tests;
