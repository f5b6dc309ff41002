//! One WebSocket client: drives the conversation of [`Session`], asks the gate, and does what comes of it.
//!
//! The task of a connection reads; whoever has something to say puts it into the outbox, and the event loop's writer
//! writes it. While an answer of the gate is pending, later messages wait in a bounded backlog; when that is full the socket
//! is not read, so that the client waits and nobody else does.

mod conversation;
mod permits;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use jackfield_hub::cluster::Signed;
use jackfield_hub::doors::Client;
use jackfield_hub::{Apps as _, Joined, Late, Place, Seat, Topic};
use jackfield_protocol::close::Close;
use jackfield_protocol::names::{ChannelName, SocketId};
use jackfield_protocol::pusher::frames;
use jackfield_protocol::pusher::session::{Session, Settings, Tick};
use jackfield_protocol::websocket;

use crate::event_loop::{EventLoop, add};
use crate::socket::{Socket, Written};
use conversation::Conversation;
use permits::Permit;
pub(crate) use permits::Recheck;

/// One client, as its event loop keeps it.
pub(crate) struct Connection {
    pub(crate) socket: Socket,
    /// Another one when its app has changed.
    client: RefCell<Arc<Client>>,
    /// A part of what this instance and the app may have.
    _seats: [Seat; 2],
    session: RefCell<Session>,
    /// The place in the shard; set right after the connection was made.
    place: OnceCell<Place>,
    /// What the kernel does not take is waiting.
    blocked: Cell<bool>,
    /// The connection is gone, or its farewell is written: see [`Connection::wrote`].
    end: Cell<End>,
    /// Wakes the connection's task when one of the two above changes.
    changed: tokio::sync::Notify,
    /// Permissions that end, or are asked for again.
    permits: RefCell<Vec<Permit>>,
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
    pub(crate) async fn run(socket: Socket, arrival: Arrival, early: Bytes) {
        let event_loop = EventLoop::current();
        let Arrival {
            client,
            seats,
            socket_id,
        } = arrival;
        let settings = settings(&event_loop, &client, socket_id);
        let connection = Rc::new(Self {
            socket,
            client: RefCell::new(client),
            _seats: seats,
            session: RefCell::new(Session::new(settings, Instant::now())),
            place: OnceCell::new(),
            blocked: Cell::new(false),
            end: Cell::new(End::Open),
            changed: tokio::sync::Notify::new(),
            permits: RefCell::default(),
        });
        let place = event_loop.shard().add(socket_id, Rc::clone(&connection));
        connection.place.get_or_init(|| place);
        // Its app may have changed between the handshake and now.
        connection.follow(&event_loop);
        let counts = event_loop.counts();
        add(&counts.connected, 1);
        add(&counts.connections, 1);
        Conversation::new(Rc::clone(&connection), Rc::clone(&event_loop))
            .run(early)
            .await;
        connection.sign_out(&event_loop);
        event_loop.shard().remove(place.slot, event_loop.shared.now_ms());
        counts.connections.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        add(&counts.disconnected, 1);
    }

    /// Goes on by what the configuration says of its app now, or ends.
    pub(crate) fn follow(&self, event_loop: &EventLoop) {
        let old = self.client();
        let close = match event_loop.shared.apps.by_id(&old.app.id) {
            None => Close::AppUnknown,
            Some(app) if !app.policy.enabled => Close::AppDisabled,
            Some(app) if Arc::ptr_eq(&app, &old.app) => return,
            Some(app) => {
                let (features, limits) = (app.policy.features, app.policy.limits);
                self.session.borrow_mut().adopt(features, limits);
                let changed = Client { app, ..(*old).clone() };
                self.client.replace(Arc::new(changed));
                return;
            }
        };
        self.say(event_loop, &frames::error(close.reason(), Some(close.code())));
        self.close(event_loop, close);
    }

