//! The task of one connection: reads frames, puts questions to the gate, carries out the answers.

mod asking;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jackfield_hub::cluster::Watch;
use jackfield_hub::doors::{Answer, Claim, Refusal};
use jackfield_hub::{Event, Grant, JoinError, Pass, PublishError, Toll, Topic};
use jackfield_protocol::close::Close;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::pusher::session::{ClientEvent, Intent, Signin, Subscribe};
use jackfield_protocol::websocket::{self, Decoder, Message};
use tokio::io::{Interest, Ready};
use tokio::time::Instant;

use super::permits::Permitted;
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
    Connect(Result<Option<u64>, Refusal>),
    Subscribe(Subscribe, Result<Grant, Refusal>),
    Signin(Signin, Result<Grant, Refusal>),
    ClientEvent(ClientEvent, Result<Pass, Refusal>),
    Message(String, Result<(), Refusal>),
}

impl Conversation {
    pub(super) fn new(connection: Rc<Connection>, event_loop: Rc<EventLoop>) -> Self {
        let decoder = Decoder::new(event_loop.shared.settings().max_message_bytes);
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
        let claim = Claim::Connect(self.connection.client());
        let shared = &self.event_loop.shared;
        let rule = shared.settings().connect_rule;
        let answer = match rule {
            None => shared
                .gate
                .authorize(&claim)
                .map(|answer| answer.map(|grant| grant.permission.expires_in_ms)),
            Some(rule) => {
                let toll = Toll::Connect(self.connection.client(), rule);
                shared
                    .gate
                    .admit(&claim, toll)
                    .map(|answer| answer.map(|pass| pass.expires_in_ms))
            }
        };
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
                        self.event_loop.write_socket(connection.slot());
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
            Message::Text(text) => self.converse(text),
            Message::Ping(data) => {
                self.event_loop
                    .shard()
                    .push(connection.slot(), websocket::pong_frame(&data));
            }
            Message::Pong => {}
            Message::Binary(_) => self.leave(Close::Unsupported),
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
            self.converse(text);
        }
    }

    fn converse(&mut self, text: String) {
        add(&self.event_loop.counts().received, 1);
        let rule = self.connection.client.borrow().app.policy.rules.message;
        match rule {
            None => self.act(&text),
            Some(limit) => self.ask_to_converse(text, limit.rule),
        }
    }

    fn act(&mut self, text: &str) {
        let intent = self
            .connection
            .session
            .borrow_mut()
            .receive(text, std::time::Instant::now());
        match intent {
            Intent::Nothing => {}
            Intent::Reply(text) => self.connection.say(&self.event_loop, &text),
            Intent::Subscribe(request) => self.ask_to_subscribe(request),
            Intent::Signin(signin) => self.ask_to_sign_in(signin),
            Intent::Unsubscribe(channel) => {
                let topic = self.topic(&channel);
                let now_ms = self.event_loop.shared.now_ms();
                self.event_loop
                    .shard()
                    .unsubscribe(self.connection.slot(), &topic, now_ms);
                self.connection.note_expiry(None, Permitted::Channel(channel));
            }
            Intent::ClientEvent(event) => self.ask_to_send(event),
            Intent::Close(close) => self.leave(close),
        }
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
            Settled::Connect(Ok(expires_in_ms)) => {
                self.connection.note_expiry(expires_in_ms, Permitted::Connection);
                let greeting = self.connection.session.borrow().greet();
                self.connection.say(&self.event_loop, &greeting);
            }
            Settled::Connect(Err(refusal)) => {
                // A limit's 429 is no close code; 4100 is the one that says: later.
                let close = match refusal.retry_after_ms {
                    Some(_) => Close::OverCapacity,
                    None => Close::from_plugin(refusal.code),
                };
                self.connection
                    .say(&self.event_loop, &frames::error(&refusal.message, Some(close.code())));
                self.leave(close);
            }
            Settled::Subscribe(request, Ok(grant)) => self.subscribe(request, &grant),
            Settled::Subscribe(request, Err(refusal)) => self.refuse(&request, refusal.code, &refusal.message),
            Settled::Signin(signin, Ok(grant)) => self.sign_in(signin, &grant),
            Settled::Signin(_, Err(refusal)) => {
                let text = self.connection.session.borrow().signin_refused(&refusal.message);
                self.connection.say(&self.event_loop, &text);
            }
            Settled::ClientEvent(event, Ok(pass)) => self.publish(&event, &pass),
            Settled::ClientEvent(event, Err(refusal)) => self.refuse_event(&event, &refusal),
            Settled::Message(text, Ok(())) => self.act(&text),
            Settled::Message(text, Err(refusal)) => self.refuse_message(&text, &refusal),
        }
    }

    /// Goes into the channel. The welcome comes with a turn of the shard, in its place among the channel's events.
    fn subscribe(&mut self, mut request: Subscribe, grant: &Grant) {
        if self.connection.session.borrow().pending_ticket(&request.channel) != Some(request.ticket) {
            return;
        }
        let named = grant.permission.member.as_deref();
        let named = named.map(|member| (member.user_id.as_str(), member.user_info.as_deref()));
        let appointed = self.connection.session.borrow_mut().appoint(&mut request, named);
        if let Err((status, error)) = appointed {
            return self.refuse(&request, status, &error);
        }
        let (slot, now_ms) = (self.connection.slot(), self.event_loop.shared.now_ms());
        let Subscribe {
            channel,
            member,
            ticket,
            ..
        } = request.clone();
        let wish = jackfield_hub::Subscribe {
            topic: self.topic(&channel),
            ticket,
            member,
        };
        let begun = self.event_loop.shard().subscribe(slot, grant, wish, now_ms);
        match begun {
            Ok(()) => {
                self.connection
                    .note_subscription(&self.event_loop, grant.permission.expires_in_ms, request);
                self.event_loop.take_turn();
            }
            Err(error) => self.refuse(&request, status_of(&error), &error.to_string()),
        }
    }

    fn refuse(&self, request: &Subscribe, status: u16, error: &str) {
        let mut session = self.connection.session.borrow_mut();
        let text = session.subscription_refused(&request.channel, request.ticket, status, error);
        drop(session);
        text.into_iter()
            .for_each(|text| self.connection.say(&self.event_loop, &text));
    }

    fn sign_in(&mut self, signin: Signin, grant: &Grant) {
        let connection = &self.connection;
        let hub = &self.event_loop.shared.hub;
        let before = connection.session.borrow().user().map(|user| user.watchlist.clone());
        let told = connection.session.borrow_mut().signed_in(signin);
        let texts = match told {
            Ok(texts) => texts,
            Err(refusal) => return connection.say(&self.event_loop, &refusal),
        };
        for text in texts {
            connection.say(&self.event_loop, &text);
        }
        let place = connection.place();
        if let Some(list) = before {
            let app = Arc::clone(&connection.client.borrow().app.id);
            hub.unwatch(Watch { place, app, list });
        }
        connection.note_expiry(grant.permission.expires_in_ms, Permitted::Signin);
        if let Some(user) = connection.session.borrow().user() {
            hub.sign_in(connection.signed(&user.id), place, user.watchlist.clone());
        }
        self.event_loop.take_turn();
    }

    fn publish(&self, event: &ClientEvent, pass: &Pass) {
        let ClientEvent {
            channel,
            event: name,
            data,
            user_id,
        } = event;
        let text = frames::client_event(channel, name.as_str(), data, user_id.as_deref());
        let (hub, sender) = (&self.event_loop.shared.hub, self.connection.place().socket);
        let topic = self.topic(channel);
        // Pusher protocol, "Client events": not delivered to the connection that sent them, and not cached.
        let (frame, except) = (websocket::text_frame(text.as_bytes()), Some(sender));
        let published = Event {
            topic: topic.clone(),
            frame,
            except,
            kept: false,
        };
        // A client event has no answer, so nobody waits for the confirmation; a refusal is there at once.
        let refused = match hub.publish(pass, vec![published]) {
            Ok(mut receipt) => receipt.settled().and_then(Result::err),
            Err(error) => Some(error),
        };
        match refused {
            None | Some(PublishError::Unknown(_)) => hub.notice_client_event(&topic, event, sender),
            Some(error) => {
                let text = frames::error(&error.to_string(), None);
                self.connection.say(&self.event_loop, &text);
            }
        }
    }

    fn topic(&self, channel: &ChannelName) -> Topic {
        self.connection.topic(channel)
    }
}

fn status_of(error: &JoinError) -> u16 {
    match error {
        JoinError::Door(_) => UNAVAILABLE,
        JoinError::Full(_) => FULL,
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

/// What `pusher:subscription_error` says of a presence channel with too many members.
const FULL: u16 = 413;

/// Messages that may wait for an answer before the socket is not read any more: more than a page sends at its start. One
/// read may add some more: what a 64 KiB buffer holds.
const BACKLOG: usize = 64;

/// How long a closing client has to take what waits and to close its side.
const FAREWELL: Duration = Duration::from_secs(3);
