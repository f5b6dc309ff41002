//! What one hub tells the hubs of all instances.
//!
//! Binary: a kind, then texts behind their length (two bytes, little-endian), then the rest. A kind that is not known is for newer
//! instances.

use bytes::{BufMut as _, Bytes, BytesMut};

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// Close all connections of a user.
    Terminate {
        /// The app's id.
        app: &'a str,
        /// The user's id.
        user: &'a str,
    },
    /// Keep the last event of a cache channel, for those who subscribe later.
    Keep {
        /// The channel's topic.
        topic: &'a str,
        /// The frame.
        frame: &'a [u8],
    },
}

impl<'a> Command<'a> {
    pub(crate) fn encode(self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Terminate { app, user } => {
                out.put_u8(TERMINATE);
                put(&mut out, app);
                put(&mut out, user);
            }
            Self::Keep { topic, frame } => {
                out.put_u8(KEEP);
                put(&mut out, topic);
                out.put_slice(frame);
            }
        }
        out.freeze()
    }

    /// None for what this version does not know.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (first, rest) = take(rest)?;
        match *kind {
            TERMINATE => Some(Self::Terminate {
                app: first,
                user: take(rest)?.0,
            }),
            KEEP => Some(Self::Keep {
                topic: first,
                frame: rest,
            }),
            _ => None,
        }
    }
}

/// Ids and topics are a few hundred bytes: see their limits in the `protocol` crate.
fn put(out: &mut BytesMut, text: &str) {
    out.put_u16_le(u16::try_from(text.len()).expect("names have limits"));
    out.put_slice(text.as_bytes());
}

fn take(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_at_checked(2)?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([length[0], length[1]])))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

const TERMINATE: u8 = 1;
const KEEP: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_read() {
        for command in [
            Command::Terminate { app: "1", user: "ann" },
            Command::Keep {
                topic: "1/cache-x",
                frame: b"{}",
            },
        ] {
            assert_eq!(Command::decode(&command.encode()), Some(command));
        }
    }

    #[test]
    fn what_is_cut_or_unknown_is_passed_over() {
        let whole = Command::Terminate { app: "1", user: "ann" }.encode();
        for length in 0..whole.len() {
            assert_eq!(Command::decode(&whole[..length]), None);
        }
        assert_eq!(Command::decode(&[99, 0, 0]), None);
    }
}
