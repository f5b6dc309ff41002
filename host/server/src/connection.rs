//! One WebSocket client: drives the conversation of [`Session`], asks the gate, and does what comes of it.
//!
//! The task of a connection reads; whoever has something to say puts it into the outbox, and the event loop's writer
//! writes it. While an answer of the gate is pending, later messages wait in a bounded backlog; when that is full the socket
//! is not read, so that the client waits and nobody else does.

mod conversation;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jackfield_hub::doors::Client;
use jackfield_hub::{Grant, Topic};
use jackfield_protocol::close::Close;
use jackfield_protocol::names::{ChannelName, SocketId};
use jackfield_protocol::pusher::frames;
use jackfield_protocol::pusher::session::{Session, Settings, Tick};
use jackfield_protocol::websocket;

use crate::event_loop::{EventLoop, add};
use crate::socket::{Socket, Written};
use conversation::Conversation;

/// One client, as its event loop keeps it.
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    client: Arc<Client>,
    socket_id: SocketId,
    session: RefCell<Session>,
    /// The place in the shard; set right after the connection was made.
    slot: Cell<usize>,
    /// What the kernel does not take is waiting.
    blocked: Cell<bool>,
    /// The connection is gone, or its farewell is written: see [`Connection::wrote`].
    end: Cell<End>,
    /// Wakes the connection's task when one of the two above changes.
    changed: tokio::sync::Notify,
    /// When permissions end: of a channel, or of the whole connection.
    expiries: RefCell<Vec<(Instant, Option<ChannelName>)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not yet.
    Open,
    /// A close frame is queued behind what waits.
    Closing,
    /// The close frame is written.
    Said,
    /// There is nobody to talk to.
    Broken,
}

impl Connection {
    /// Runs the connection to its end. `early` is what the client sent along with its handshake.
    pub(crate) async fn run(socket: Socket, client: Arc<Client>, socket_id: SocketId, early: Bytes) {
        let event_loop = EventLoop::current();
        let mut settings = Settings::new(socket_id);
        settings.activity_timeout = event_loop.shared.activity_timeout;
        settings.client_events = client.app.policy.client_events;
        let connection = Rc::new(Self {
            socket,
            client,
            socket_id,
            session: RefCell::new(Session::new(settings, Instant::now())),
            slot: Cell::new(0),
            blocked: Cell::new(false),
            end: Cell::new(End::Open),
            changed: tokio::sync::Notify::new(),
            expiries: RefCell::default(),
        });
        let slot = event_loop.shard().add(socket_id, Rc::clone(&connection));
        connection.slot.set(slot);
        let counts = event_loop.counts();
        add(&counts.connected, 1);
        add(&counts.connections, 1);
        Conversation::new(connection, Rc::clone(&event_loop)).run(early).await;
        event_loop.shard().remove(slot, event_loop.shared.now_ms());
        counts.connections.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        add(&counts.disconnected, 1);
    }

    /// Puts a text into the outbox.
    fn say(&self, event_loop: &EventLoop, text: &str) {
        event_loop
            .shard()
            .push(self.slot.get(), websocket::text_frame(text.as_bytes()));
    }

    /// Ends the conversation behind what waits in the outbox.
    fn close(&self, event_loop: &EventLoop, close: Close) {
        event_loop.shard().close(self.slot.get(), close);
    }

    /// What came of a write by the event loop.
    pub(crate) fn wrote(&self, written: Written, closing: bool) {
        self.blocked.set(written == Written::Blocked);
        let end = match (written, closing) {
            (Written::Broken, _) => End::Broken,
            (Written::All, true) => End::Said,
            (Written::Blocked, true) => End::Closing,
            (_, false) => End::Open,
        };
        let woken = written == Written::Blocked || end != self.end.replace(end);
        if woken {
            self.changed.notify_one();
        }
    }

    /// A subscription that waited for the adapter is confirmed, or refused because it did not answer in time.
    pub(crate) fn subscription_changed(&self, event_loop: &EventLoop, topic: &Topic, confirmed: bool) {
        let Ok(channel) = ChannelName::parse(topic.channel()) else {
            return;
        };
        let text = if confirmed {
            self.session.borrow_mut().subscribed(&channel)
        } else {
            let error = "the adapter did not follow this channel in time; try again";
            Some(
                self.session
                    .borrow_mut()
                    .subscription_refused(&channel, UNAVAILABLE, error),
            )
        };
        if let Some(text) = text {
            self.say(event_loop, &text);
        }
    }

    /// Looks at the timers.
    pub(crate) fn tick(&self, event_loop: &EventLoop, now: Instant) {
        let due = self.session.borrow_mut().tick(now);
        match due {
            Tick::Idle => {}
            Tick::Ping => self.say(event_loop, &frames::ping()),
            Tick::Close(close) => self.close(event_loop, close),
        }
        if !self.expiries.borrow().is_empty() {
            self.expire(event_loop, now);
        }
    }

    /// Remembers when a permission ends.
    fn note_expiry(&self, grant: &Grant, channel: Option<&ChannelName>) {
        if let Some(ms) = grant.expires_in_ms {
            let end = Instant::now() + Duration::from_millis(ms.min(LONGEST_GRANT_MS));
            self.expiries.borrow_mut().push((end, channel.cloned()));
        }
    }

    /// Takes back what is no longer permitted.
    fn expire(&self, event_loop: &EventLoop, now: Instant) {
        let mut ended = Vec::new();
        self.expiries.borrow_mut().retain(|(end, channel)| {
            let over = *end <= now;
            if over {
                ended.push(channel.clone());
            }
            !over
        });
        for channel in ended {
            let Some(channel) = channel else {
                return self.close(event_loop, Close::Unauthorized);
            };
            let topic = Topic::new(&self.client.app.id, &channel);
            event_loop
                .shard()
                .unsubscribe(self.slot.get(), &topic, event_loop.shared.now_ms());
            let text =
                self.session
                    .borrow_mut()
                    .subscription_refused(&channel, UNAUTHORIZED, "the permission has ended");
            self.say(event_loop, &text);
        }
    }
}

/// HTTP's words for refusals, as `pusher:subscription_error` uses them.
const UNAUTHORIZED: u16 = 401;
const UNAVAILABLE: u16 = 503;

/// A permission may last a year; more is as good as for ever and would overflow clocks.
const LONGEST_GRANT_MS: u64 = 365 * 24 * 3_600 * 1_000;
