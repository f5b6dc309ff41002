//! The server's side of RFC 6455, after the upgrade: bytes in, messages out; messages in, frames out.
//!
//! The decoder promises that no client makes it hold more than one message of the allowed size and one read, that it
//! holds nothing at all between messages, and that whatever breaks the rules ends in the close code of the RFC.
//!
//! Extensions (compression) and client-side framing are not spoken here.

mod header;

use bytes::{BufMut, Bytes, BytesMut};

use crate::close::Close;
use header::{Header, MAX_CONTROL_BYTES, Opcode};

/// Most frames that one message may be cut into.
///
/// A fragment costs its sender seven bytes and us a turn of the loop, and empty ones never reach the size limit. No
/// known client cuts messages of a realtime protocol into more than a handful.
pub const MAX_FRAGMENTS: u32 = 1024;

/// Where large messages are allowed, so many bytes of them pay for one fragment more.
const FRAGMENT_BYTES: usize = 64;

/// What a client said, unmasked and put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A whole text message.
    Text(String),
    /// A whole binary message. Pusher has no use for it, but whoever speaks plain WebSocket has.
    Binary(Vec<u8>),
    /// A ping, whose payload belongs into the pong (RFC 6455 §5.5.3).
    Ping(Vec<u8>),
    /// A pong, asked for or not.
    Pong,
    /// The client ends the connection, with the code it gave. Whatever follows is to be ignored (RFC 6455 §5.5.1).
    Close(Option<u16>),
}

/// Puts messages together from whatever pieces the socket delivers.
///
/// Call [`Decoder::next`] after every [`Decoder::feed`] until it has nothing more; stop for good after an error or a
/// [`Message::Close`].
#[derive(Debug)]
pub struct Decoder {
    /// Bytes that came in, the first `used` of them done with. Empty and without a buffer between frames.
    input: Vec<u8>,
    used: usize,
    /// The data message under construction. Empty and without a buffer between messages.
    message: Vec<u8>,
    /// Text or binary while a fragmented message is open.
    open: Option<Opcode>,
    fragments: u32,
    max_message: usize,
}

impl Decoder {
    /// A decoder that accepts data messages of up to `max_message` bytes.
    pub const fn new(max_message: usize) -> Self {
        Self {
            input: Vec::new(),
            used: 0,
            message: Vec::new(),
            open: None,
            fragments: 0,
            max_message,
        }
    }

    /// Takes bytes as they came from the socket.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next whole message, or `None` until more bytes are fed.
    ///
    /// # Errors
    /// How to close the connection: [`Close::ProtocolError`], [`Close::TooBig`], [`Close::InvalidUtf8`] or
    /// [`Close::PolicyViolated`]. Size is judged from the frame's header, before its payload is waited for.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end at the first None; this one goes on"
    )]
    pub fn next(&mut self) -> Result<Option<Message>, Close> {
        while let Some(header) = Header::parse(&self.input[self.used..])? {
            self.admit(&header)?;
            let start = self.used + header.bytes;
            let end = start + header.payload_bytes;
            if self.input.len() < end {
                break;
            }
            self.used = end;
            if let Some(message) = self.take(&header, start..end)? {
                self.release_if_done();
                return Ok(Some(message));
            }
        }
        self.release_if_done();
        self.keep_rest_only();
        Ok(None)
    }

    /// Bytes held for a message that is not complete yet.
    pub fn buffered(&self) -> usize {
        self.input.len() - self.used + self.message.len()
    }

    /// Checks a frame against the message it would continue, before its payload costs any memory.
    fn admit(&self, header: &Header) -> Result<(), Close> {
        if header.opcode.is_control() {
            return Ok(());
        }
        // RFC 6455 §5.4: a continuation needs an open message, a new message needs that none is open.
        if (header.opcode == Opcode::Continuation) != self.open.is_some() {
            return Err(Close::ProtocolError);
        }
        if header.payload_bytes > self.max_message - self.message.len() {
            return Err(Close::TooBig);
        }
        let bearable = MAX_FRAGMENTS.max(u32::try_from(self.max_message / FRAGMENT_BYTES).unwrap_or(u32::MAX));
        if self.fragments >= bearable {
            return Err(Close::PolicyViolated);
        }
        Ok(())
    }

    /// Consumes one complete frame; a message comes out if the frame ends one.
    fn take(&mut self, header: &Header, payload: std::ops::Range<usize>) -> Result<Option<Message>, Close> {
        if header.opcode.is_control() {
            let mut payload = self.input[payload].to_vec();
            unmask(&mut payload, header.mask);
            return control(header.opcode, payload).map(Some);
        }
        let before = self.message.len();
        self.message.extend_from_slice(&self.input[payload]);
        unmask(&mut self.message[before..], header.mask);

        let opcode = self.open.unwrap_or(header.opcode);
        if !header.last {
            self.open = Some(opcode);
            self.fragments += 1;
            return Ok(None);
        }
        self.open = None;
        self.fragments = 0;
        let message = std::mem::take(&mut self.message);
        match opcode {
            Opcode::Text => String::from_utf8(message)
                .map(Message::Text)
                .map(Some)
                .map_err(|_| Close::InvalidUtf8),
            _ => Ok(Some(Message::Binary(message))),
        }
    }

    /// An idle connection holds no memory.
    fn release_if_done(&mut self) {
        if self.used == self.input.len() {
            self.input = Vec::new();
            self.used = 0;
        }
    }

    /// Copies an unfinished frame to a buffer of its size, instead of keeping a whole read for its sake.
    ///
    /// Once per read, not once per message: many tiny messages in one read must not cost the square of their number.
    fn keep_rest_only(&mut self) {
        if self.used > 0 {
            self.input = self.input[self.used..].to_vec();
            self.used = 0;
        }
    }
}

