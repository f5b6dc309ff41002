//! One client's conversation. Does no I/O: feed it texts and ticks, do what it says.
//!
//! It promises an answer to whatever it does not understand, a `pusher:error` that says what would be accepted, and it
//! holds no more than a bounded list of channels and one user. It knows one client only; who may subscribe or sign in is
//! judged elsewhere, so a channel counts as subscribed from [`Session::granted`] on and a user as signed in from
//! [`Session::signed_in`] on, and not before.
//!
//! What it judges itself is what needs no key: names, limits, who a presence member is, whose channel `#server-to-user-`
//! is, who may send client events. It never closes on a mistake that an error can tell.

mod identity;
mod incoming;
mod settings;
mod subscriptions;

use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::frames;
use crate::{
    close::Close,
    names::{ChannelKind, ChannelName, EventName},
};
use incoming::{Complaint, Incoming, SigninData, SubscribeData, UnsubscribeData};
use subscriptions::{Subscription, Subscriptions};

pub use identity::{MAX_WATCHLIST, Member, User};
pub use settings::{Features, Limits, Settings};

/// The nesting that JSON readers commonly accept; serde_json's own limit is the same.
const MAX_NESTING: usize = 128;

/// What a client is told that nobody knows.
const NOBODY: &str = "a presence channel needs `channel_data` with a `user_id`, or a client that is signed in";

/// How long a client may stay that neither hears nor says anything (Pusher protocol, "Error codes", 4202: closed after 24 hours
/// of inactivity).
const MAX_INACTIVITY: Duration = Duration::from_secs(24 * 3_600);

/// Pusher protocol, "User authentication": a signin that fails is answered with this code.
const UNAUTHORIZED: u16 = 4009;

/// The event by which a client asks for a channel.
const SUBSCRIBE: &str = "pusher:subscribe";

/// HTTP's word for what is over a limit, as `pusher:subscription_error` uses it.
const TOO_MANY: u16 = 429;

/// What the owner of the connection is to do about a message.
#[derive(Debug)]
pub enum Intent {
    /// Nothing.
    Nothing,
    /// Send this text.
    Reply(String),
    /// Judge the request, then call [`Session::granted`] or [`Session::subscription_refused`] with its ticket.
    Subscribe(Subscribe),
    /// Judge the request, then call [`Session::signed_in`] or [`Session::signin_refused`].
    Signin(Signin),
    /// Take the client out of the channel; it expects no answer.
    Unsubscribe(ChannelName),
    /// Pass the event on to everybody in the channel but this client.
    ClientEvent(ClientEvent),
    /// End the connection.
    Close(Close),
}

/// A client asks to hear a channel.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// The channel; the session holds it as pending.
    pub channel: ChannelName,
    /// `KEY:SIGNATURE` as sent, not verified. Empty where the client sent none, as it does for public channels.
    pub auth: String,
    /// As sent, byte for byte, because it is part of what was signed.
    pub channel_data: Option<String>,
    /// Who the client will be in a presence channel, from `channel_data` or else from the signin; none elsewhere, and none
    /// yet where neither says: see [`Session::appoint`].
    pub member: Option<Member>,
    /// Tells this request from an earlier or later one for the same channel.
    pub ticket: u32,
}

/// A client says who its user is.
#[derive(Clone, Debug)]
pub struct Signin {
    /// `KEY:SIGNATURE` as sent, not verified.
    pub auth: String,
    /// As sent, byte for byte, because it was signed.
    pub user_data: String,
    /// What `user_data` says.
    pub user: User,
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
    /// Who the sender is, on presence channels: from its authorised subscription, never from the event.
    pub user_id: Option<String>,
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
    subscriptions: Subscriptions,
    /// Boxed, because most connections never sign in.
    user: Option<Box<User>>,
    last_heard: Instant,
    /// Milliseconds up to then in which the client had no channel and sent nothing but pings and pongs. No time of its own,
    /// which would be four times as large.
    inactive_ms: u32,
    /// When a sign of life was asked for, if none has come since.
    pinged: Option<Instant>,
    /// Until when the client has to show who it is, if it still has to.
    authenticate_by: Option<Instant>,
}

