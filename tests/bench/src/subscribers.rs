//! The receiving side: many raw sockets on one thread, counting and checking what arrives.
//!
//! What arrives belongs to *rounds*: a round is what one request publishes, and is done when everybody who hears any of it has
//! it. Frames say nothing of their round, but each subscriber's come in order.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

/// What all subscribers have received.
pub(crate) struct Received {
    /// Frames of one round.
    per_round: usize,
    /// How many have come of the rounds under way, by the round's number modulo the length.
    frames: RefCell<[usize; ROUNDS]>,
    done: Cell<usize>,
    wrong: Cell<u64>,
    gone: Cell<u64>,
    /// Rounds that somebody waits for.
    wanted: Cell<usize>,
    reached: Notify,
    /// One buffer for all sockets, each of which is read in one go.
    scratch: RefCell<Box<[u8]>>,
}

impl Received {
    /// Rounds that consist of so many frames each.
    pub(crate) fn new(per_round: usize) -> Rc<Self> {
        Rc::new(Self {
            per_round,
            frames: RefCell::new([0; ROUNDS]),
            done: Cell::new(0),
            wrong: Cell::new(0),
            gone: Cell::new(0),
            wanted: Cell::new(0),
            reached: Notify::new(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
        })
    }

    /// Waits until so many rounds are done.
    ///
    /// # Errors
    /// If a frame was not the expected one, if a subscriber was cut, or if nothing comes any more.
    pub(crate) async fn until(&self, rounds: usize) -> Result<()> {
        self.wanted.set(rounds);
        while self.done.get() < rounds {
            let reached = timeout(PATIENCE, self.reached.notified()).await;
            ensure!(
                self.wrong.get() == 0,
                "{} frames did not hold what was published",
                self.wrong.get()
            );
            ensure!(self.gone.get() == 0, "{} subscribers were cut", self.gone.get());
            reached.with_context(|| format!("{} rounds are done, and no more come", self.done.get()))?;
        }
        Ok(())
    }

    /// Subscribers that the server has closed.
    pub(crate) fn gone(&self) -> u64 {
        self.gone.get()
    }

    /// Reads the socket from now on. What comes must be the expected frames; `round` says to which round the nth belongs.
    #[expect(
        clippy::disallowed_methods,
        reason = "readers live as long as the bench's LocalSet of one run"
    )]
    pub(crate) fn listen(
        self: &Rc<Self>,
        stream: TcpStream,
        expected: Expected,
        round: impl Fn(usize) -> usize + 'static,
    ) {
        let received = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let mut reader = Reader {
                stream,
                expected,
                at: 0,
                frames: 0,
            };
            while poll_fn(|context| reader.read(&received, &round, context)).await {}
            received.gone.set(received.gone.get() + 1);
            received.reached.notify_one();
        });
    }

    fn count(&self, round: usize) {
        let mut frames = self.frames.borrow_mut();
        frames[round % ROUNDS] += 1;
        let mut done = self.done.get();
        while frames[done % ROUNDS] == self.per_round {
            frames[done % ROUNDS] = 0;
            done += 1;
        }
        if self.done.replace(done) < done && done >= self.wanted.get() {
            self.reached.notify_one();
        }
    }
}

/// The frames that a subscriber is to hear, again and again, all of the same length.
pub(crate) struct Expected {
    pub(crate) pattern: Rc<[u8]>,
    /// Bytes of each.
    pub(crate) frame: usize,
}

impl From<&[u8]> for Expected {
    /// Always the same one.
    fn from(frame: &[u8]) -> Self {
        Self {
            pattern: frame.into(),
            frame: frame.len(),
        }
    }
}

/// One subscriber.
struct Reader {
    stream: TcpStream,
    expected: Expected,
    /// Bytes of the pattern that have come.
    at: usize,
    /// Frames that have come.
    frames: usize,
}

impl Reader {
    /// Reads once, without asking the kernel again when that did not fill the buffer. Whether there will be more.
    fn read(&mut self, received: &Received, round: impl Fn(usize) -> usize, context: &mut Context<'_>) -> Poll<bool> {
        let mut scratch = received.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        if ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)).is_err() {
            return Poll::Ready(false);
        }
        let mut piece = buffer.filled();
        let more = !piece.is_empty();
        let Expected { pattern, frame } = &self.expected;
        while !piece.is_empty() {
            let length = piece.len().min(frame - self.at % frame);
            if piece[..length] != pattern[self.at..self.at + length] {
                received.wrong.set(received.wrong.get() + 1);
            }
            piece = &piece[length..];
            self.at += length;
            if self.at.is_multiple_of(*frame) {
                received.count(round(self.frames));
                self.at %= pattern.len();
                self.frames += 1;
            }
        }
        Poll::Ready(more)
    }
}

/// More than are ever in flight to more than one subscriber.
const ROUNDS: usize = 128;
const SCRATCH_BYTES: usize = 64 << 10;
/// How long nothing may come while something is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
