//! The floor: the least that any server must do for the work of a row.
//!
//! As many event loops as the host has, sockets dealt to them in turn with the host's socket options. It reads what comes, knows
//! where a message ends, and writes the same bytes to as many sockets. Writes are gathered as the host gathers them: a loop
//! writes to a socket once for all events that it finds, so with one publish in flight that is one write each. There is no
//! signature, no JSON, no hub, and no connection that lags, leaves or is refused.
//!
//! The bench says on each socket first what it is for ([`Hello`]), and is answered by one byte when that is known.

mod event_loop;
mod hello;
pub(crate) mod message;

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::Result;
use clap::Args;
use jackfield_protocol::websocket;
use tokio::sync::{Notify, mpsc};

pub(crate) use hello::{GREETING, Hello, Role};

/// What the floor is told of the work when it is started.
#[derive(Args, Clone)]
pub(crate) struct FloorArgs {
    /// Where to listen.
    #[arg(long)]
    pub(crate) port: u16,
    /// How many channels there are.
    #[arg(long)]
    pub(crate) channels: usize,
    /// Channels of each publish.
    #[arg(long)]
    pub(crate) batch: usize,
    /// The text of each frame that is written.
    #[arg(long)]
    pub(crate) text: String,
    /// What a publisher is answered.
    #[arg(long)]
    pub(crate) answer: String,
}

impl FloorArgs {
    /// One channel, whose subscribers are written this text.
    pub(crate) fn one_channel(text: String) -> Self {
        Self {
            port: 0,
            channels: 1,
            batch: 1,
            text,
            answer: String::new(),
        }
    }
}

/// What the loops have in common.
struct Shared {
    channels: usize,
    batch: usize,
    frame: Vec<u8>,
    answer: Vec<u8>,
    /// One for each loop.
    inboxes: Vec<Inbox>,
}

/// What the sockets of a loop are to be written. Bounded by what the bench has in flight.
struct Inbox {
    /// The channels that the loop has subscribers of.
    occupied: Vec<AtomicBool>,
    events: Mutex<Vec<Event>>,
    wake: Notify,
}

#[derive(Clone, Copy)]
struct Event {
    channel: usize,
    /// The socket that sent it; no socket has the number zero.
    except: u64,
}

impl Inbox {
    /// Without subscribers.
    fn new(channels: usize) -> Self {
        Self {
            occupied: (0..channels).map(|_| AtomicBool::new(false)).collect(),
            events: Mutex::default(),
            wake: Notify::new(),
        }
    }
}

/// Listens until it is killed.
pub(crate) fn run(args: FloorArgs) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))?;
    let loops = thread::available_parallelism()?.get();
    let shared = Arc::new(Shared {
        channels: args.channels,
        batch: args.batch,
        frame: websocket::text_frame(args.text.as_bytes()).to_vec(),
        answer: args.answer.into_bytes(),
        inboxes: (0..loops).map(|_| Inbox::new(args.channels)).collect(),
    });
    let mut senders = Vec::new();
    for index in 0..loops {
        let (sender, accepted) = mpsc::channel(ACCEPTED);
        senders.push(sender);
        let shared = Arc::clone(&shared);
        thread::spawn(move || event_loop::run(index, shared, accepted));
    }
    for next in (0..loops).cycle() {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        senders[next].blocking_send(stream)?;
    }
    Ok(())
}

impl Shared {
    /// Hands events to every loop that has subscribers of their channels.
    fn publish(&self, events: &[Event]) {
        for inbox in &self.inboxes {
            let heard = |event: &&Event| inbox.occupied[event.channel].load(Ordering::Relaxed);
            let mut waiting = inbox.events.lock().expect("nothing panics while it is held");
            let before = waiting.len();
            waiting.extend(events.iter().filter(heard));
            let woken = waiting.len() > before;
            drop(waiting);
            if woken {
                inbox.wake.notify_one();
            }
        }
    }
}

/// Connections on their way to a loop: the bench opens them one after the other.
const ACCEPTED: usize = 256;