/// RFC 6455 §5.3. Eight bytes at a time, as the key repeats every four.
fn unmask(payload: &mut [u8], [a, b, c, d]: [u8; 4]) {
    let key = [a, b, c, d, a, b, c, d];
    let wide_key = u64::from_ne_bytes(key);
    let (chunks, rest) = payload.as_chunks_mut();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide_key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

fn control(opcode: Opcode, payload: Vec<u8>) -> Result<Message, Close> {
    match opcode {
        Opcode::Ping => Ok(Message::Ping(payload)),
        Opcode::Close => close_code(&payload).map(Message::Close),
        _ => Ok(Message::Pong),
    }
}

/// RFC 6455 §5.5.1: nothing, or a code that may be sent (§7.4) and a reason in UTF-8.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Close> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(Close::ProtocolError),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    // 1004 to 1006 and 1015 are never sent; 1012 to 1014 were registered after the RFC.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Close::ProtocolError);
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(Close::InvalidUtf8),
    }
}

/// A text frame. Encode it once: clones share the bytes, header included, with every subscriber.
///
/// `payload` is UTF-8; it is bytes here so that whoever relays a text need not prove that again.
pub fn text_frame(payload: &[u8]) -> Bytes {
    frame(Opcode::Text, payload)
}

/// The payload of a frame that [`text_frame`] made.
pub fn text_of(frame: &[u8]) -> Option<&str> {
    let header = match *frame.get(1)? {
        header::LENGTH_U16 => 4,
        header::LENGTH_U64 => 10,
        _ => 2,
    };
    std::str::from_utf8(frame.get(header..)?).ok()
}

/// A ping without payload.
pub fn ping_frame() -> Bytes {
    frame(Opcode::Ping, &[])
}

/// The pong for a ping's payload, which is at most 125 bytes (RFC 6455 §5.5); more is cut off.
pub fn pong_frame(payload: &[u8]) -> Bytes {
    frame(Opcode::Pong, &payload[..payload.len().min(MAX_CONTROL_BYTES)])
}

/// A close frame with code and reason.
pub fn close_frame(close: Close) -> Bytes {
    let mut payload = close.code().to_be_bytes().to_vec();
    payload.extend_from_slice(close.reason().as_bytes());
    frame(Opcode::Close, &payload)
}

/// One whole, unmasked frame in one buffer (RFC 6455 §5.1: a server masks nothing).
fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    const LONGEST_HEADER: usize = 10;
    let mut frame = BytesMut::with_capacity(LONGEST_HEADER + payload.len());
    frame.put_u8(header::LAST | opcode as u8);
    match payload.len() {
        short @ ..=MAX_CONTROL_BYTES => frame.put_u8(short as u8),
        medium @ ..=0xffff => {
            frame.put_u8(header::LENGTH_U16);
            frame.put_u16(medium as u16);
        }
        long => {
            frame.put_u8(header::LENGTH_U64);
            frame.put_u64(long as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

#[cfg(test)]
mod tests;
