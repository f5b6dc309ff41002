//! The task of one connection: reads frames, puts questions to the gate, carries out the answers.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jackfield_hub::doors::{self, Answer, Claim, Refusal};
use jackfield_hub::{Event, Grant, Pass, Subscription, Toll, Topic};
use jackfield_protocol::close::Close;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::pusher::session::{ClientEvent, Intent, Subscribe};
use jackfield_protocol::websocket::{self, Decoder, Message};
use tokio::io::{Interest, Ready};
use tokio::time::Instant;

use super::{Connection, End, UNAVAILABLE};
use crate::event_loop::{EventLoop, add};
use crate::socket::Socket;

/// A connection and what its task alone needs.
pub(super) struct Conversation {
    connection: Rc<Connection>,
    event_loop: Rc<EventLoop>,
    decoder: Decoder,
    /// Texts that came while an answer was pending.
    backlog: VecDeque<String>,
    /// The question that is out.
    pending: Option<Pin<Box<dyn Future<Output = Settled>>>>,
    /// When patience with a closing peer ends.
    close_by: Option<Instant>,
    /// The peer has said its last word; what it sends after that is not read as frames.
    deaf: bool,
}

/// A question that has its answer.
enum Settled {
    Connect(Result<Grant, Refusal>),
    Subscribe(ChannelName, Result<Grant, Refusal>),
    ClientEvent(ClientEvent, Result<Pass, Refusal>),
}

impl Conversation {
    pub(super) fn new(connection: Rc<Connection>, event_loop: Rc<EventLoop>) -> Self {
        let decoder = Decoder::new(MAX_MESSAGE_BYTES);
        let backlog = VecDeque::new();
        Self {
            connection,
            event_loop,
            decoder,
            backlog,
            pending: None,
            close_by: None,
            deaf: false,
        }
    }

    pub(super) async fn run(mut self, early: Bytes) {
        let claim = Claim::Connect(Arc::clone(&self.connection.client));
        let answer = self.event_loop.shared.gate.authorize(&claim);
        self.put(answer.map(Settled::Connect));
        self.hear(&early);
        // It is a part of the handshake's whole buffer, which must not live as long as the connection.
        drop(early);
        while self.goes_on() {
            self.step().await;
        }
    }

    /// Whether there is anything left to do; notices that the end has begun.
    fn goes_on(&mut self) -> bool {
        match self.connection.end.get() {
            End::Open => return true,
            End::Broken => return false,
            End::Said => self.connection.socket.finish(),
            End::Closing => {}
        }
        let close_by = *self.close_by.get_or_insert_with(|| Instant::now() + FAREWELL);
        Instant::now() < close_by
    }

    async fn step(&mut self) {
        let connection = Rc::clone(&self.connection);
        let listens = self.backlog.len() < BACKLOG;
        let close_by = self.close_by;
        tokio::select! {
            biased;
            settled = answer(&mut self.pending) => {
                self.pending = None;
                self.settle(settled);
                self.catch_up();
            }
            () = connection.changed.notified() => {}
            () = until(close_by) => {}
            ready = ready(&connection.socket, listens, connection.blocked.get()) => match ready {
                Ok(ready) => {
                    if connection.blocked.get() && ready.is_writable() {
                        self.event_loop.write_socket(connection.slot.get());
                    }
                    if listens && (ready.is_readable() || ready.is_read_closed()) {
                        self.read();
                    }
                }
                Err(_) => connection.end.set(End::Broken),
            }
        }
    }

    fn read(&mut self) {
        let event_loop = Rc::clone(&self.event_loop);
        let mut scratch = event_loop.scratch.borrow_mut();
        match self.connection.socket.read(&mut scratch) {
            Ok(None) => {}
            Ok(Some(0)) | Err(_) => self.connection.end.set(End::Broken),
            Ok(Some(read)) => {
                add(&event_loop.counts().read_bytes, read as u64);
                self.hear(&scratch[..read]);
            }
        }
    }

