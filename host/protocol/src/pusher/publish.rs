//! The body of POST `/apps/{id}/events`: one event for up to a hundred channels.
//!
//! A [`PublishRequest`] is well-formed by construction. Keys that are not known here (libraries send `info`) are
//! ignored; known keys of the wrong type are refused with a message that names the key.
//!
//! Rule: Pusher HTTP API, "POST event (trigger an event)".

use std::{borrow::Cow, collections::BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::names::{ChannelKind, ChannelName, EventName, NameError, SocketId};

/// Most channels that one request may name.
pub const MAX_CHANNELS: usize = 100;

/// An event and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRequest {
    /// What happened.
    pub name: EventName,
    /// The publisher's own string; it need not be JSON and may be empty.
    pub data: String,
    /// 1 to [`MAX_CHANNELS`] channels in the order given, each of them once.
    pub channels: Vec<ChannelName>,
    /// A connection that must not hear the event, usually the one that caused it.
    pub socket_id: Option<SocketId>,
}

impl PublishRequest {
    /// Reads a body whose `data` may be up to `max_event_bytes` long.
    ///
    /// # Errors
    /// A [`PublishError`] with the HTTP status to answer and a message for the publisher.
    pub fn parse(body: &[u8], max_event_bytes: usize) -> Result<Self, PublishError> {
        // An array would pass for an object whose keys come in order.
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(PublishError::NotAnObject);
        }
        let body: Body<'_> = serde_json::from_slice(body).map_err(PublishError::NotJson)?;
        let name =
            EventName::parse(&string("name", body.name)?).map_err(|error| PublishError::Name { key: "name", error })?;
        let data = string("data", body.data)?;
        if data.len() > max_event_bytes {
            return Err(PublishError::DataTooLarge {
                bytes: data.len(),
                limit: max_event_bytes,
            });
        }
        let channels = channels(body.channels, body.channel)?;
        let socket_id = body.socket_id.map(socket_id).transpose()?;
        Ok(Self {
            name,
            data: data.into_owned(),
            channels,
            socket_id,
        })
    }
}

/// The keys that matter, their values not looked into yet, so that each can be refused under its own name.
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
}

/// A string, borrowed from the body unless it holds escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn string<'a>(key: &'static str, value: Option<&'a RawValue>) -> Result<Cow<'a, str>, PublishError> {
    let value = value.ok_or(PublishError::Missing { key })?;
    match serde_json::from_str(value.get()) {
        Ok(Text(text)) => Ok(text),
        Err(_) => Err(PublishError::NotAString { key }),
    }
}

