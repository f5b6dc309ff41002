//! Names that clients and publishers use: channels, events and socket ids.
//!
//! Parsing is the only way to get one, so a `ChannelName` or an `EventName` cannot be malformed later on. What a name
//! means (does it need authorisation, is it cached) is decided here by anchored prefixes and nowhere else.
//!
//! Names beginning with `#` are refused for now: they belong to signed-in users.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// Longest channel or event name, in bytes. The Pusher documents say 164, every server library allows 200.
pub const MAX_NAME_BYTES: usize = 200;

/// The name of a channel: 1 to 200 letters, digits and `_ - = @ , . ;`. Cloning shares the text.
///
/// Rule: Pusher protocol, "Channel naming conventions".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Reads a channel name as a client or a publisher sent it.
    ///
    /// # Errors
    /// A [`NameError`] that says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::ChannelEmpty);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(NameError::ChannelTooLong { bytes: name.len() });
        }
        if name.starts_with('#') {
            return Err(NameError::ChannelReserved);
        }
        match name.chars().find(|&character| !is_channel_character(character)) {
            Some(character) => Err(NameError::ChannelCharacter { character }),
            None => Ok(Self(name.into())),
        }
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What kind of channel the name asks for. Caches are of the kind that they cache.
    pub fn kind(&self) -> ChannelKind {
        if self.0.starts_with("private-encrypted-") {
            ChannelKind::PrivateEncrypted
        } else if self.0.starts_with("private-") {
            ChannelKind::Private
        } else if self.0.starts_with("presence-") {
            ChannelKind::Presence
        } else {
            ChannelKind::Public
        }
    }

    /// Whether the channel keeps its last event for later subscribers.
    ///
    /// Rule: Pusher protocol, "Cache channels".
    pub fn is_cache(&self) -> bool {
        const CACHES: [&str; 4] = [
            "cache-",
            "private-cache-",
            "private-encrypted-cache-",
            "presence-cache-",
        ];
        CACHES.iter().any(|prefix| self.0.starts_with(prefix))
    }

    /// Whether a subscriber must show a signature.
    ///
    /// Asked apart from [`Self::is_cache`], so that no cache form can slip past authorisation.
    pub fn needs_auth(&self) -> bool {
        self.0.starts_with("private-") || self.0.starts_with("presence-")
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

fn is_channel_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_-=@,.;".contains(character)
}

/// What a channel's prefix promises to its subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// Open to everybody who knows the app key.
    Public,
    /// `private-`: a subscriber shows a signature.
    Private,
    /// `private-encrypted-`: private, and the server relays ciphertext that it cannot read.
    PrivateEncrypted,
    /// `presence-`: private, and the members see each other.
    Presence,
}

/// The name of an event: 1 to 200 bytes without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName(Box<str>);

impl EventName {
    /// Reads an event name as a client or a publisher sent it.
    ///
    /// # Errors
    /// A [`NameError`] that says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::EventEmpty);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(NameError::EventTooLong { bytes: name.len() });
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::EventControlCharacter);
        }
        Ok(Self(name.into()))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name marks an event from client to client (Pusher protocol, "Client events").
    pub fn is_client(&self) -> bool {
        self.0.starts_with("client-")
    }

    /// Whether the name belongs to the protocol itself.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with("pusher:") || self.0.starts_with("pusher_internal:")
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The id that a connection gets in its greeting, written `high.low`.
///
/// Server libraries check it against `^\d+\.\d+$` before they sign it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    /// The number before the dot.
    pub high: u32,
    /// The number after the dot.
    pub low: u32,
}

impl fmt::Display for SocketId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.high, self.low)
    }
}

impl FromStr for SocketId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (high, low) = text.split_once('.').ok_or(NameError::SocketId)?;
        Ok(Self {
            high: digits(high)?,
            low: digits(low)?,
        })
    }
}

/// `u32::from_str` alone would let a leading `+` pass.
fn digits(text: &str) -> Result<u32, NameError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NameError::SocketId);
    }
    text.parse().map_err(|_| NameError::SocketId)
}

