//! The parts that the bodies of publish and batch requests share.
//!
//! Values are not looked into while the body is read, so that each can be refused under its own name.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ApiError, Info, PublishLimits};
use crate::names::{ChannelName, EventName, SocketId};

/// A string, borrowed from the body unless it holds escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Reads an object; a list would pass for one whose keys come in order.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, ApiError> {
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::NotAnObject);
    }
    serde_json::from_slice(json).map_err(ApiError::NotJson)
}

pub(super) fn string<'a>(key: &'static str, value: Option<&'a RawValue>) -> Result<Cow<'a, str>, ApiError> {
    let value = value.ok_or(ApiError::Missing { key })?;
    match serde_json::from_str(value.get()) {
        Ok(Text(text)) => Ok(text),
        Err(_) => Err(ApiError::WrongType {
            key,
            // Sending an object as `data` is the usual mistake.
            expected: if key == "data" {
                "a string; encode objects as JSON before sending them"
            } else {
                "a string"
            },
        }),
    }
}

pub(super) fn event_name(value: Option<&RawValue>, limits: &PublishLimits) -> Result<EventName, ApiError> {
    let name = string("name", value)?;
    EventName::parse_within(&name, limits.max_event_name_bytes).map_err(|error| ApiError::Name { key: "name", error })
}

/// The publisher's own string, whatever it holds.
pub(super) fn data(value: Option<&RawValue>, limits: &PublishLimits) -> Result<String, ApiError> {
    let data = string("data", value)?;
    if data.len() > limits.max_event_bytes {
        return Err(ApiError::DataTooLarge {
            bytes: data.len(),
            limit: limits.max_event_bytes,
        });
    }
    Ok(data.into_owned())
}

pub(super) fn channel(key: &'static str, name: &str, limits: &PublishLimits) -> Result<ChannelName, ApiError> {
    ChannelName::parse_within(name, limits.max_channel_name_bytes).map_err(|error| ApiError::Name { key, error })
}

pub(super) fn socket_id(value: Option<&RawValue>) -> Result<Option<SocketId>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let key = "socket_id";
    let id = string(key, Some(value))?.parse();
    id.map(Some).map_err(|error| ApiError::Name { key, error })
}

/// What the publisher wants to hear about each channel that the event goes to.
pub(super) fn info<'a>(
    value: Option<&RawValue>,
    channels: impl IntoIterator<Item = &'a ChannelName>,
) -> Result<Info, ApiError> {
    let Some(value) = value else {
        return Ok(Info::default());
    };
    let info = Info::parse(&string("info", Some(value))?, "user_count and subscription_count")?;
    channels.into_iter().try_for_each(|channel| info.check(channel))?;
    Ok(info)
}