impl Session {
    /// Starts the conversation with a client that has just connected.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let authenticate_by = settings
            .user_authentication_timeout
            .and_then(|timeout| now.checked_add(timeout));
        Self {
            settings,
            subscriptions: Subscriptions::new(),
            user: None,
            last_heard: now,
            inactive_ms: 0,
            pinged: None,
            authenticate_by,
        }
    }

    /// The app's switches and limits are others now. They hold for what the client asks from here on; what it has, it keeps.
    pub fn adopt(&mut self, features: Features, limits: Limits) {
        (self.settings.features, self.settings.limits) = (features, limits);
    }

    /// The first text to send.
    pub fn greet(&self) -> String {
        frames::connection_established(self.settings.socket_id, self.settings.activity_timeout)
    }

    /// Takes a text message and says what to do about it.
    pub fn receive(&mut self, text: &str, now: Instant) -> Intent {
        self.heard(now);
        let message = Incoming::parse(text);
        if !message.as_ref().is_ok_and(Incoming::is_sign_of_life) {
            self.inactive_ms = 0;
        }
        let intent = message.and_then(|message| self.act(&message));
        intent.unwrap_or_else(|complaint| Intent::Reply(complaint.reply()))
    }

    /// Notes a sign of life. Any bytes count, WebSocket pings and pongs as well (Pusher protocol, "Ping and pong").
    pub fn heard(&mut self, now: Instant) {
        self.inactive_ms = u32::try_from(self.inactive(now).as_millis()).unwrap_or(u32::MAX);
        self.last_heard = now;
        self.pinged = None;
    }

    /// Until then nothing will be due, whatever is said meanwhile.
    pub fn quiet_until(&self) -> Instant {
        let Settings {
            activity_timeout,
            pong_timeout,
            ..
        } = self.settings;
        let sign_of_life = match self.pinged {
            // If there is an answer, the next one will be asked for.
            Some(pinged) => pinged + pong_timeout.min(activity_timeout),
            None => self.last_heard + activity_timeout,
        };
        let before = Duration::from_millis(self.inactive_ms.into());
        let inactivity = self.last_heard + MAX_INACTIVITY.saturating_sub(before);
        let soonest = sign_of_life.min(inactivity);
        self.authenticate_by.map_or(soonest, |end| end.min(soonest))
    }

    /// Says what is due by now. Call it about once a second, or from [`Session::quiet_until`] on.
    pub fn tick(&mut self, now: Instant) -> Tick {
        if self.authenticate_by.is_some_and(|end| end <= now) {
            return Tick::Close(Close::Unauthorized);
        }
        let since = |then| now.saturating_duration_since(then);
        if self.inactive(now) >= MAX_INACTIVITY {
            return Tick::Close(Close::Idle);
        }
        match self.pinged {
            Some(pinged) if since(pinged) >= self.settings.pong_timeout => Tick::Close(Close::PongMissing),
            None if since(self.last_heard) >= self.settings.activity_timeout => {
                self.pinged = Some(now);
                Tick::Ping
            }
            _ => Tick::Idle,
        }
    }

    /// Settles who a client that may subscribe will be, if it is a presence channel: whoever judged the request may name
    /// somebody (an id, and perhaps information as JSON text), else it is whom the client itself showed to be.
    ///
    /// # Errors
    /// A status and a text for [`Session::subscription_refused`]: there is nobody, or the named one keeps to no limit.
    pub fn appoint(
        &mut self,
        request: &mut Subscribe,
        named: Option<(&str, Option<&str>)>,
    ) -> Result<(), (u16, String)> {
        if request.channel.kind() != ChannelKind::Presence {
            return Ok(());
        }
        if let Some((user_id, user_info)) = named {
            let limit = self.settings.limits.max_presence_member_bytes;
            let member =
                Member::named(user_id, user_info, limit).map_err(|complaint| (403, complaint.message().to_owned()))?;
            self.subscriptions
                .appoint(&request.channel, request.ticket, &member.user_id);
            request.member = Some(member);
        }
        match request.member {
            Some(_) => Ok(()),
            None => Err((401, NOBODY.to_owned())),
        }
    }

    /// For how long the client has neither had a channel nor said anything. Who listens is not idle, however silent.
    fn inactive(&self, now: Instant) -> Duration {
        if self.subscriptions.len() > 0 {
            return Duration::ZERO;
        }
        let before = Duration::from_millis(self.inactive_ms.into());
        before + now.saturating_duration_since(self.last_heard)
    }

    /// Notes that a subscription was granted. Tell the client so, with [`frames::subscription_succeeded`] or
    /// [`frames::presence_succeeded`].
    ///
    /// False if the request is not pending any more: the client has unsubscribed meanwhile and must hear nothing.
    pub fn granted(&mut self, channel: &ChannelName, ticket: u32) -> bool {
        let granted = self.subscriptions.grant(channel, ticket);
        // Pusher documents, "Authorized connections": a private or presence channel will do in place of a signin.
        if granted && channel.needs_auth() {
            self.authenticate_by = None;
        }
        granted
    }

    /// Forgets a channel whose subscription was refused; the text tells the client why.
    ///
    /// `status` reads like an HTTP status: 401 or 403 for a bad signature, 503 when the cluster cannot follow, …
    /// None if the request is not pending any more.
    pub fn subscription_refused(
        &mut self,
        channel: &ChannelName,
        ticket: u32,
        status: u16,
        error: &str,
    ) -> Option<String> {
        if self.pending_ticket(channel) != Some(ticket) {
            return None;
        }
        self.subscription_revoked(channel, status, error)
    }

    /// Forgets a channel, granted or pending, that the client may not hear any longer; the text tells it why.
    ///
    /// None if the client has no such channel.
    pub fn subscription_revoked(&mut self, channel: &ChannelName, status: u16, error: &str) -> Option<String> {
        let known = self.subscriptions.forget(channel);
        known.then(|| frames::subscription_error(channel, refusal_kind(status), error, status))
    }

    /// Notes that the client is signed in, perhaps once more, with what it says of itself now; the texts tell it.
    ///
    /// Rule: Pusher protocol, "User authentication": `pusher:signin_success`, and 4302 if the watchlist was cut. Of two
    /// requests that were judged at the same time the first one counts.
    ///
    /// # Errors
    /// The `pusher:error` 4009 for a signin as another user than the first one; nothing has changed then.
    pub fn signed_in(&mut self, signin: Signin) -> Result<Vec<String>, String> {
        self.check_same_user(&signin.user)
            .map_err(|complaint| complaint.coded(UNAUTHORIZED).reply())?;
        let mut texts = vec![frames::signin_success(&signin.user_data)];
        if signin.user.watchlist_cut {
            texts.push(frames::watchlist_too_long());
        }
        self.user = Some(Box::new(signin.user));
        self.authenticate_by = None;
        Ok(texts)
    }

    /// The `pusher:error` 4009 for a signin that was refused.
    pub fn signin_refused(&self, error: &str) -> String {
        frames::error(error, Some(UNAUTHORIZED))
    }

    /// Who is signed in.
    pub fn user(&self) -> Option<&User> {
        self.user.as_deref()
    }

    /// The `pusher:error` for a client event that the rate limit refused.
    pub fn rate_limited(&self, event: &EventName, retry_after_ms: u64) -> String {
        frames::rate_limited(event, retry_after_ms)
    }

    /// The answer to a message that is not acted on, because there are too many (`status` 429) or because nobody can count
    /// them (503). A client that waits to be subscribed is told so by its channel, everybody else by a `pusher:error`.
    pub fn message_refused(&self, text: &str, status: u16, error: &str) -> String {
        match self.wanted(text) {
            Some(channel) => frames::subscription_error(&channel, refusal_kind(status), error, status),
            None => frames::error(error, (status == TOO_MANY).then_some(frames::OVER_RATE)),
        }
    }

    /// The channel that a message asks for, if it is none that the client has or has asked for already.
    fn wanted(&self, text: &str) -> Option<ChannelName> {
        let message = Incoming::parse(text).ok()?;
        if message.event() != SUBSCRIBE {
            return None;
        }
        let data: SubscribeData = message.data().ok()?;
        let channel = ChannelName::parse_within(&data.channel, self.settings.limits.max_channel_name_bytes).ok()?;
        self.subscriptions.find(&channel).is_none().then_some(channel)
    }

    /// Every channel that is subscribed or asked for, which is what to leave when the connection ends.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.subscriptions.iter().map(|known| &known.channel)
    }

    /// Whether the client was told that it is subscribed.
    pub fn is_subscribed(&self, channel: &ChannelName) -> bool {
        self.subscription(channel).is_some()
    }

    /// The ticket of the request for this channel that still waits for its answer.
    pub fn pending_ticket(&self, channel: &ChannelName) -> Option<u32> {
        let known = self.subscriptions.find(channel).filter(|known| !known.granted)?;
        Some(known.ticket)
    }

    /// Who the client is in a presence channel to which it is subscribed.
    pub fn member_id(&self, channel: &ChannelName) -> Option<&str> {
        self.subscription(channel)?.member_id.as_deref()
    }

    fn subscription(&self, channel: &ChannelName) -> Option<&Subscription> {
        self.subscriptions.find(channel).filter(|known| known.granted)
    }

    fn act(&mut self, message: &Incoming<'_>) -> Result<Intent, Complaint> {
        match message.event() {
            "pusher:ping" => Ok(Intent::Reply(frames::pong())),
            "pusher:pong" => Ok(Intent::Nothing),
            SUBSCRIBE => self.subscribe(message.data()?),
            "pusher:unsubscribe" => self.unsubscribe(&message.data()?),
            "pusher:signin" => self.signin(message).map_err(|complaint| complaint.coded(UNAUTHORIZED)),
            _ => self.client_event(message),
        }
    }

    fn subscribe(&mut self, data: SubscribeData) -> Result<Intent, Complaint> {
        let limits = self.settings.limits;
        let channel = ChannelName::parse_within(&data.channel, limits.max_channel_name_bytes)?;
        if self.subscriptions.find(&channel).is_some() {
            return Err(Complaint::new(format!("Existing subscription to channel {channel}")));
        }
        if self.subscriptions.len() >= limits.max_channels {
            let error = format!("this connection is at its limit of {} channels", limits.max_channels);
            return Ok(refuse(&channel, TOO_MANY, &error));
        }
        let member = match self.member(&channel, data.channel_data.as_deref()) {
            Ok(member) => member,
            Err((status, complaint)) => return Ok(refuse(&channel, status, complaint.message())),
        };
        let member_id = member.as_ref().map(|member| member.user_id.as_str().into());
        let ticket = self.subscriptions.ask(channel.clone(), member_id);
        Ok(Intent::Subscribe(Subscribe {
            channel,
            auth: data.auth.unwrap_or_default(),
            channel_data: data.channel_data,
            member,
            ticket,
        }))
    }

    /// Who the client will be in `channel`; refused, with a status, where the channel needs to know and cannot.
    fn member(&self, channel: &ChannelName, channel_data: Option<&str>) -> Result<Option<Member>, (u16, Complaint)> {
        let limit = self.settings.limits.max_presence_member_bytes;
        let malformed = |complaint| (400, complaint);
        let stranger = |why: &'static str| Err((401, Complaint::new(why)));
        match (channel.kind(), channel_data, self.user.as_deref()) {
            (ChannelKind::Public | ChannelKind::Private | ChannelKind::PrivateEncrypted, ..)
            // Whoever judges the request may still say who it is.
            | (ChannelKind::Presence, None, None) => Ok(None),
            // Pusher documents, "Presence channels": `channel_data` overrides the user of the signin.
            (ChannelKind::Presence, Some(data), _) => Member::parse(data, limit).map(Some).map_err(malformed),
            (ChannelKind::Presence, None, Some(user)) => Member::signed_in(user, limit).map(Some).map_err(malformed),
            // Pusher protocol, "User authentication": nobody hears what the server says to somebody else.
            (ChannelKind::ServerToUser, _, Some(user)) if channel.server_user() == Some(&user.id) => Ok(None),
            (ChannelKind::ServerToUser, ..) => stranger("this connection is not signed in as that user"),
        }
    }

    fn signin(&self, message: &Incoming<'_>) -> Result<Intent, Complaint> {
        let Settings { features, limits, .. } = &self.settings;
        if !features.user_authentication {
            return Err(Complaint::new("user authentication is not enabled for this app"));
        }
        let SigninData { auth, user_data } = message.data()?;
        let mut user = User::parse(&user_data, limits.max_event_bytes)?;
        if features.watchlist {
            user = user.watching(&user_data)?;
        }
        self.check_same_user(&user)?;
        Ok(Intent::Signin(Signin { auth, user_data, user }))
    }

    /// Pusher protocol, "User authentication": a connection has one user for all its life.
    fn check_same_user(&self, other: &User) -> Result<(), Complaint> {
        match &self.user {
            Some(user) if user.id != other.id => Err(Complaint::new(
                "this connection is signed in as another user; open a new one to change users",
            )),
            _ => Ok(()),
        }
    }

    fn unsubscribe(&mut self, data: &UnsubscribeData) -> Result<Intent, Complaint> {
        let channel = ChannelName::parse_within(&data.channel, self.settings.limits.max_channel_name_bytes)?;
        if self.subscriptions.forget(&channel) {
            Ok(Intent::Unsubscribe(channel))
        } else {
            Ok(Intent::Nothing)
        }
    }

    /// Pusher protocol, "Client events": who may send what, in the order in which a developer would find it out.
    fn client_event(&self, message: &Incoming<'_>) -> Result<Intent, Complaint> {
        let Settings { features, limits, .. } = &self.settings;
        let event = EventName::parse_within(message.event(), limits.max_event_name_bytes)?;
        if !event.is_client() {
            return Err(Complaint::new(format!(
                "unknown event {event}; pusher:subscribe, pusher:unsubscribe, pusher:signin, pusher:ping, pusher:pong \
                 and names that start with client- are accepted"
            )));
        }
        let refuse = |why: &str| Err(Complaint::new(format!("client event {event} was not sent: {why}")));
        if !features.client_events {
            return refuse("client events are not enabled for this app");
        }
        let Some(channel) = message.channel() else {
            return refuse("it names no `channel`");
        };
        let channel = ChannelName::parse_within(channel, limits.max_channel_name_bytes)?;
        if !channel.needs_auth() {
            return refuse(&format!(
                "{channel} is neither private nor presence; only such channels are accepted"
            ));
        }
        let Some(subscription) = self.subscription(&channel) else {
            return refuse(&format!("this connection is not subscribed to {channel}"));
        };
        let data = message.raw_data();
        let (bytes, limit) = (data.get().len(), limits.max_event_bytes);
        if bytes > limit {
            return refuse(&format!(
                "its `data` is {bytes} bytes of JSON; at most {limit} are accepted"
            ));
        }
        if incoming::nests_too_deeply(data.get(), MAX_NESTING) {
            return refuse("its `data` is nested too deeply; 128 levels are accepted");
        }
        Ok(Intent::ClientEvent(ClientEvent {
            channel,
            event,
            data: data.to_owned(),
            user_id: subscription.member_id.as_deref().map(str::to_owned),
        }))
    }
}

fn refuse(channel: &ChannelName, status: u16, error: &str) -> Intent {
    Intent::Reply(frames::subscription_error(channel, refusal_kind(status), error, status))
}

/// The `type` of a subscription error, for clients that tell errors apart by it. `AuthError` is what pusher-js says.
const fn refusal_kind(status: u16) -> &'static str {
    match status {
        401 | 403 => "AuthError",
        TOO_MANY => "LimitReached",
        503 => "Unavailable",
        _ => "SubscriptionError",
    }
}

#[cfg(test)]
mod tests;
