//! One thread with its sockets: HTTP, WebSockets and their share of every channel.
//!
//! Everything of a connection happens on its loop's thread, so nothing here is locked. Deliveries are gathered: the
//! tasks of a turn only fill outboxes, and the writer, which runs after them, writes each dirty socket once with all
//! that waits for it.

use std::cell::{RefCell, RefMut};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jackfield_hub::{Event, OutboxLimits, Shard, ShardHandle};
use jackfield_protocol::close::Close;
use jackfield_ring::Ring;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Notify, watch};
use tokio::task::coop::consume_budget;
use tokio::task::{LocalSet, yield_now};
use tokio::time::timeout;

use crate::acceptor::Accepted;
use crate::connection::Connection;
use crate::http;
use crate::shared::{Counts, Shared};

/// The state of one event loop.
pub(crate) struct EventLoop {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    /// Borrowed for moments, never across an await.
    shard: RefCell<Shard<Rc<Connection>>>,
    /// Wakes the writer.
    dirty: Arc<Notify>,
    /// Writes to many sockets at once, where that is wanted and offered.
    ring: RefCell<Option<Ring>>,
    /// Held by every HTTP connection; says to them when to end.
    http: watch::Sender<bool>,
    /// Where sockets are read into: borrowed while one is read, so that an idle socket needs no buffer.
    pub(crate) scratch: RefCell<Box<[u8]>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<EventLoop>>> = const { RefCell::new(None) };
}

/// A handle for the hub, and the wake-up behind it.
pub(crate) fn handle() -> (ShardHandle, Arc<Notify>) {
    let dirty = Arc::new(Notify::new());
    let wake = Arc::clone(&dirty);
    (ShardHandle::new(move || wake.notify_one()), dirty)
}

/// Runs one event loop on the calling thread until the program drains and its sockets are gone.
pub(crate) fn run(
    index: usize,
    shared: Arc<Shared>,
    dirty: Arc<Notify>,
    mut accepted: Receiver<Accepted>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shard = RefCell::new(Shard::new(index, Arc::clone(&shared.hub), OutboxLimits::default()));
    let scratch = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
    let ring = RefCell::new(shared.io_uring.then(|| ring(index)).flatten());
    let event_loop = Rc::new(EventLoop {
        index,
        shared,
        shard,
        dirty,
        ring,
        http: watch::Sender::new(false),
        scratch,
    });
    CURRENT.set(Some(Rc::clone(&event_loop)));
    let tasks = LocalSet::new();
    tasks.spawn_local(Rc::clone(&event_loop).write());
    tasks.spawn_local(Rc::clone(&event_loop).tick());
    tasks.spawn_local(Rc::clone(&event_loop).follow());
    tasks.spawn_local(Rc::clone(&event_loop).recheck());
    runtime.block_on(tasks.run_until(async {
        while let Some((stream, peer)) = accepted.recv().await {
            event_loop.admit(stream, peer);
        }
        event_loop.drain().await;
    }));
    CURRENT.set(None);
    Ok(())
}

/// The ring of this thread's loop; none where the kernel does not offer it.
fn ring(index: usize) -> Option<Ring> {
    let made = Ring::new(SLICE as u32);
    // One line for all loops.
    if let (Err(error), 0) = (&made, index) {
        tracing::info!(%error, "the kernel does not offer io_uring: sockets are written one by one");
    }
    made.ok()
}

impl EventLoop {
    /// The loop of this thread.
    pub(crate) fn current() -> Rc<Self> {
        CURRENT.with_borrow(|current| Rc::clone(current.as_ref().expect("called on an event loop's thread")))
    }

