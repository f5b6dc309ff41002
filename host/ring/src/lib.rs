//! Many sends in one system call, where the kernel has `io_uring` and allows it (Linux 6.1).
//!
//! Up to a third of what a short send costs is to enter the kernel and to leave it again; to a large channel there are thousands of them
//! at a time. Nothing waits here, and nothing is under way behind a call: what the kernel does not take at once it does not take.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use io_uring::{IoUring, opcode, squeue, types};

/// A way into the kernel. It belongs to the thread that has made it.
pub struct Ring {
    /// None: a call has failed, and may have left sends behind that must not be carried out later.
    ring: Option<IoUring>,
    most: usize,
    entries: Vec<squeue::Entry>,
    taken: Vec<(usize, usize)>,
}

impl Ring {
    /// For so many sends at a time.
    ///
    /// # Errors
    /// The kernel's: it has no such thing, is older than 6.1, or does not allow it.
    pub fn new(most: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(most)?;
        Ok(Self {
            ring: Some(ring),
            most: most as usize,
            entries: Vec::new(),
            taken: Vec::new(),
        })
    }

    /// Sends to each of these sockets what stands beside it: a name of the caller's for the send, the socket, and the bytes. As many of
    /// them as the ring has room for. Says by name how many bytes were taken; none where the kernel did not take any, for whatever reason.
    ///
    /// # Errors
    /// The kernel's, if it does not take sends in this way any more; from then on it is always one.
    pub fn send<'a>(
        &mut self,
        sends: impl Iterator<Item = (usize, BorrowedFd<'a>, &'a [u8])>,
    ) -> io::Result<&[(usize, usize)]> {
        self.entries.clear();
        self.entries.extend(sends.take(self.most).map(|(name, socket, bytes)| {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), length)
                // The first of them also says that a send is carried out at once or not at all.
                .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                .build()
                .user_data(name as u64)
        }));
        let mut ring = self.ring.take().ok_or(io::ErrorKind::NotConnected)?;
        self.carry_out(&mut ring)?;
        self.ring = Some(ring);
        Ok(&self.taken)
    }

    fn carry_out(&mut self, ring: &mut IoUring) -> io::Result<()> {
        #[expect(
            unsafe_code,
            reason = "whoever calls has lent the sockets and the bytes until `send` returns, and the kernel is done with them then: each send \
                      is carried out within the call that hands it over, as MSG_DONTWAIT demands, and all of them are waited for"
        )]
        let queued = unsafe { ring.submission().push_multiple(&self.entries) };
        queued.map_err(io::Error::other)?;
        self.taken.clear();
        while self.taken.len() < self.entries.len() {
            match ring.submit_and_wait(self.entries.len() - self.taken.len()) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            let done = ring.completion().map(|done| {
                let bytes = usize::try_from(done.result()).unwrap_or(0);
                (done.user_data() as usize, bytes)
            });
            self.taken.extend(done);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (far, _) = listener.accept().expect("somebody has come");
        near.set_nonblocking(true).expect("it is open");
        (near, far)
    }

    #[test]
    fn each_socket_gets_its_own_bytes() {
        let mut ring = Ring::new(8).expect("Linux 6.1 or later with io_uring");
        let mut pairs: Vec<_> = (0..5).map(|_| pair()).collect();
        let texts: Vec<String> = (0..5).map(|number| "x".repeat(number + 1)).collect();
        for _ in 0..3 {
            let sends = pairs.iter().zip(&texts).enumerate();
            let sends = sends.map(|(number, ((near, _), text))| (number + 10, near.as_fd(), text.as_bytes()));
            let mut taken = ring.send(sends).expect("sent").to_vec();
            taken.sort_unstable();
            assert_eq!(taken, [(10, 1), (11, 2), (12, 3), (13, 4), (14, 5)]);
            for ((_, far), text) in pairs.iter_mut().zip(&texts) {
                let mut heard = vec![0; text.len()];
                far.read_exact(&mut heard).expect("it was sent");
                assert_eq!(heard, text.as_bytes());
            }
        }
    }

    #[test]
    fn no_more_than_there_is_room_for() {
        let mut ring = Ring::new(4).expect("Linux 6.1 or later with io_uring");
        let (near, _far) = pair();
        let sends = (0..9).map(|number| (number, near.as_fd(), &b"x"[..]));
        assert_eq!(ring.send(sends).expect("sent").len(), 4);
        assert_eq!(ring.send([].into_iter()).expect("nothing to be done"), []);
    }

    #[test]
    fn whoever_does_not_read_keeps_nobody_waiting() {
        let mut ring = Ring::new(4).expect("Linux 6.1 or later with io_uring");
        let ((full, _unread), (near, _far)) = (pair(), pair());
        let much = vec![0; 1 << 20];
        let mut taken = 1;
        // The kernel takes a part, then nothing.
        while taken > 0 {
            let sends = [(1, full.as_fd(), much.as_slice()), (2, near.as_fd(), &b"x"[..])];
            let both = ring.send(sends.into_iter()).expect("sent");
            let by_name = |name| both.iter().find(|(of, _)| *of == name).map(|(_, bytes)| *bytes);
            taken = by_name(1).expect("it has a result");
            assert_eq!(by_name(2), Some(1));
        }
    }

    #[test]
    fn a_socket_whose_peer_is_gone_takes_nothing() {
        let mut ring = Ring::new(4).expect("Linux 6.1 or later with io_uring");
        let (near, far) = pair();
        drop(far);
        let send = |ring: &mut Ring| {
            let taken = ring.send([(7, near.as_fd(), &b"x"[..])].into_iter());
            taken.expect("that is no fault of the ring").to_vec()
        };
        // The first may still go out; the peer's answer to it is a reset.
        send(&mut ring);
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(send(&mut ring), [(7, 0)]);
    }
}
