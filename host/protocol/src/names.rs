//! Names that clients and publishers use: channels, events, users and socket ids.
//!
//! Parsing is the only way to get one, so a `ChannelName`, an `EventName` or a `UserId` cannot be malformed later on.
//! What a name means (does it need authorisation, is it cached, whose is it) is decided here by anchored prefixes and
//! nowhere else.
//!
//! Of the names that begin with `#` only `#server-to-user-ID` is one; all others are refused.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// Longest channel or event name, in bytes, unless the operator says otherwise.
///
/// The Pusher documents say 164 for channels, every server library allows 200.
pub const MAX_NAME_BYTES: usize = 200;

/// Longest id of a user, in characters (Pusher protocol, "Presence channels": `user_id`).
pub const MAX_USER_ID_CHARS: usize = 128;

/// What the name of a signed-in user's own channel begins with.
const SERVER_TO_USER: &str = "#server-to-user-";

/// The name of a channel: 1 to 200 letters, digits and `_ - = @ , . ;`, or `#server-to-user-` and a [`UserId`].
/// Cloning shares the text.
///
/// Rule: Pusher protocol, "Channel naming conventions".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Reads a channel name of up to [`MAX_NAME_BYTES`] as a client or a publisher sent it.
    ///
    /// # Errors
    /// A [`NameError`] that says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        Self::parse_within(name, MAX_NAME_BYTES)
    }

    /// Reads a channel name of up to `max_bytes`. A user's own channel is as long as the user's id asks for.
    ///
    /// # Errors
    /// A [`NameError`] that says which rule the name breaks.
    pub fn parse_within(name: &str, max_bytes: usize) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::ChannelEmpty);
        }
        if let Some(user) = name.strip_prefix(SERVER_TO_USER) {
            check_user_id(user)?;
            return Ok(Self(name.into()));
        }
        if name.len() > max_bytes {
            return Err(NameError::ChannelTooLong {
                bytes: name.len(),
                limit: max_bytes,
            });
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
        if self.0.starts_with(SERVER_TO_USER) {
            ChannelKind::ServerToUser
        } else if self.0.starts_with("private-encrypted-") {
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

    /// Whose channel it is, if it is that of a signed-in user.
    ///
    /// Rule: Pusher protocol, "User authentication": after the signin clients subscribe to `#server-to-user-ID`.
    pub fn server_user(&self) -> Option<&str> {
        self.0.strip_prefix(SERVER_TO_USER)
    }

    /// Whether a subscriber must show a signature. For a user's own channel the signin has shown it.
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
    /// `#server-to-user-`: for the connections that are signed in as that user.
    ServerToUser,
}

/// The id of a user as it may stand in a path: 1 to 128 characters of the channel alphabet.
///
/// Members of presence channels are freer: see [`check_member_id`].
///
/// Rule: Pusher HTTP API, "Terminating user connections", and the checks of the server libraries.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Box<str>);

impl UserId {
    /// Reads a user's id, URL-unescaped.
    ///
    /// # Errors
    /// A [`NameError`] that says which rule the id breaks.
    pub fn parse(id: &str) -> Result<Self, NameError> {
        check_user_id(id)?;
        Ok(Self(id.into()))
    }

    /// The id as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The channel on which the server speaks to this user.
    pub fn channel(&self) -> ChannelName {
        ChannelName(format!("{SERVER_TO_USER}{}", self.0).into())
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Checks the id of a presence member or of a signed-in user: any text of 1 to [`MAX_USER_ID_CHARS`].
///
/// Rule: Pusher protocol, "Presence channels"; apps put e-mail addresses and names there.
///
/// # Errors
/// [`NameError::UserEmpty`] or [`NameError::UserTooLong`].
pub fn check_member_id(id: &str) -> Result<(), NameError> {
    if id.is_empty() {
        return Err(NameError::UserEmpty);
    }
    // Counted only as far as it matters: what is longer in bytes may still be short enough in characters.
    if id.len() > MAX_USER_ID_CHARS && id.chars().nth(MAX_USER_ID_CHARS).is_some() {
        return Err(NameError::UserTooLong);
    }
    Ok(())
}

fn check_user_id(id: &str) -> Result<(), NameError> {
    check_member_id(id)?;
    match id.chars().find(|&character| !is_channel_character(character)) {
        Some(character) => Err(NameError::UserCharacter { character }),
        None => Ok(()),
    }
}

/// The name of an event: 1 to 200 bytes without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName(Box<str>);

impl EventName {
    /// Reads an event name of up to [`MAX_NAME_BYTES`] as a client or a publisher sent it.
    ///
    /// # Errors
    /// A [`NameError`] that says which rule the name breaks.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        Self::parse_within(name, MAX_NAME_BYTES)
    }

    /// Reads an event name of up to `max_bytes`.
    ///
    /// # Errors
    /// A [`NameError`] that says which rule the name breaks.
    pub fn parse_within(name: &str, max_bytes: usize) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::EventEmpty);
        }
        if name.len() > max_bytes {
            return Err(NameError::EventTooLong {
                bytes: name.len(),
                limit: max_bytes,
            });
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
    #[error("channel name is empty; letters, digits and _ - = @ , . ; are accepted")]
    ChannelEmpty,
    /// A name that begins with `#` and is not a user's own channel.
    #[error("channel names that begin with # are reserved; #server-to-user-ID is the only one")]
    ChannelReserved,
    /// Over the limit.
    #[error("channel name is {bytes} characters long; at most {limit} are accepted")]
    ChannelTooLong {
        /// Length of the name in bytes.
        bytes: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// A line break or the like.
    #[error("event name holds a control character; anything else is accepted")]
    EventControlCharacter,
    /// No characters at all.
    #[error("event name is empty; any text without control characters is accepted")]
    EventEmpty,
    /// Over the limit.
    #[error("event name is {bytes} bytes long; at most {limit} are accepted")]
    EventTooLong {
        /// Length of the name in bytes.
        bytes: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// Not of the form `high.low`.
    #[error("socket id must be two whole numbers below 4294967296 joined by a dot, such as 1234.5678")]
    SocketId,
    /// A character outside the channel alphabet in the id of a user that is addressed by it.
    #[error("user id holds {character:?}; letters, digits and _ - = @ , . ; are accepted")]
    UserCharacter {
        /// The first such character.
        character: char,
    },
    /// No characters at all.
    #[error("user id is empty; 1 to {MAX_USER_ID_CHARS} characters are accepted")]
    UserEmpty,
    /// More than [`MAX_USER_ID_CHARS`].
    #[error("user id is too long; at most {MAX_USER_ID_CHARS} characters are accepted")]
    UserTooLong,
}

#[cfg(test)]
mod tests;