    /// The shard, and a turn of the writer behind whatever is done to it.
    pub(crate) fn shard(&self) -> RefMut<'_, Shard<Rc<Connection>>> {
        self.dirty.notify_one();
        self.shard.borrow_mut()
    }

    /// What this loop counts.
    pub(crate) fn counts(&self) -> &Counts {
        &self.shared.counts[self.index]
    }

    /// Writes one socket's outbox as far as the kernel takes it, and says how many bytes that were.
    pub(crate) fn write_socket(&self, slot: usize) -> usize {
        let mut shard = self.shard.borrow_mut();
        let connection = Rc::clone(shard.owner(slot));
        let (written, bytes) = connection.socket.write(shard.outbox_mut(slot));
        add(&self.counts().written_bytes, bytes as u64);
        let closing = shard.is_closing(slot);
        drop(shard);
        connection.wrote(written, closing);
        bytes
    }

    /// Works off what is queued for this loop's shard. Also called by a conversation that has just come into a channel, so that
    /// its welcome stands in front of whatever it is told next. True if there is more to do.
    pub(crate) fn take_turn(&self) -> bool {
        let mut shard = self.shard.borrow_mut();
        let more = shard.turn(|connection, joined| connection.welcome(joined));
        let counts = self.counts();
        counts.delivered.store(shard.deliveries, Ordering::Relaxed);
        counts.cut.store(shard.cut, Ordering::Relaxed);
        more
    }

    /// Whether one of these channels has more to deliver on this loop than it should.
    pub(crate) fn is_behind(events: &[Event]) -> bool {
        let behind = |event_loop: &Rc<Self>| {
            let shard = event_loop.shard.borrow();
            events.iter().any(|event| shard.is_behind(&event.topic))
        };
        CURRENT.with_borrow(|current| current.as_ref().is_some_and(behind))
    }

    /// Starts a task of this thread's loop. The loop's set of tasks owns it and drops it when the loop ends.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where an event loop's tasks are started"
    )]
    pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(task);
    }

    fn admit(&self, stream: std::net::TcpStream, peer: SocketAddr) {
        match TcpStream::from_std(stream) {
            Ok(stream) => {
                let end = self.http.subscribe();
                Self::spawn(http::serve(stream, peer, Arc::clone(&self.shared), end));
            }
            Err(error) => tracing::warn!(%error, "a connection could not be registered"),
        }
    }

    /// Works off jobs and writes dirty sockets, in slices: a large channel must not hold up the rest. Whoever does something to the
    /// shard later wakes it again, so it looks only once.
    async fn write(self: Rc<Self>) {
        loop {
            self.dirty.notified().await;
            while self.take_turn() | self.write_slice() {
                yield_now().await;
            }
            consume_budget().await;
        }
    }

    /// Writes some dirty sockets. True if there may be more.
    fn write_slice(&self) -> bool {
        let (mut slots, mut count, mut bytes) = ([0; SLICE], 0, 0);
        while count < SLICE && bytes < SLICE_BYTES {
            let mut shard = self.shard.borrow_mut();
            let Some(slot) = shard.next_dirty() else { break };
            if !shard.owner(slot).is_blocked() {
                bytes += shard.outbox(slot).bytes();
            }
            slots[count] = slot;
            count += 1;
        }
        let slots = &slots[..count];
        if count >= TOGETHER {
            self.write_together(slots);
        }
        for slot in slots {
            self.write_socket(*slot);
        }
        count == SLICE || bytes >= SLICE_BYTES
    }

    /// Writes to those of these sockets for which one frame waits, as far as the kernel takes it, with one system call. What is left,
    /// and what has become of a socket, is for [`Self::write_socket`] to find.
    fn write_together(&self, slots: &[usize]) {
        let mut place = self.ring.borrow_mut();
        let Some(ring) = place.as_mut() else { return };
        let mut shard = self.shard.borrow_mut();
        let sends = slots.iter().filter_map(|&slot| {
            let connection = shard.owner(slot);
            let frame = shard.outbox(slot).single().filter(|_| !connection.is_blocked())?;
            Some((slot, connection.socket.as_fd(), frame))
        });
        let failed = match ring.send(sends) {
            Ok(taken) => {
                for &(slot, bytes) in taken {
                    shard.outbox_mut(slot).advance(bytes);
                    add(&self.counts().written_bytes, bytes as u64);
                }
                return;
            }
            Err(error) => error,
        };
        tracing::warn!(error = %failed, "io_uring failed: from now on sockets are written one by one");
        *place = None;
    }

    /// Once a second: activity timers, subscriptions that waited too long, counters. One walk over the sockets costs less
    /// than a timer each, and most of them are only asked whether they are due.
    async fn tick(self: Rc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        loop {
            interval.tick().await;
            let (now, now_ms) = (Instant::now(), self.shared.now_ms());
            let due = self.shard.borrow_mut().due(now_ms);
            for slot in due {
                let connection = Rc::clone(self.shard.borrow().owner(slot));
                connection.tick(&self, now);
                let quiet = connection.quiet_until().saturating_duration_since(now);
                let again = now_ms + quiet.as_millis() as u64;
                self.shard.borrow_mut().look_again(slot, again);
            }
            let late = self.shard.borrow_mut().expire(self.shared.now_ms());
            for late in late {
                let connection = Rc::clone(self.shard.borrow().owner(late.slot));
                connection.was_late(&self, &late);
            }
            if self.index == 0 {
                self.shared.hub.sweep(self.shared.now_ms());
            }
            let subscriptions = self.shard.borrow().subscriptions() as u64;
            self.counts().subscriptions.store(subscriptions, Ordering::Relaxed);
        }
    }

    /// Has a connection's timers looked at with the next tick: one is due sooner than it was.
    pub(crate) fn look_soon(&self, slot: usize) {
        self.shard.borrow_mut().look_again(slot, 0);
    }

    /// Those that there are now. Whoever goes through them must not keep a socket open.
    pub(crate) fn connections(&self) -> Vec<Weak<Connection>> {
        let shard = self.shard.borrow();
        shard.owners(0..shard.end()).map(Rc::downgrade).collect()
    }

    /// Has the connections follow when the configuration has changed, in slices: a large app that is gone must not hold up the
    /// others.
    async fn follow(self: Rc<Self>) {
        let mut changes = self.shared.reloads.changes();
        while changes.changed().await.is_ok() {
            let mut first = 0;
            while first < self.shard.borrow().end() {
                let slots = first..first + SLICE;
                let connections: Vec<Rc<Connection>> = self.shard.borrow().owners(slots).cloned().collect();
                connections.iter().for_each(|connection| connection.follow(&self));
                first += SLICE;
                yield_now().await;
            }
        }
    }

    /// Closes all sockets, then all HTTP connections, and waits until they are gone.
    async fn drain(&self) {
        let others_end = Instant::now() + self.shared.settings().shutdown_grace + LAST_FAREWELLS;
        self.close_sockets().await;
        // Those of a balancer are on any loop, and are answered for as long as there are sockets on one.
        while self.shared.connections() > 0 && Instant::now() < others_end {
            tokio::time::sleep(DRAIN_STEP).await;
        }
        self.http.send_replace(true);
        // Time out: these are not waited for any longer.
        let _ = timeout(LAST_ANSWERS, self.http.closed()).await;
        // A handshake that was under way.
        self.close_sockets().await;
    }

    /// Closes all sockets with 4200, spread evenly over the grace period, and waits until they are gone. Clients come back
    /// at once, and at one instance fewer they should not all come in the same moment. Each socket has its own time limit
    /// for its farewell.
    async fn close_sockets(&self) {
        let at_once = closed_at_once(self.shard.borrow().len(), self.shared.settings().shutdown_grace);
        // Looked at anew in every step: somebody may have come in late.
        while !self.shard.borrow().is_empty() {
            let slots: Vec<usize> = self.shard.borrow().open_slots().take(at_once).collect();
            for slot in slots {
                self.shard().close(slot, Close::Reconnect);
            }
            tokio::time::sleep(DRAIN_STEP).await;
        }
    }
}

