//! The thread that takes connections from the kernel and deals them to the event loops in turn.
//!
//! Dealing here, rather than by `SO_REUSEPORT`, spreads sockets evenly and lets a second server on the port fail at
//! its start. When file descriptors run out it waits a moment and goes on. What tells it to stop needs none.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// A connection on its way to an event loop.
pub(crate) type Accepted = (TcpStream, SocketAddr);

/// Binds the address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' time-out; a second server on the port still fails.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Who accepts.
pub(crate) struct Acceptor {
    listener: net::TcpListener,
    runtime: Runtime,
}

impl Acceptor {
    /// Takes everything that it needs now: later there may be no file descriptors left.
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _runtime = runtime.enter();
            net::TcpListener::from_std(listener)?
        };
        Ok(Self { listener, runtime })
    }

    /// Accepts until it is told to stop, or whoever could tell it is gone. Then the port is closed.
    pub(crate) fn run(self, loops: &[Sender<Accepted>], stop: oneshot::Receiver<()>) {
        let Self { listener, runtime } = self;
        let mut next = 0;
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = stop => {}
                () = deal(&listener, loops, &mut next) => {}
            }
        });
        // Whom the kernel has let in already would be cut off with the port: they are told in words.
        let Ok(listener) = listener.into_std() else {
            return;
        };
        for _ in 0..BACKLOG {
            let Ok((stream, peer)) = listener.accept() else {
                break;
            };
            if ready(&stream).is_ok() {
                // Not taken by a full event loop: cut off after all.
                let _ = loops[next].try_send((stream, peer));
            }
            next = (next + 1) % loops.len();
        }
    }
}

/// Deals connections to the event loops, for as long as there are any.
async fn deal(listener: &net::TcpListener, loops: &[Sender<Accepted>], next: &mut usize) {
    loop {
        let accepted = listener.accept().await;
        // It is to be registered with its event loop.
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok((stream, peer)) => {
                // A full event loop keeps new clients waiting in the kernel's queue.
                if ready(&stream).is_ok() && loops[*next].send((stream, peer)).await.is_err() {
                    return;
                }
                *next = (*next + 1) % loops.len();
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for a moment");
                sleep(PAUSE).await;
            }
        }
    }
}

fn ready(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    // Frames are gathered before they are written: waiting for more in the kernel would only add delay.
    stream.set_nodelay(true)
}

/// The client gave up before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Connections that may wait in the kernel: a reconnecting crowd of thousands.
const BACKLOG: i32 = 4_096;

/// How long to wait when nothing can be accepted.
const PAUSE: Duration = Duration::from_millis(100);
