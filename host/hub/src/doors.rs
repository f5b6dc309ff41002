//! The four doors: the traits behind which plugins stand, with the same verbs as the WIT interfaces.
//!
//! The `wasm` crate implements them, the gate and the hub use them. Every door can be without a plugin; then it answers
//! with a [`DoorError`] that names the plugin that is missing, and nothing stands in for it.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use jackfield_protocol::names::{ChannelName, EventName};
use serde_json::value::RawValue;

use crate::app::App;

/// What a question gets: an answer at once, or one to wait for. Nearly all are ready; whoever asks must still be able to
/// go on with something else meanwhile.
pub enum Answer<T> {
    /// Answered.
    Ready(T),
    /// To be waited for, by the asker's task alone.
    Pending(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T: Send + 'static> Answer<T> {
    /// The answer turned into another, now or when it comes.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U + Send + 'static) -> Answer<U> {
        match self {
            Self::Ready(value) => Answer::Ready(turn(value)),
            Self::Pending(future) => Answer::Pending(Box::pin(async move { turn(future.await) })),
        }
    }

    /// Waits if it has to.
    pub async fn wait(self) -> T {
        match self {
            Self::Ready(value) => value,
            Self::Pending(future) => future.await,
        }
    }
}

/// Why a door has no answer of its own. The text is for operators and for the app's developers: it names the door and
/// the plugin, and holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoorError {
    /// No plugin is loaded where the configuration wants one.
    #[error("the {door} door is closed: plugin `{plugin}` is not loaded ({reason})")]
    Missing {
        /// `adapter`, `auth`, `rate-limit` or `webhook`.
        door: &'static str,
        /// The plugin's name.
        plugin: String,
        /// What happened to it.
        reason: String,
    },
    /// Too much waits in front of the door.
    #[error("the {door} door lags behind: its queue is full")]
    Busy {
        /// As above.
        door: &'static str,
    },
    /// The plugin trapped, ran out of time or gave no sensible answer.
    #[error("the {door} door failed: plugin `{plugin}` {reason}")]
    Failed {
        /// As above.
        door: &'static str,
        /// As above.
        plugin: String,
        /// What it did.
        reason: String,
    },
}

// ---- auth ------------------------------------------------------------------------------------------------------

/// Decides who may do what.
pub trait Authorizer: Send + Sync {
    /// Puts the claim to the chain of auth plugins. The end of the chain refuses.
    fn check(&self, claim: &Claim) -> Answer<Result<Verdict, DoorError>>;
}

/// What somebody wants to do.
#[derive(Clone, Debug)]
pub enum Claim {
    /// Connect.
    Connect(Arc<Client>),
    /// Subscribe to a channel.
    Subscribe(SubscribeRequest),
    /// Send an event to a channel's other subscribers.
    ClientEvent(ClientEvent),
    /// Sign in as a user.
    Signin(SigninRequest),
    /// Carry out an HTTP request.
    ApiRequest(Arc<ApiRequest>),
}

/// A client wants to sign in.
#[derive(Clone, Debug)]
pub struct SigninRequest {
    /// Who.
    pub client: Arc<Client>,
    /// The client's `auth`.
    pub auth: String,
    /// The client's `user_data`, byte for byte.
    pub user_data: String,
}

/// A client wants to subscribe.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// Who.
    pub client: Arc<Client>,
    /// To what.
    pub channel: ChannelName,
    /// The client's `auth`, or empty.
    pub auth: String,
    /// The client's `channel_data`, byte for byte.
    pub channel_data: Option<String>,
}

/// A client wants to send an event.
#[derive(Clone, Debug)]
pub struct ClientEvent {
    /// Who.
    pub client: Arc<Client>,
    /// To what.
    pub channel: ChannelName,
    /// Begins with `client-`.
    pub event: EventName,
    /// As it came.
    pub data: Box<RawValue>,
}

impl Claim {
    /// The app in which the claim is made.
    pub fn app(&self) -> &Arc<App> {
        match self {
            Self::Connect(client) => &client.app,
            Self::Subscribe(request) => &request.client.app,
            Self::ClientEvent(event) => &event.client.app,
            Self::Signin(request) => &request.client.app,
            Self::ApiRequest(request) => &request.app,
        }
    }

    /// The connection that the claim is about; none for an HTTP request.
    pub fn client(&self) -> Option<&Arc<Client>> {
        match self {
            Self::Connect(client) => Some(client),
            Self::Subscribe(request) => Some(&request.client),
            Self::ClientEvent(event) => Some(&event.client),
            Self::Signin(request) => Some(&request.client),
            Self::ApiRequest(_) => None,
        }
    }
}

/// What is known of a connection from its handshake.
#[derive(Clone, Debug)]
pub struct Client {
    /// The app it connected to.
    pub app: Arc<App>,
    /// Its socket id, as text: plugins compare and sign it.
    pub socket_id: String,
    /// The client's IP address.
    pub remote_address: String,
    /// The `Origin` header.
    pub origin: Option<String>,
    /// The handshake's path, as it came.
    pub path: String,
    /// The handshake's query, as it came.
    pub query: String,
    /// The headers that the operator chose, names in lower case.
    pub headers: Vec<(String, String)>,
}

/// An HTTP request as an auth plugin sees it.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// The app that the path names.
    pub app: Arc<App>,
    /// The caller's IP address.
    pub remote_address: String,
    /// Method, path and query, each on a line of its own and percent-encoded as they came: `POST`, `/apps/1001/events`, `auth_key=…`.
    /// The path is the one that the client sent, as far as that is known: with every prefix. The last line may be empty.
    pub lines: String,
    /// How many bytes of the path are prefixes.
    pub prefix_length: u32,
    /// The headers that the operator chose, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