    /// Takes bytes from the client.
    fn hear(&mut self, bytes: &[u8]) {
        if self.deaf {
            return;
        }
        self.decoder.feed(bytes);
        loop {
            match self.decoder.next() {
                Ok(None) => return,
                Ok(Some(message)) => self.take(message),
                Err(close) => self.leave(close),
            }
            if self.deaf {
                return;
            }
        }
    }

    fn take(&mut self, message: Message) {
        let connection = Rc::clone(&self.connection);
        connection.session.borrow_mut().heard(std::time::Instant::now());
        match message {
            Message::Text(text) if self.pending.is_some() => self.backlog.push_back(text),
            Message::Text(text) => self.converse(&text),
            Message::Ping(data) => {
                self.event_loop
                    .shard()
                    .push(connection.slot.get(), websocket::pong_frame(&data));
            }
            Message::Pong => {}
            Message::Binary => self.leave(Close::Unsupported),
            // RFC 6455 §5.5.1: a close frame is answered by one.
            Message::Close(_) => self.leave(Close::Normal),
        }
    }

    fn leave(&mut self, close: Close) {
        self.deaf = true;
        self.connection.close(&self.event_loop, close);
    }

    /// Works off the backlog, up to the next question that stays open.
    fn catch_up(&mut self) {
        while self.pending.is_none() && !self.deaf {
            let Some(text) = self.backlog.pop_front() else { return };
            self.converse(&text);
        }
    }

    fn converse(&mut self, text: &str) {
        add(&self.event_loop.counts().received, 1);
        let intent = self
            .connection
            .session
            .borrow_mut()
            .receive(text, std::time::Instant::now());
        match intent {
            Intent::Nothing => {}
            Intent::Reply(text) => self.connection.say(&self.event_loop, &text),
            Intent::Subscribe(request) => self.ask_to_subscribe(request),
            Intent::Unsubscribe(channel) => {
                let topic = self.topic(&channel);
                let now_ms = self.event_loop.shared.now_ms();
                self.event_loop
                    .shard()
                    .unsubscribe(self.connection.slot.get(), &topic, now_ms);
                self.connection
                    .expiries
                    .borrow_mut()
                    .retain(|(_, of)| of.as_ref() != Some(&channel));
            }
            Intent::ClientEvent(event) => self.ask_to_send(event),
            Intent::Close(close) => self.leave(close),
        }
    }

    fn ask_to_subscribe(&mut self, request: Subscribe) {
        let Subscribe {
            channel,
            auth,
            channel_data,
        } = request;
        let client = Arc::clone(&self.connection.client);
        let claim = doors::SubscribeRequest {
            client,
            channel: channel.clone(),
            auth,
            channel_data,
        };
        let answer = self.event_loop.shared.gate.authorize(&Claim::Subscribe(claim));
        self.put(answer.map(|answer| Settled::Subscribe(channel, answer)));
    }

    fn ask_to_send(&mut self, event: ClientEvent) {
        let client = Arc::clone(&self.connection.client);
        let toll = Toll::ClientEvent(Arc::clone(&client));
        let ClientEvent {
            channel,
            event: name,
            data,
        } = event.clone();
        let claim = Claim::ClientEvent(doors::ClientEvent {
            client,
            channel,
            event: name,
            data,
        });
        let answer = self.event_loop.shared.gate.admit(&claim, toll);
        self.put(answer.map(|answer| Settled::ClientEvent(event, answer)));
    }

    /// Carries out an answer, now or when it comes.
    fn put(&mut self, answer: Answer<Settled>) {
        match answer {
            Answer::Ready(settled) => self.settle(settled),
            Answer::Pending(answer) => self.pending = Some(answer),
        }
    }