fn channels(many: Option<&RawValue>, one: Option<&RawValue>) -> Result<Vec<ChannelName>, PublishError> {
    let parse = |key, name: &str| ChannelName::parse(name).map_err(|error| PublishError::Name { key, error });
    match (many, one) {
        (Some(_), Some(_)) => Err(PublishError::ChannelAndChannels),
        (None, None) => Err(PublishError::Missing { key: "channels" }),
        (None, Some(one)) => Ok(vec![parse("channel", &string("channel", Some(one))?)?]),
        (Some(many), None) => {
            let names: Vec<Text<'_>> = serde_json::from_str(many.get()).map_err(|_| PublishError::ChannelsNotAList)?;
            if names.is_empty() || names.len() > MAX_CHANNELS {
                return Err(PublishError::ChannelCount { count: names.len() });
            }
            let channels = names
                .iter()
                .map(|Text(name)| parse("channels", name))
                .collect::<Result<_, _>>()?;
            alone_if_encrypted(each_once(channels))
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
fn alone_if_encrypted(channels: Vec<ChannelName>) -> Result<Vec<ChannelName>, PublishError> {
    let encrypted = channels
        .iter()
        .any(|channel| channel.kind() == ChannelKind::PrivateEncrypted);
    if encrypted && channels.len() > 1 {
        Err(PublishError::EncryptedNotAlone)
    } else {
        Ok(channels)
    }
}

fn socket_id(value: &RawValue) -> Result<SocketId, PublishError> {
    let text = string("socket_id", Some(value))?;
    text.parse().map_err(|error| PublishError::Name {
        key: "socket_id",
        error,
    })
}

/// Sending an object as `data` is the usual mistake.
fn hint(key: &str) -> &'static str {
    if key == "data" {
        "; encode objects as JSON before sending them"
    } else {
        ""
    }
}

/// Why a publish request is refused. The message is meant for the publisher and names the key.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Two places to look for channels.
    #[error("both `channel` and `channels` are given; give one of them")]
    ChannelAndChannels,
    /// None, or more than [`MAX_CHANNELS`].
    #[error("`channels` names {count} channels; 1 to {MAX_CHANNELS} are accepted")]
    ChannelCount {
        /// Channels as named in the request.
        count: usize,
    },
    /// Something else than a list of strings.
    #[error("`channels` must be a list of strings")]
    ChannelsNotAList,
    /// An event over the limit.
    #[error("`data` is {bytes} bytes long; at most {limit} are accepted")]
    DataTooLarge {
        /// Length of the data in bytes.
        bytes: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// An encrypted channel is one of several.
    #[error("`channels` names an encrypted channel and others; an encrypted channel must be the only one")]
    EncryptedNotAlone,
    /// A required key is absent.
    #[error("`{key}` is missing")]
    Missing {
        /// The key in the body.
        key: &'static str,
    },
    /// A name or an id that breaks its rules.
    #[error("`{key}`: {error}")]
    Name {
        /// The key in the body.
        key: &'static str,
        /// The rule.
        #[source]
        error: NameError,
    },
    /// JSON, but a list, a string or the like.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// A key of another type.
    #[error("`{key}` must be a string{}", hint(.key))]
    NotAString {
        /// The key in the body.
        key: &'static str,
    },
    /// Not JSON at all, or a key given twice.
    #[error("the body is not a valid JSON object: {0}")]
    NotJson(#[source] serde_json::Error),
}

impl PublishError {
    /// The HTTP status to answer: 413 for data over the limit, 400 for everything else.
    pub const fn status(&self) -> u16 {
        match self {
            Self::DataTooLarge { .. } => 413,
            _ => 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PublishRequest;

    /// Parses `body` with a limit of 10 bytes and writes down what became of it.
    fn check(body: &str, expected: &str) {
        let outcome = match PublishRequest::parse(body.as_bytes(), 10) {
            Ok(request) => {
                let channels: Vec<&str> = request.channels.iter().map(|channel| channel.as_str()).collect();
                let except = request.socket_id.map(|id| format!(" except {id}")).unwrap_or_default();
                format!("{} {:?} to {}{except}", request.name, request.data, channels.join(" "))
            }
            Err(error) => format!("{} {error}", error.status()),
        };
        assert!(outcome.starts_with(expected), "{body}\n  {outcome}\n  {expected}");
    }

    #[test]
    fn requests_are_read_as_the_libraries_send_them() {
        check(
            r#"{"name":"e","data":"{\"a\":1}","channels":["a","b"]}"#,
            r#"e "{\"a\":1}" to a b"#,
        );
        check(
            r#" {"name":"e","data":"","channel":"a","socket_id":"1.2"}"#,
            r#"e "" to a except 1.2"#,
        );
        check(
            r#"{"name":"e","data":"d","channel":"a","socket_id":null,"channels":null,"info":7}"#,
            r#"e "d" to a"#,
        );
        check(
            r#"{"name":"\u0065 f","data":"d","channels":["a","b","a"]}"#,
            r#"e f "d" to a b"#,
        );
        check(
            r#"{"name":"e","data":"0123456789","channel":"presence-cache-x"}"#,
            r#"e "0123456789" to presence-"#,
        );
        check(
            r#"{"name":"e","data":"d","channels":["private-encrypted-x"]}"#,
            r#"e "d" to private-encrypted-x"#,
        );
    }

    // Pusher HTTP API: 413 for the data, 400 for all other faults, and the message names the key.
    #[test]
    fn faults_are_refused_by_the_name_of_their_key() {
        check("", "400 the body must be a JSON object");
        check("[]", "400 the body must be a JSON object");
        check(r#"["e","d",["a"]]"#, "400 the body must be a JSON object");
        check("{", "400 the body is not a valid JSON object: EOF");
        check(
            r#"{"name":"e","name":"f","data":"d","channel":"a"}"#,
            "400 the body is not a valid JSON object: dup",
        );
        check(r#"{"data":"d","channel":"a"}"#, "400 `name` is missing");
        check(r#"{"name":1,"data":"d","channel":"a"}"#, "400 `name` must be a string");
        check(
            r#"{"name":"","data":"d","channel":"a"}"#,
            "400 `name`: event name is empty",
        );
        check(r#"{"name":"e","channel":"a"}"#, "400 `data` is missing");
        check(r#"{"name":"e","data":null,"channel":"a"}"#, "400 `data` is missing");
        check(
            r#"{"name":"e","data":{"a":1},"channel":"a"}"#,
            "400 `data` must be a string; encode objects",
        );
        check(
            r#"{"name":"e","data":"0123456789a","channel":"a"}"#,
            "413 `data` is 11 bytes long; at most 10",
        );
        check(r#"{"name":"e","data":"d"}"#, "400 `channels` is missing");
        check(
            r#"{"name":"e","data":"d","channels":[]}"#,
            "400 `channels` names 0 channels; 1 to 100",
        );
        check(
            r#"{"name":"e","data":"d","channels":"a"}"#,
            "400 `channels` must be a list of strings",
        );
        check(
            r#"{"name":"e","data":"d","channels":[1]}"#,
            "400 `channels` must be a list of strings",
        );
        check(
            r#"{"name":"e","data":"d","channel":["a"]}"#,
            "400 `channel` must be a string",
        );
        check(
            r#"{"name":"e","data":"d","channel":"a","channels":["a"]}"#,
            "400 both `channel` and `channels`",
        );
        check(
            r#"{"name":"e","data":"d","channels":["a b"]}"#,
            "400 `channels`: channel name holds ' '",
        );
        check(
            r#"{"name":"e","data":"d","channels":["a","private-encrypted-b"]}"#,
            "400 `channels` names an encrypted",
        );
        check(
            r#"{"name":"e","data":"d","channel":"a","socket_id":"1"}"#,
            "400 `socket_id`: socket id must be",
        );
        check(
            r#"{"name":"e","data":"d","channel":"a","socket_id":1.2}"#,
            "400 `socket_id` must be a string",
        );
    }

    #[test]
    fn at_most_a_hundred_channels_are_named() {
        let body = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("\"c{n}\"")).collect();
            format!(r#"{{"name":"e","data":"d","channels":[{}]}}"#, names.join(","))
        };
        check(&body(100), r#"e "d" to c0 c1 "#);
        check(&body(101), "400 `channels` names 101 channels");
    }

    // The JSON reader must not follow nesting down the stack, nor stumble over what is not text.
    #[test]
    fn hostile_bodies_are_refused_quietly() {
        let deep = "[".repeat(100_000);
        check(
            &format!(r#"{{"name":"e","channel":"a","data":{deep}"#),
            "400 the body is not a valid JSON object",
        );
        check(
            &format!(r#"{{"name":"e","channel":"a","x":{deep}"#),
            "400 the body is not a valid JSON object",
        );
        check(
            r#"{"name":"e","channel":"a","data":"\ud800"}"#,
            "400 `data` must be a string",
        );
        let error = PublishRequest::parse(b"{\"name\":\"\xff\",\"data\":\"d\",\"channel\":\"a\"}", 10);
        assert_eq!(error.map_err(|error| error.status()), Err(400));
    }
}