/// What is wrong with a name, and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A character outside the channel alphabet.
    #[error("channel name holds {character:?}; letters, digits and _ - = @ , . ; are accepted")]
    ChannelCharacter {
        /// The first such character.
        character: char,
    },
    /// No characters at all.
    #[error("channel name is empty; 1 to {MAX_NAME_BYTES} characters are accepted")]
    ChannelEmpty,
    /// A name that begins with `#`.
    #[error("channel names that begin with # are reserved for signed-in users, which are not supported yet")]
    ChannelReserved,
    /// More than [`MAX_NAME_BYTES`].
    #[error("channel name is {bytes} characters long; at most {MAX_NAME_BYTES} are accepted")]
    ChannelTooLong {
        /// Length of the name in bytes.
        bytes: usize,
    },
    /// A line break or the like.
    #[error("event name holds a control character; anything else is accepted")]
    EventControlCharacter,
    /// No characters at all.
    #[error("event name is empty; 1 to {MAX_NAME_BYTES} bytes are accepted")]
    EventEmpty,
    /// More than [`MAX_NAME_BYTES`].
    #[error("event name is {bytes} bytes long; at most {MAX_NAME_BYTES} are accepted")]
    EventTooLong {
        /// Length of the name in bytes.
        bytes: usize,
    },
    /// Not of the form `high.low`.
    #[error("socket id must be two whole numbers below 4294967296 joined by a dot, such as 1234.5678")]
    SocketId,
}

#[cfg(test)]
mod tests {
    use super::{ChannelKind, ChannelName, EventName, NameError, SocketId};

    // Pusher protocol, channel types: `needs_auth` and `is_cache` are independent of each other.
    #[test]
    fn prefixes_decide_the_kind() {
        use ChannelKind::{Presence, Private, PrivateEncrypted, Public};
        for (name, kind, cache, auth) in [
            ("news", Public, false, false),
            ("cache-news", Public, true, false),
            ("my-private-news", Public, false, false),
            ("private", Public, false, false),
            ("Private-news", Public, false, false),
            ("private-news", Private, false, true),
            ("private-", Private, false, true),
            ("private-cache-news", Private, true, true),
            ("private-encrypted", Private, false, true),
            ("private-encrypted-news", PrivateEncrypted, false, true),
            ("private-encrypted-cache-news", PrivateEncrypted, true, true),
            ("presence-room", Presence, false, true),
            ("presence-cache-room", Presence, true, true),
        ] {
            let channel = ChannelName::parse(name).expect(name);
            assert_eq!(
                (channel.kind(), channel.is_cache(), channel.needs_auth()),
                (kind, cache, auth),
                "{name}"
            );
        }
    }

    #[test]
    fn channel_names_keep_to_the_alphabet() {
        let longest = "x".repeat(200);
        for good in ["a", "A-z_0=9@b,c.d;e", &longest] {
            assert_eq!(ChannelName::parse(good).expect(good).as_str(), good);
        }
        for (bad, error) in [
            ("", NameError::ChannelEmpty),
            ("#server-to-user-1", NameError::ChannelReserved),
            ("a#b", NameError::ChannelCharacter { character: '#' }),
            ("a b", NameError::ChannelCharacter { character: ' ' }),
            ("a/b", NameError::ChannelCharacter { character: '/' }),
            ("é", NameError::ChannelCharacter { character: 'é' }),
            ("a\n", NameError::ChannelCharacter { character: '\n' }),
        ] {
            assert_eq!(ChannelName::parse(bad), Err(error));
        }
        assert_eq!(
            ChannelName::parse(&"x".repeat(201)),
            Err(NameError::ChannelTooLong { bytes: 201 })
        );
    }

    #[test]
    fn event_names_are_free_text_without_control_characters() {
        for (name, client, reserved) in [
            ("new message ✓", false, false),
            ("client-typing", true, false),
            ("pusher:ping", false, true),
            ("pusher_internal:x", false, true),
            ("pusher", false, false),
        ] {
            let event = EventName::parse(name).expect(name);
            assert_eq!((event.is_client(), event.is_reserved()), (client, reserved), "{name}");
        }
        assert_eq!(EventName::parse(""), Err(NameError::EventEmpty));
        assert_eq!(EventName::parse("a\u{0}"), Err(NameError::EventControlCharacter));
        assert_eq!(
            EventName::parse(&"x".repeat(201)),
            Err(NameError::EventTooLong { bytes: 201 })
        );
    }

    #[test]
    fn socket_ids_are_two_numbers() {
        let id = SocketId {
            high: 1234,
            low: u32::MAX,
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "1.2.3",
            "+1.2",
            "-1.2",
            " 1.2",
            "1.2\n",
            "1,2",
            "١.2",
            "4294967296.1",
        ] {
            assert_eq!(bad.parse::<SocketId>(), Err(NameError::SocketId), "{bad}");
        }
    }
}
