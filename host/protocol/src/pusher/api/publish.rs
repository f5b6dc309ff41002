//! The body of POST `/apps/{id}/events`: one event for up to a hundred channels.
//!
//! Keys that are not known here are ignored; known keys of the wrong type are refused with a message that names the
//! key.
//!
//! Rule: Pusher HTTP API, "POST event (trigger an event)".

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    ApiError, Info, PublishLimits,
    body::{self, Text, string},
};
use crate::names::{ChannelKind, ChannelName, EventName, SocketId};

/// An event and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRequest {
    /// What happened.
    pub name: EventName,
    /// The publisher's own string; it need not be JSON and may be empty.
    pub data: String,
    /// 1 to [`PublishLimits::max_channels`] channels in the order given, each of them once.
    pub channels: Vec<ChannelName>,
    /// A connection that must not hear the event, usually the one that caused it.
    pub socket_id: Option<SocketId>,
    /// What the answer is to tell about each of the channels.
    pub info: Info,
}

impl PublishRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// An [`ApiError`] with the HTTP status to answer and a message for the publisher.
    pub fn parse(body: &[u8], limits: &PublishLimits) -> Result<Self, ApiError> {
        let body: Body<'_> = body::object(body)?;
        let name = body::event_name(body.name, limits)?;
        let data = body::data(body.data, limits)?;
        let channels = channels(body.channels, body.channel, limits)?;
        let socket_id = body::socket_id(body.socket_id)?;
        let info = body::info(body.info, &channels)?;
        Ok(Self {
            name,
            data,
            channels,
            socket_id,
            info,
        })
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    channels: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    socket_id: Option<&'a RawValue>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
}

fn channels(
    many: Option<&RawValue>,
    one: Option<&RawValue>,
    limits: &PublishLimits,
) -> Result<Vec<ChannelName>, ApiError> {
    let key = "channels";
    match (many, one) {
        (Some(_), Some(_)) => Err(ApiError::ChannelAndChannels),
        (None, None) => Err(ApiError::Missing { key }),
        (None, Some(one)) => {
            let name = string("channel", Some(one))?;
            Ok(vec![body::channel("channel", &name, limits)?])
        }
        (Some(many), None) => {
            let expected = "a list of strings";
            let names: Vec<Text<'_>> =
                serde_json::from_str(many.get()).map_err(|_| ApiError::WrongType { key, expected })?;
            let (count, limit) = (names.len(), limits.max_channels);
            if count == 0 || count > limit {
                return Err(ApiError::Count { key, count, limit });
            }
            let channels = names.iter().map(|Text(name)| body::channel(key, name, limits));
            alone_if_encrypted(each_once(channels.collect::<Result<_, _>>()?))
        }
    }
}

/// A channel that is named twice still hears the event once.
fn each_once(mut channels: Vec<ChannelName>) -> Vec<ChannelName> {
    let mut seen = BTreeSet::new();
    channels.retain(|channel| seen.insert(channel.clone()));
    channels
}

/// Ciphertext is made for one channel's key, so no other channel could read it (Pusher, "Encrypted channels").
fn alone_if_encrypted(channels: Vec<ChannelName>) -> Result<Vec<ChannelName>, ApiError> {
    let encrypted = channels
        .iter()
        .any(|channel| channel.kind() == ChannelKind::PrivateEncrypted);
    if encrypted && channels.len() > 1 {
        Err(ApiError::EncryptedNotAlone)
    } else {
        Ok(channels)
    }
}

#[cfg(test)]
mod tests;
