//! One thread of the floor with its sockets.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use anyhow::{Result, ensure};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::Receiver;
use tokio::task::{LocalSet, yield_now};

use super::hello::{GREETING, Hello, Role};
use super::{Event, Shared, message};

struct EventLoop {
    index: usize,
    shared: Arc<Shared>,
    /// The subscribers of each channel that are on this loop.
    channels: RefCell<Vec<Vec<Rc<Socket>>>>,
    /// Where sockets are read into, as at the host.
    scratch: RefCell<Box<[u8]>>,
    /// Sockets that there were so far.
    sockets: Cell<u64>,
}

struct Socket {
    /// Different for each socket of the floor, and never zero.
    number: u64,
    writer: OwnedWriteHalf,
    /// Frames that it is to be written at the end of the turn.
    owed: Cell<usize>,
}

/// Runs the loop; the floor ends with an error, because a bench must not go on with half of it.
pub(super) fn run(index: usize, shared: Arc<Shared>, accepted: Receiver<std::net::TcpStream>) {
    if let Err(error) = serve(index, shared, accepted) {
        eprintln!("the floor cannot go on: {error:#}");
        std::process::exit(1);
    }
}

fn serve(index: usize, shared: Arc<Shared>, mut accepted: Receiver<std::net::TcpStream>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let event_loop = Rc::new(EventLoop {
        index,
        channels: RefCell::new(vec![Vec::new(); shared.channels]),
        shared,
        scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
        sockets: Cell::new(0),
    });
    let tasks = LocalSet::new();
    tasks.spawn_local(or_exit(Rc::clone(&event_loop).write()));
    runtime.block_on(tasks.run_until(async {
        while let Some(stream) = accepted.recv().await {
            let stream = TcpStream::from_std(stream)?;
            tasks.spawn_local(or_exit(Rc::clone(&event_loop).converse(stream)));
        }
        Ok(())
    }))
}

/// See [`run`].
async fn or_exit(task: impl Future<Output = Result<()>>) {
    if let Err(error) = task.await {
        eprintln!("the floor cannot go on: {error:#}");
        std::process::exit(1);
    }
}

impl EventLoop {
    /// Reads one connection to its end.
    async fn converse(self: Rc<Self>, stream: TcpStream) -> Result<()> {
        let (mut reader, writer) = stream.into_split();
        let mut hello = [0; Hello::BYTES];
        if reader.read_exact(&mut hello).await.is_err() {
            // With this one the bench finds out that the floor listens.
            return Ok(());
        }
        let Hello { role, mut first, step } = Hello::decode(hello)?;
        let loops = self.shared.inboxes.len() as u64;
        self.sockets.set(self.sockets.get() + 1);
        let socket = Rc::new(Socket {
            number: self.sockets.get() * loops + self.index as u64,
            writer,
            owed: Cell::new(0),
        });
        if matches!(role, Role::Subscriber) {
            self.channels.borrow_mut()[first as usize].push(Rc::clone(&socket));
            self.shared.inboxes[self.index].occupied[first as usize].store(true, Ordering::Relaxed);
        }
        socket.write(&[IoSlice::new(&[GREETING])])?;
        let mut input = Vec::new();
        let mut asks = true;
        // The bench closes its sockets with what they have not read yet.
        while poll_fn(|context| self.read(&mut reader, &mut input, context))
            .await
            .is_ok_and(|read| read > 0)
        {
            let mut used = 0;
            while let Some(length) = role.end(&input[used..]) {
                used += length;
                match role {
                    Role::Subscriber => self.publish(first, socket.number),
                    Role::Publisher => {
                        self.publish(first, 0);
                        socket.write(&[IoSlice::new(&self.shared.answer)])?;
                        first += step;
                    }
                    Role::Asker if asks => {
                        socket.write(&[IoSlice::new(&self.shared.frame)])?;
                        asks = false;
                    }
                    Role::Asker => asks = true,
                }
            }
            input.drain(..used);
        }
        Ok(())
    }

    /// Appends what is there. A read that does not fill the buffer is known to have been the last: the next one waits without
    /// asking the kernel.
    fn read(
        &self,
        reader: &mut OwnedReadHalf,
        input: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<usize>> {
        let mut scratch = self.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(reader).poll_read(context, &mut buffer))?;
        input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// One event in each channel of the request with this number.
    fn publish(&self, request: u32, except: u64) {
        let Shared { channels, batch, .. } = *self.shared;
        let first = request as usize * batch;
        let events: Vec<Event> = (first..first + batch)
            .map(|event| Event {
                channel: event % channels,
                except,
            })
            .collect();
        self.shared.publish(&events);
    }

    /// Writes sockets, each once for all events that have come until then, in slices as the host does: between two of them the
    /// loop finds what else has come.
    async fn write(self: Rc<Self>) -> Result<()> {
        let inbox = &self.shared.inboxes[self.index];
        let mut dirty = VecDeque::new();
        loop {
            if dirty.is_empty() {
                inbox.wake.notified().await;
            } else {
                yield_now().await;
            }
            self.take_turn(&mut dirty);
            for _ in 0..dirty.len().min(SLICE) {
                let socket: Rc<Socket> = dirty.pop_front().expect("there are as many");
                socket.write_owed(&self.shared.frame)?;
            }
        }
    }

    /// Marks who is to be written what.
    fn take_turn(&self, dirty: &mut VecDeque<Rc<Socket>>) {
        let inbox = &self.shared.inboxes[self.index];
        let events = std::mem::take(&mut *inbox.events.lock().expect("nothing panics while it is held"));
        let channels = self.channels.borrow();
        for event in events {
            let heard = channels[event.channel].iter();
            for socket in heard.filter(|socket| socket.number != event.except) {
                if socket.owed.get() == 0 {
                    dirty.push_back(Rc::clone(socket));
                }
                socket.owed.set(socket.owed.get() + 1);
            }
        }
    }
}

impl Socket {
    /// Writes the frames that it is owed.
    fn write_owed(&self, frame: &[u8]) -> Result<()> {
        let frames = [IoSlice::new(frame); GATHERED];
        let mut owed = self.owed.take();
        while owed > 0 {
            let now = owed.min(GATHERED);
            self.write(&frames[..now])?;
            owed -= now;
        }
        Ok(())
    }

    /// All at once: the bench reads as fast as it can, and never has more in flight than a socket's buffer takes.
    fn write(&self, slices: &[IoSlice<'_>]) -> Result<()> {
        // As the host does: the kernel takes longer over a list of one.
        let written = match slices {
            [one] => self.writer.try_write(one)?,
            list => self.writer.try_write_vectored(list)?,
        };
        let whole: usize = slices.iter().map(|slice| slice.len()).sum();
        ensure!(written == whole, "a socket took {written} of {whole} bytes");
        Ok(())
    }
}

impl Role {
    /// The length of the message at the beginning of `bytes`, if it is whole.
    fn end(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Publisher => message::http(bytes),
            Self::Subscriber | Self::Asker => message::websocket(bytes),
        }
    }
}

/// As at the host.
const SCRATCH_BYTES: usize = 64 << 10;
/// Sockets written before other tasks get their turn, as at the host.
const SLICE: usize = 64;
/// Frames of one system call, as at the host.
const GATHERED: usize = 64;