/// The chain's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes, perhaps for a time only.
    Allow(Permission),
    /// No.
    Refuse(Refusal),
}

/// A yes, with what comes along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// After so many milliseconds the permission ends; none: with the connection.
    pub expires_in_ms: Option<u64>,
    /// Who the client is in the presence channel that it subscribes to, if the plugin says so.
    pub member: Option<Box<NamedMember>>,
}

/// A member as an auth plugin names it, not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedMember {
    /// The user's id.
    pub user_id: String,
    /// What the others see of it, as JSON text.
    pub user_info: Option<String>,
}

/// A no, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A Pusher close code for [`Claim::Connect`], an HTTP status for everything else.
    pub code: u16,
    /// For the client's developer.
    pub message: String,
    /// After how many milliseconds the same question may be answered yes. Limits alone give it.
    pub retry_after_ms: Option<u32>,
}

// ---- rate-limit ------------------------------------------------------------------------------------------------

/// Keeps count.
pub trait Limiter: Send + Sync {
    /// Whether `cost` more are allowed for this scope and key.
    fn check(&self, question: &Question<'_>) -> Answer<Result<Decision, DoorError>>;
}

/// `amount` per `period_ms`, and up to `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How many in a period.
    pub amount: u32,
    /// The period in milliseconds.
    pub period_ms: u32,
    /// How many at once.
    pub burst: u32,
}

/// One question to the limiter.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is counted: `publish`, `read`, `client-event`, `message`, `connect`.
    pub scope: &'static str,
    /// Whose count.
    pub key: &'a str,
    /// How many at once.
    pub cost: u32,
    /// The rule that holds.
    pub rule: Rule,
}

/// The limiter's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be.
    pub allowed: bool,
    /// How many more would be allowed now.
    pub remaining: u32,
    /// When refused: after how many milliseconds to try again.
    pub retry_after_ms: u32,
}

// ---- adapter ---------------------------------------------------------------------------------------------------

/// Carries envelopes to other instances.
///
/// In two steps, so that whoever has something for it need not wait: `submit` queues, `drive` lets the plugin work off what
/// has gathered, on the calling thread, unless another thread is already at it.
pub trait Adapter: Send + Sync {
    /// Whom it reaches.
    fn reach(&self) -> Reach;
    /// Whether there is a plugin at all.
    ///
    /// # Errors
    /// [`DoorError::Missing`].
    fn check(&self) -> Result<(), DoorError>;
    /// Queues a request. Never runs the plugin, never waits; refused when the door has no plugin, and publishes also when the
    /// queue is full.
    fn submit(&self, request: AdapterRequest) -> Result<(), DoorError>;
    /// Runs the plugin on what is queued and tells `traffic` what came of it.
    fn drive(&self, traffic: &dyn Traffic);
    /// What to call, on any thread, when something has come that [`Adapter::drive`] is to work off. Told once.
    fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>);
}

/// Whom an adapter reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nobody else, ever: this is the only instance.
    Alone,
    /// Other instances, and this one too: what is published on a topic that is followed here comes back.
    Shared,
}

/// What is asked of an adapter. Topics are texts: [`Topic`]'s, or the cluster's own.
///
/// [`Topic`]: crate::Topic
#[derive(Clone, Debug)]
pub enum AdapterRequest {
    /// Carry this to all followers of its topic.
    Publish(Envelope),
    /// Begin to follow topics; confirm again those that are followed.
    Follow(Vec<Arc<str>>),
    /// End that.
    Unfollow(Vec<Arc<str>>),
}

/// One message on its way to peers.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Where to.
    pub topic: Arc<str>,
    /// What.
    pub frame: Bytes,
    /// The number by which the adapter confirms it; none if nobody waits for that.
    pub ticket: Option<u64>,
}

/// Who listens to an adapter. Called by [`Adapter::drive`], with no lock of the hub held.
pub trait Traffic {
    /// Something was told.
    fn tell(&self, told: AdapterNews);
}

/// What an adapter tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterNews {
    /// Peers will see the envelopes with these tickets.
    Confirmed(Vec<u64>),
    /// Nobody knows whether these were sent.
    Failed(Vec<u64>, DoorError),
    /// Messages of peers on these topics arrive from now on.
    Following(Vec<String>),
    /// Nothing arrives on these topics any more, although nobody asked for that.
    Lost(Vec<String>),
    /// These have arrived, in this order: topic and frame.
    Received(Vec<(String, Bytes)>),
    /// Instances can (`None`) or cannot (why) reach each other.
    State(Option<String>),
}

// ---- webhook ---------------------------------------------------------------------------------------------------

/// Turns notices into requests.
pub trait WebhookSink: Send + Sync {
    /// Which requests to make for these notices of one app.
    fn prepare(&self, app: &Arc<App>, notices: &[Notice]) -> Answer<Result<Vec<WebhookCall>, DoorError>>;
}

/// Something that an app's server may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Stable: a repeated notice has the same id.
    pub id: String,
    /// The app's id.
    pub app: String,
    /// `channel_occupied`, `member_added` and so on.
    pub name: &'static str,
    /// The channel.
    pub channel: String,
    /// The event as a JSON object, as the Pusher protocol words it.
    pub event: String,
    /// Milliseconds since 1970; set when the notice is queued.
    pub time_ms: u64,
}

/// One POST request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookCall {
    /// One of the app's endpoints.
    pub url: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body to send and to sign.
    pub body: Vec<u8>,
    /// Where the host puts the signature.
    pub signature_header: Option<String>,
}

/// Where notices wait for the webhook door.
pub trait NoticeQueue: Send + Sync {
    /// Queues a notice; never waits. A full queue drops it and counts that.
    fn offer(&self, notice: Notice);
}
