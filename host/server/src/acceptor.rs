//! The thread that takes connections from the kernel and deals them to the event loops in turn.
//!
//! Dealing here, rather than by `SO_REUSEPORT`, spreads sockets evenly and lets a second server on the port fail at
//! its start. When file descriptors run out it waits a moment and goes on.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc::Sender;

use crate::shared::Shared;

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

/// Accepts until the program drains.
pub(crate) fn run(listener: &TcpListener, loops: &[Sender<Accepted>], shared: &Arc<Shared>) {
    let mut next = 0;
    loop {
        match listener.accept() {
            Ok(_) if shared.is_draining() => return,
            Ok((stream, peer)) => {
                // A full event loop keeps new clients waiting in the kernel's queue.
                if ready(&stream).is_ok() && loops[next].blocking_send((stream, peer)).is_err() {
                    return;
                }
                next = (next + 1) % loops.len();
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for a moment");
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Wakes `run` up, for it to see that the program drains.
pub(crate) fn wake(address: SocketAddr) {
    // Whether it connects does not matter: if it cannot, nothing waits in `accept` either.
    let _ = TcpStream::connect_timeout(&reachable(address), PAUSE);
}

fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
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
