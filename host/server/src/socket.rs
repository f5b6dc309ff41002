//! A WebSocket's byte stream: gathered writes, and reads into a buffer that is only borrowed.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, BorrowedFd};

use jackfield_hub::Outbox;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

/// One socket.
pub(crate) struct Socket {
    stream: TcpStream,
}

/// How far a write came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Nothing waits any more.
    All,
    /// The kernel takes no more for now.
    Blocked,
    /// The connection is gone.
    Broken,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream }
    }

    /// Writes what waits, many frames at once, until the kernel takes no more. Says how many bytes went out.
    pub(crate) fn write(&self, outbox: &mut Outbox) -> (Written, usize) {
        let mut total = 0;
        while !outbox.is_empty() {
            let sent = match outbox.single() {
                // The kernel takes longer over a list of one.
                Some(frame) => self.stream.try_write(frame),
                None => {
                    let mut slices = [IoSlice::new(&[]); GATHERED];
                    let filled = outbox.fill(&mut slices);
                    self.stream.try_write_vectored(&slices[..filled])
                }
            };
            match sent {
                Ok(written) => {
                    outbox.advance(written);
                    total += written;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (Written::Blocked, total),
                Err(_) => return (Written::Broken, total),
            }
        }
        (Written::All, total)
    }

    /// Reads what is there; none if nothing is. Zero bytes mean that the peer will send no more.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.stream.try_read(buffer) {
            Ok(read) => {
                // There was room for more: the next read would come for nothing. Whatever arrives from now on is told anew.
                if read > 0 && read < buffer.len() {
                    let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                    let _ = self.stream.try_io(Interest::READABLE, nothing);
                }
                Ok(Some(read))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until the socket can be read, or written, as wanted.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.stream.ready(interest).await
    }

    /// The socket, for whoever writes to many at once.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Tells the peer that no more will come.
    pub(crate) fn finish(&self) {
        // Fails only when the connection is gone already, which the next read shows.
        let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
    }
}

/// Frames written in one system call. More gains nothing: the call's fixed cost is spread thin by then.
const GATHERED: usize = 64;