/// Counters of a loop have one writer, so a load and a store do.
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}

/// How many of these sockets are closed in each step of a drain that may take so long.
fn closed_at_once(sockets: usize, over: Duration) -> usize {
    let steps = (over.as_millis() / DRAIN_STEP.as_millis()).max(1) as usize;
    sockets.div_ceil(steps).max(DRAIN_AT_ONCE)
}

/// Bytes read from a socket at once.
const SCRATCH_BYTES: usize = 64 << 10;

/// Sockets written before other tasks get their turn: a fraction of a millisecond.
const SLICE: usize = 64;

/// Sockets from which on one system call for all of them costs less than one for each.
const TOGETHER: usize = 4;

/// Bytes after which a slice ends sooner: those who lag have much to be written, and to copy it takes longer than the calls.
const SLICE_BYTES: usize = 128 << 10;

/// How often timers are looked at.
const TICK: Duration = Duration::from_secs(1);

/// The grain in which sockets are closed at the end.
const DRAIN_STEP: Duration = Duration::from_millis(20);

/// What sockets may take beyond the grace period: their farewell takes three seconds at most.
const LAST_FAREWELLS: Duration = Duration::from_secs(5);

/// How long a request that has begun may take to be sent and answered: a publish is answered within three seconds, a plugin within five.
const LAST_ANSWERS: Duration = Duration::from_secs(6);

/// Sockets closed in one step at the least: a few do not make a crowd, and nobody needs to wait for them.
const DRAIN_AT_ONCE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    // Pusher protocol, "Connection closure": after 4200 clients reconnect at once and without any jitter, so that spreading
    // them is the server's part.
    #[test]
    fn many_sockets_are_closed_over_the_whole_grace_period() {
        for (sockets, seconds) in [(10_000, 10), (100_000, 10), (8_001, 3), (1_000_000, 60)] {
            let steps = sockets / closed_at_once(sockets, Duration::from_secs(seconds));
            let took = DRAIN_STEP * steps as u32;
            let grace = Duration::from_secs(seconds);
            assert!(
                took <= grace && took > grace.mul_f64(0.9),
                "{sockets} sockets took {took:?}"
            );
        }
    }

    #[test]
    fn a_few_sockets_are_not_worth_waiting_for() {
        for (sockets, grace) in [(0, 10_000), (1, 10_000), (16, 10_000), (16, 0), (16, 19)] {
            assert_eq!(closed_at_once(sockets, Duration::from_millis(grace)), DRAIN_AT_ONCE);
        }
        assert_eq!(
            closed_at_once(1_000, Duration::ZERO),
            1_000,
            "at once, if there is no time"
        );
    }
}
