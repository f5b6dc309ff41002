//! A bounded queue of frames on their way to one client.
//!
//! Pushing never waits. A client that lags behind either bound is closed with [`Close::OutboxFull`], because one slow
//! reader must not hold up a channel. Frames are shared bytes: the queue holds references, never copies.
//!
//! [`Close::OutboxFull`]: jackfield_protocol::close::Close::OutboxFull

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes};

/// How far one client may lag behind.
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    /// Bytes that may wait. 1 MiB by default, as Centrifugo has it: seconds of a busy channel, and 1,000 such clients
    /// still fit into a gigabyte.
    pub bytes: usize,
    /// Frames that may wait: bounds what a flood of tiny frames costs in memory besides their bytes.
    pub frames: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            frames: 16_384,
        }
    }
}

/// The queue is full.
#[derive(Debug, PartialEq, Eq)]
pub struct OutboxFull;

/// Frames in front of one socket.
#[derive(Debug, Default)]
pub struct Outbox {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Whether the first frame has been written in part: it must then be finished, whatever happens to the others.
    head_begun: bool,
}

impl Outbox {
    /// Appends a frame.
    ///
    /// # Errors
    /// [`OutboxFull`] when it would exceed a limit; nothing is appended then.
    pub fn push(&mut self, frame: Bytes, limits: &OutboxLimits) -> Result<(), OutboxFull> {
        if self.bytes + frame.len() > limits.bytes || self.frames.len() >= limits.frames {
            return Err(OutboxFull);
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        Ok(())
    }

    /// Throws away what waits, but for a frame that has been written in part, and queues `last` behind it.
    pub fn replace(&mut self, last: Bytes) {
        self.frames.truncate(usize::from(self.head_begun));
        self.frames.push_back(last);
        self.bytes = self.frames.iter().map(Bytes::len).sum();
    }

    /// What waits, if it is one frame: as it is, most of the time.
    pub fn single(&self) -> Option<&[u8]> {
        match self.frames.len() {
            1 => self.frames.front().map(AsRef::as_ref),
            _ => None,
        }
    }

    /// Fills `slices` with what to write next and says how many it filled.
    pub fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(frame);
            filled += 1;
        }
        filled
    }

    /// Takes off what has been written.
    pub fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(head) = self.frames.front_mut() {
            if written < head.len() {
                head.advance(written);
                self.head_begun |= written > 0;
                return;
            }
            written -= head.len();
            self.head_begun = false;
            self.frames.pop_front();
        }
    }

    /// Gives back what a burst has left behind: ten thousand idle sockets must not keep theirs. Called from time to time, or every
    /// burst would have to ask for its memory again.
    pub(crate) fn rest(&mut self) {
        if self.frames.is_empty() && self.frames.capacity() > KEPT_CAPACITY {
            self.frames = VecDeque::new();
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Frames of capacity that an empty outbox keeps: an ordinary turn's worth.
const KEPT_CAPACITY: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits { bytes: 10, frames: 3 };

    fn waiting(outbox: &Outbox) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = outbox.fill(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn refuses_bytes_and_frames_over_the_limit() {
        let mut outbox = Outbox::default();
        assert_eq!(
            outbox.push(Bytes::from_static(b"12345678901"), &LIMITS),
            Err(OutboxFull)
        );
        for _ in 0..3 {
            assert_eq!(outbox.push(Bytes::from_static(b"x"), &LIMITS), Ok(()));
        }
        assert_eq!(outbox.push(Bytes::from_static(b"x"), &LIMITS), Err(OutboxFull));
        assert_eq!(outbox.bytes(), 3);
    }

    #[test]
    fn one_frame_is_what_is_left_of_it() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.single(), None);
        outbox.push(Bytes::from_static(b"abc"), &LIMITS).expect("room");
        outbox.advance(1);
        assert_eq!(outbox.single(), Some(&b"bc"[..]));
        outbox.push(Bytes::from_static(b"def"), &LIMITS).expect("room");
        assert_eq!(outbox.single(), None);
    }

    #[test]
    fn a_partial_write_leaves_the_rest() {
        let mut outbox = Outbox::default();
        for frame in ["abc", "def"] {
            outbox
                .push(Bytes::from_static(frame.as_bytes()), &LIMITS)
                .expect("room");
        }
        outbox.advance(4);
        assert_eq!(waiting(&outbox), b"ef");
        assert_eq!(outbox.bytes(), 2);
        outbox.advance(2);
        assert!(outbox.is_empty());
    }

    // RFC 6455 §5: a frame once begun must be finished, or the close frame behind it cannot be read.
    #[test]
    fn replacing_keeps_a_frame_that_was_begun() {
        let mut outbox = Outbox::default();
        for frame in ["abc", "def"] {
            outbox
                .push(Bytes::from_static(frame.as_bytes()), &LIMITS)
                .expect("room");
        }
        outbox.advance(1);
        outbox.replace(Bytes::from_static(b"END"));
        assert_eq!(waiting(&outbox), b"bcEND");
        outbox.advance(2);
        outbox.replace(Bytes::from_static(b"FIN"));
        assert_eq!(waiting(&outbox), b"FIN");
    }
}