    fn settle(&mut self, settled: Settled) {
        match settled {
            Settled::Connect(Ok(grant)) => {
                self.connection.note_expiry(&grant, None);
                let greeting = self.connection.session.borrow().greet();
                self.connection.say(&self.event_loop, &greeting);
            }
            Settled::Connect(Err(refusal)) => {
                let text = frames::error(&refusal.message, Some(refusal.code));
                self.connection.say(&self.event_loop, &text);
                self.leave(Close::from_plugin(refusal.code));
            }
            Settled::Subscribe(channel, Ok(grant)) => self.subscribe(&channel, &grant),
            Settled::Subscribe(channel, Err(refusal)) => self.refuse(&channel, refusal.code, &refusal.message),
            Settled::ClientEvent(event, Ok(pass)) => self.publish(&event, &pass),
            Settled::ClientEvent(event, Err(refusal)) => {
                let session = self.connection.session.borrow();
                let text = match refusal.retry_after_ms {
                    Some(ms) => session.rate_limited(&event.event, u64::from(ms)),
                    None => frames::error(&refusal.message, None),
                };
                self.connection.say(&self.event_loop, &text);
            }
        }
    }

    fn subscribe(&mut self, channel: &ChannelName, grant: &Grant) {
        if !self.connection.session.borrow().is_pending(channel) {
            return;
        }
        let (slot, now_ms) = (self.connection.slot.get(), self.event_loop.shared.now_ms());
        let begun = self
            .event_loop
            .shard()
            .subscribe(slot, grant, self.topic(channel), now_ms);
        match begun {
            Ok(begun) => {
                self.connection.note_expiry(grant, Some(channel));
                if begun == Subscription::Now {
                    let text = self.connection.session.borrow_mut().subscribed(channel);
                    text.into_iter()
                        .for_each(|text| self.connection.say(&self.event_loop, &text));
                }
            }
            Err(error) => self.refuse(channel, UNAVAILABLE, &error.to_string()),
        }
    }

    fn refuse(&self, channel: &ChannelName, status: u16, error: &str) {
        let text = self
            .connection
            .session
            .borrow_mut()
            .subscription_refused(channel, status, error);
        self.connection.say(&self.event_loop, &text);
    }

    fn publish(&self, event: &ClientEvent, pass: &Pass) {
        let text = frames::client_event(&event.channel, event.event.as_str(), &event.data);
        let event = Event {
            topic: self.topic(&event.channel),
            frame: websocket::text_frame(text.as_bytes()),
            // Pusher protocol, "Client events": not delivered to the connection that sent them.
            except: Some(self.connection.socket_id),
        };
        // A client event has no answer, so nobody waits for the adapter's confirmation.
        if let Err(error) = self.event_loop.shared.hub.publish(pass, vec![event]) {
            self.connection
                .say(&self.event_loop, &frames::error(&error.to_string(), None));
        }
    }

    fn topic(&self, channel: &ChannelName) -> Topic {
        Topic::new(&self.connection.client.app.id, channel)
    }
}

/// The answer that is out, or never.
async fn answer(pending: &mut Option<Pin<Box<dyn Future<Output = Settled>>>>) -> Settled {
    match pending {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}

/// Waits for what the conversation can make use of.
#[expect(
    clippy::fn_params_excessive_bools,
    reason = "two independent conditions, named at the one call"
)]
async fn ready(socket: &Socket, listens: bool, blocked: bool) -> io::Result<Ready> {
    let wanted = [(listens, Interest::READABLE), (blocked, Interest::WRITABLE)];
    let wanted = wanted
        .into_iter()
        .filter_map(|(wanted, interest)| wanted.then_some(interest));
    match wanted.reduce(|one, other| one | other) {
        Some(interest) => socket.ready(interest).await,
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// The largest message of a client: an event of 10 KB may be escaped to several times its size.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// Messages that may wait for an answer before the socket is not read any more: more than a page sends at its start. One
/// read may add some more: what a 64 KiB buffer holds.
const BACKLOG: usize = 64;

/// How long a closing client has to take what waits and to close its side.
const FAREWELL: Duration = Duration::from_secs(3);
