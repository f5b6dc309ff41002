//! One Redis server: a connection that publishes and one that is subscribed.
//!
//! The classic kind of Pub/Sub needs AUTH, PUBLISH and SUBSCRIBE over RESP2 and nothing else: no CLIENT, CONFIG or HELLO,
//! which hosted servers forbid, and no SELECT, because Pub/Sub knows no databases. The sharded kind came with Redis 7.0, and
//! the client speaks it over RESP3 alone.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::StreamExt;
use redis::aio::{MultiplexedConnection, PubSub, PubSubSink};
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Msg, ProtocolVersion, PushInfo, PushKind};
use redis::{RedisConnectionInfo, RedisError, RedisResult, Value, cmd};
use rustls::ClientConfig;

use super::Outgoing;
use super::place::Place;
use super::shared::Shared;
use super::socket::{self, Stream};
use super::wire::{Canary, Life, Wire, Wish, within};

/// Which of its two kinds of Pub/Sub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a server of its own, a master with replicas, or an old cluster: everything is heard everywhere.
    Classic,
    /// Of a cluster since 7.0: subjects belong to slots, and slots to servers.
    Sharded,
}

/// How servers are reached.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) connect: Duration,
}

/// A connected pair.
pub(super) struct Server {
    canary: Canary,
    publisher: MultiplexedConnection,
    subscriber: Subscriber,
    ear: Arc<Shared>,
}

/// Reads and writes for a connection, until that is closed.
type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Subscriber {
    Classic(PubSubSink),
    Sharded(MultiplexedConnection),
}

impl Server {
    /// Connects to one server, or to two that pass messages on to each other.
    pub(super) async fn connect(
        reach: &Reach,
        (publish_at, subscribe_at): (&Place, &Place),
        kind: Kind,
        canary: String,
        ear: &Arc<Shared>,
    ) -> Result<(Self, Life), String> {
        let limit = reach.connect;
        let (publisher, answers) = named(publish_at, within(limit, talk(reach, publish_at))).await?;
        let subscribing = subscribe(reach, subscribe_at, kind, ear);
        let (subscriber, pushes) = named(subscribe_at, within(limit, subscribing)).await?;
        let (publish_at, subscribe_at) = (publish_at.to_string(), subscribe_at.to_string());
        let canary = Canary {
            subject: canary.into(),
            place: publish_at.clone(),
        };
        let life = async move {
            let closed = tokio::select! {
                () = answers => publish_at,
                () = pushes => subscribe_at,
            };
            format!("{closed}: {CLOSED}")
        };
        let server = Self {
            canary,
            publisher,
            subscriber,
            ear: ear.clone(),
        };
        Ok((server, Box::pin(life)))
    }

    fn failed(&self, error: &RedisError) -> String {
        format!("{}: {}", self.canary.place, said(error))
    }

