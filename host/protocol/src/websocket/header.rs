//! The header of one client frame (RFC 6455 §5.2).
//!
//! Everything that can be judged from the header alone is judged here, from its first two bytes on, so that a frame
//! which will be refused is refused before anything is kept for it. Lengths in a longer form than needed are accepted.

use crate::close::Close;

/// The largest payload of a ping, pong or close (RFC 6455 §5.5).
pub(super) const MAX_CONTROL_BYTES: usize = 125;

/// First byte: this frame ends its message.
pub(super) const LAST: u8 = 0b1000_0000;
/// First byte: bits of extensions, none of which is negotiated.
const RESERVED: u8 = 0b0111_0000;
/// Second byte: a masking key follows.
const MASKED: u8 = 0b1000_0000;
/// Second byte: the length is in the next two bytes.
pub(super) const LENGTH_U16: u8 = 126;
/// Second byte: the length is in the next eight bytes.
pub(super) const LENGTH_U64: u8 = 127;

const MASK_BYTES: usize = 4;

/// What a frame carries, with its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn parse(number: u8) -> Result<Self, Close> {
        match number {
            0 => Ok(Self::Continuation),
            1 => Ok(Self::Text),
            2 => Ok(Self::Binary),
            8 => Ok(Self::Close),
            9 => Ok(Self::Ping),
            10 => Ok(Self::Pong),
            _ => Err(Close::ProtocolError),
        }
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A legal header of a client's frame.
pub(super) struct Header {
    pub(super) opcode: Opcode,
    /// Whether the frame ends its message.
    pub(super) last: bool,
    pub(super) mask: [u8; MASK_BYTES],
    /// Length of the header itself.
    pub(super) bytes: usize,
    pub(super) payload_bytes: usize,
}

impl Header {
    /// Reads a header from the start of `input`; `None` if it is not all there yet.
    pub(super) fn parse(input: &[u8]) -> Result<Option<Self>, Close> {
        let [first, second, rest @ ..] = input else {
            return Ok(None);
        };
        if first & RESERVED != 0 || second & MASKED == 0 {
            return Err(Close::ProtocolError);
        }
        let opcode = Opcode::parse(first & 0x0f)?;
        let last = first & LAST != 0;
        let short = second & !MASKED;
        // RFC 6455 §5.5: control frames are short and whole.
        if opcode.is_control() && (!last || usize::from(short) > MAX_CONTROL_BYTES) {
            return Err(Close::ProtocolError);
        }
        let Some((payload_bytes, rest)) = length(short, rest)? else {
            return Ok(None);
        };
        let Some((&mask, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        Ok(Some(Self {
            opcode,
            last,
            mask,
            bytes: input.len() - rest.len(),
            payload_bytes,
        }))
    }
}

/// The payload's length, and what follows it.
fn length(short: u8, rest: &[u8]) -> Result<Option<(usize, &[u8])>, Close> {
    let (length, rest) = match short {
        LENGTH_U16 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest),
            None => return Ok(None),
        },
        LENGTH_U64 => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest),
            None => return Ok(None),
        },
        short => (u64::from(short), rest),
    };
    // RFC 6455 §5.2: the most significant bit of a length is zero.
    if length > i64::MAX as u64 {
        return Err(Close::ProtocolError);
    }
    // Where an address has 32 bits, such a length is merely too big.
    let length = usize::try_from(length).map_err(|_| Close::TooBig)?;
    Ok(Some((length, rest)))
}