    /// Whose connection it is.
    fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.borrow())
    }

    fn topic(&self, channel: &ChannelName) -> Topic {
        Topic::new(&self.client.borrow().app.id, channel)
    }

    /// Where the connection is kept.
    fn place(&self) -> Place {
        *self.place.get().expect("a connection that runs has a place")
    }

    fn slot(&self) -> usize {
        self.place().slot
    }

    /// Puts a text into the outbox.
    fn say(&self, event_loop: &EventLoop, text: &str) {
        event_loop
            .shard()
            .push(self.slot(), websocket::text_frame(text.as_bytes()));
    }

    /// Ends the conversation behind what waits in the outbox.
    fn close(&self, event_loop: &EventLoop, close: Close) {
        event_loop.shard().close(self.slot(), close);
    }

    /// Whether the kernel took no more when the socket was last written.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.get()
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

    /// What the client is told that has come into a channel; nothing if it has left again.
    pub(crate) fn welcome(&self, joined: &Joined) -> Vec<Bytes> {
        let channel = joined.topic.channel();
        if !self.session.borrow_mut().granted(channel, joined.ticket) {
            return Vec::new();
        }
        let mut told = vec![websocket::text_frame(joined.welcome.text.as_bytes())];
        match &joined.welcome.cached {
            None => {}
            Some(Some(cached)) => told.push(cached.frame.clone()),
            Some(None) => told.push(websocket::text_frame(frames::cache_miss(channel).as_bytes())),
        }
        told
    }

    /// The adapter did not follow the channel in time.
    pub(crate) fn was_late(&self, event_loop: &EventLoop, late: &Late) {
        let error = "the adapter did not follow this channel in time; try again";
        let mut session = self.session.borrow_mut();
        let text = session.subscription_refused(late.topic.channel(), late.ticket, UNAVAILABLE, error);
        drop(session);
        text.into_iter().for_each(|text| self.say(event_loop, &text));
    }

    /// Tells those who watch for the user that this connection is gone.
    fn sign_out(&self, event_loop: &EventLoop) {
        if let Some(user) = self.session.borrow().user() {
            let (hub, list) = (&event_loop.shared.hub, user.watchlist.clone());
            hub.sign_out(self.signed(&user.id), self.place(), list);
        }
    }

    /// A user of this connection's app.
    pub(super) fn signed(&self, user: &str) -> Signed {
        Signed {
            app: Arc::clone(&self.client.borrow().app.id),
            user: user.into(),
        }
    }

    /// Until then there is nothing to look at, unless somebody says so: see [`EventLoop::look_soon`].
    pub(crate) fn quiet_until(&self) -> Instant {
        let session = self.session.borrow().quiet_until();
        self.ends().map_or(session, |end| end.min(session))
    }

    /// Looks at the timers.
    pub(crate) fn tick(&self, event_loop: &EventLoop, now: Instant) {
        let due = self.session.borrow_mut().tick(now);
        match due {
            Tick::Idle => {}
            Tick::Ping => self.say(event_loop, &frames::ping()),
            Tick::Close(close) => self.close(event_loop, close),
        }
        if !self.permits.borrow().is_empty() {
            self.expire(event_loop, now);
        }
    }
}

/// A client that has passed the handshake.
pub(crate) struct Arrival {
    pub(crate) client: Arc<Client>,
    pub(crate) seats: [Seat; 2],
    pub(crate) socket_id: SocketId,
}

fn settings(event_loop: &EventLoop, client: &Client, socket_id: SocketId) -> Settings {
    let policy = &client.app.policy;
    Settings {
        activity_timeout: event_loop.shared.settings().activity_timeout,
        user_authentication_timeout: policy.user_authentication_timeout,
        features: policy.features,
        limits: policy.limits,
        ..Settings::new(socket_id)
    }
}

/// HTTP's word for a door without an answer, as `pusher:subscription_error` uses it.
const UNAVAILABLE: u16 = 503;
