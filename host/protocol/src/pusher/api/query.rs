//! The queries of GET `/apps/{id}/channels` and `/apps/{id}/channels/{name}`.
//!
//! Keys that are not known here, the signature's among them, are ignored; of a key that is given twice the first value
//! counts. A value is unescaped as forms escape it.
//!
//! Rule: Pusher HTTP API, "GET channels", "GET channel" and "GET users".

use std::borrow::Cow;

use super::{ApiError, Info};
use crate::names::{ChannelKind, ChannelName};

/// Which channels an app's server wants to hear about, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelsQuery {
    /// What the names must begin with; empty for all. Not a channel name: it may be any text.
    pub prefix: String,
    /// What to tell about each; never `cache`.
    pub info: Info,
}

impl ChannelsQuery {
    /// Reads a query, which comes without its `?`.
    ///
    /// # Errors
    /// An [`ApiError`] with the HTTP status to answer and a message for the developer.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let prefix = value(query, "filter_by_prefix").into_owned();
        let info = Info::parse(&value(query, "info"), "user_count and subscription_count")?;
        if info.user_count && !prefix.starts_with("presence-") {
            let only = "presence channels; add a `filter_by_prefix` that begins with presence-,";
            let what = "user_count";
            return Err(ApiError::Unavailable { what, only });
        }
        Ok(Self { prefix, info })
    }

    /// Whether the answer is to name this channel.
    pub fn matches(&self, channel: &ChannelName) -> bool {
        channel.as_str().starts_with(&self.prefix)
    }
}

/// What an app's server wants to hear about one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelQuery {
    /// All of it is something that the channel has.
    pub info: Info,
}

impl ChannelQuery {
    /// Reads a query about `channel`, which comes without its `?`.
    ///
    /// # Errors
    /// An [`ApiError`] with the HTTP status to answer and a message for the developer.
    pub fn parse(query: &str, channel: &ChannelName) -> Result<Self, ApiError> {
        let info = Info::parse(&value(query, "info"), "user_count, subscription_count and cache")?;
        info.check(channel)?;
        Ok(Self { info })
    }
}

/// Whether GET `/apps/{id}/channels/{name}/users` makes sense of this channel.
///
/// # Errors
/// An [`ApiError`] for every kind but presence.
pub fn check_users_of(channel: &ChannelName) -> Result<(), ApiError> {
    let (what, only) = ("users", "presence channels");
    match channel.kind() {
        ChannelKind::Presence => Ok(()),
        _ => Err(ApiError::Unavailable { what, only }),
    }
}

/// The first value of `key`, or nothing.
fn value<'a>(query: &'a str, key: &str) -> Cow<'a, str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.into_iter().find(|(name, _)| *name == key);
    found.map(|(_, value)| unescaped(value)).unwrap_or_default()
}

/// `+` is a space and `%41` an `A`; what is not well-formed stands for itself, and what is not UTF-8 becomes U+FFFD.
fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['+', '%']) {
        return value.into();
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (*first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Of a hex digit of either case.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    }
}

#[cfg(test)]
mod tests;