    /// Whether the server did it. If it is not responsible it did not, and all other refusals end everything.
    fn done(&self, answer: Value) -> Result<bool, String> {
        match answer.extract_error() {
            Ok(_) => Ok(true),
            Err(error) if error.code().is_some_and(|code| ELSEWHERE.contains(&code)) => {
                self.ear.something_has_moved.notify_one();
                Ok(false)
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Subjects are asked for one by one: several in one command would have to be of one slot.
    async fn ask_sharded(
        &self,
        connection: &MultiplexedConnection,
        wish: Wish,
        subjects: &[Arc<str>],
    ) -> Result<(), String> {
        let word = match wish {
            Wish::Follow => "SSUBSCRIBE",
            Wish::Unfollow => "SUNSUBSCRIBE",
        };
        let mut pipe = redis::Pipeline::with_capacity(subjects.len());
        for subject in subjects {
            pipe.cmd(word).arg(subject.as_ref());
        }
        let mut connection = connection.clone();
        let answers = connection.send_packed_commands(&pipe, 0, subjects.len()).await;
        // Which of them are followed is said by the pushes, by name. Here the client counts answers, and may count an
        // unasked `sunsubscribe` among them.
        let mut answers = answers.map_err(|error| self.failed(&error))?.into_iter();
        answers.try_for_each(|answer| self.done(answer).map(drop))
    }
}

impl Wire for Server {
    fn canaries(&self) -> Vec<Canary> {
        vec![self.canary.clone()]
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Vec<bool>, String> {
        let word = match self.subscriber {
            Subscriber::Classic(_) => "PUBLISH",
            Subscriber::Sharded(_) => "SPUBLISH",
        };
        let mut pipe = redis::Pipeline::with_capacity(batch.len());
        for message in &batch {
            pipe.cmd(word).arg(&message.subject).arg(message.payload.as_ref());
        }
        let answers = self.publisher.clone().send_packed_commands(&pipe, 0, batch.len()).await;
        let answers = answers.map_err(|error| self.failed(&error))?;
        answers.into_iter().map(|answer| self.done(answer)).collect()
    }

    async fn ask(&self, wish: Wish, subjects: &[Arc<str>]) -> Result<(), String> {
        let sink = match &self.subscriber {
            Subscriber::Classic(sink) => sink,
            Subscriber::Sharded(connection) => return self.ask_sharded(connection, wish, subjects).await,
        };
        let names: Vec<&str> = subjects.iter().map(AsRef::as_ref).collect();
        let asked = match wish {
            Wish::Follow => sink.clone().subscribe(names).await,
            Wish::Unfollow => sink.clone().unsubscribe(names).await,
        };
        asked.map_err(|error| self.failed(&error))?;
        if wish == Wish::Follow {
            subjects.iter().for_each(|subject| self.ear.entered(subject));
        }
        Ok(())
    }
}

/// Asks a server one thing, on a connection of its own.
pub(super) async fn ask<T: FromRedisValue>(reach: &Reach, place: &Place, question: &Cmd) -> Result<T, String> {
    let answer = answer(reach, place, question).await?;
    answer.map_err(|error| format!("{place}: {}", said(&error)))
}

/// Whether a server knows a command, which is tried.
pub(super) async fn knows(reach: &Reach, place: &Place, command: &Cmd) -> Result<bool, String> {
    match answer::<Value>(reach, place, command).await? {
        Ok(_) => Ok(true),
        Err(error) if error.detail().is_some_and(|detail| detail.starts_with(UNKNOWN)) => Ok(false),
        Err(error) => Err(format!("{place}: {}", said(&error))),
    }
}

/// What the server answers, or how it refuses to.
async fn answer<T: FromRedisValue>(reach: &Reach, place: &Place, question: &Cmd) -> Result<RedisResult<T>, String> {
    let asking = async {
        let (mut connection, driver) = talk(reach, place).await?;
        tokio::select! {
            answer = question.query_async(&mut connection) => Ok(answer),
            () = driver => Err(CLOSED.to_owned()),
        }
    };
    named(place, within(LOOKING_AROUND, asking)).await
}

/// A connection for commands.
async fn talk(reach: &Reach, place: &Place) -> Result<(MultiplexedConnection, Driver), String> {
    let stream = socket::open(place, &reach.tls).await?;
    let unknown = RedisConnectionInfo::default().set_skip_set_lib_name();
    let (mut connection, mut driver) = multiplex(&unknown, stream, patient()).await?;
    // The client would keep to itself why the server lets us not in.
    tokio::select! {
        admitted = admit(&mut connection, place) => admitted?,
        () = &mut driver => return Err(CLOSED.to_owned()),
    }
    Ok((connection, driver))
}

async fn admit(connection: &mut MultiplexedConnection, place: &Place) -> Result<(), String> {
    if place.login.password.is_empty() {
        return Ok(());
    }
    let mut auth = cmd("AUTH");
    if !place.login.username.is_empty() {
        auth.arg(&place.login.username);
    }
    auth.arg(place.login.password.expose());
    auth.query_async(connection).await.map_err(|error| said(&error))
}

/// A connection for subscriptions.
async fn subscribe(
    reach: &Reach,
    place: &Place,
    kind: Kind,
    ear: &Arc<Shared>,
) -> Result<(Subscriber, Driver), String> {
    let stream = socket::open(place, &reach.tls).await?;
    let ear = ear.clone();
    match kind {
        Kind::Classic => {
            let connected = PubSub::new(&login(place), stream).await;
            let (sink, messages) = connected.map_err(|error| said(&error))?.split();
            // The client's own queue in between has no bound: it is emptied in the next turn of this very thread.
            let hearing = messages.ready_chunks(MOST_AT_ONCE).for_each(move |messages| {
                ear.heard(messages.into_iter().filter_map(understood));
                std::future::ready(())
            });
            Ok((Subscriber::Classic(sink), Box::pin(hearing)))
        }
        Kind::Sharded => {
            let hear = move |push| {
                hear(&ear, push);
                Ok::<(), std::convert::Infallible>(())
            };
            let info = login(place).set_protocol(ProtocolVersion::RESP3);
            let (connection, driver) = multiplex(&info, stream, patient().set_push_sender(hear)).await?;
            Ok((Subscriber::Sharded(connection), driver))
        }
    }
}

async fn multiplex(
    info: &RedisConnectionInfo,
    stream: Stream,
    config: AsyncConnectionConfig,
) -> Result<(MultiplexedConnection, Driver), String> {
    let connected = MultiplexedConnection::new_with_config(info, stream, config).await;
    let (connection, driver) = connected.map_err(|error| said(&error))?;
    Ok((connection, Box::pin(driver)))
}

/// Without a deadline of the client's own: whoever asks has one, and knows when nobody is to blame.
fn patient() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(None)
}

fn login(place: &Place) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if !place.login.username.is_empty() {
        info = info.set_username(&place.login.username);
    }
    if !place.login.password.is_empty() {
        info = info.set_password(place.login.password.expose());
    }
    info
}

/// What a server said in its own words, or what the client has to say.
fn said(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("{code} {}", error.detail().unwrap_or_default()),
        None => error.to_string(),
    }
}

async fn named<T>(place: &Place, doing: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    doing.await.map_err(|error| format!("{place}: {error}"))
}

/// What the server says on the subscribed connection, in order.
fn hear(ear: &Shared, push: PushInfo) {
    match push.kind {
        PushKind::SSubscribe => ear.entered(&name(&push)),
        PushKind::SUnsubscribe => ear.left(&name(&push)),
        PushKind::SMessage => ear.heard(Msg::from_push_info(push).and_then(understood)),
        _ => {}
    }
}

fn name(push: &PushInfo) -> String {
    match push.data.first() {
        Some(Value::BulkString(name)) => String::from_utf8_lossy(name).into_owned(),
        _ => String::new(),
    }
}

/// Nobody follows a subject that is no text.
fn understood(message: Msg) -> Option<(String, Bytes)> {
    let subject = message.get_channel().ok()?;
    Some((subject, Bytes::copy_from_slice(message.get_payload_bytes())))
}

const CLOSED: &str = "the connection was closed";
/// How a server says that another one is responsible, or that for a moment none is.
const ELSEWHERE: [&str; 4] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"];
/// How every version says that it knows no such command; operators may take away some that it knew.
const UNKNOWN: &str = "unknown command";
/// Messages that are passed on together.
const MOST_AT_ONCE: usize = 1_024;
/// For the answer to a question about other servers; another server is asked after that.
const LOOKING_AROUND: Duration = Duration::from_secs(1);
