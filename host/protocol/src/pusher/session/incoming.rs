//! A client's message: JSON with an event, perhaps a channel, perhaps data.
//!
//! `data` is read as an object or as a string that holds one, since clients send both (Pusher protocol, "Double
//! encoding"). Texts that are echoed in complaints are bounded: nothing of unchecked length goes back.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};

use crate::{names::NameError, pusher::frames};

/// A message whose outside is well-formed.
#[derive(Deserialize)]
pub(super) struct Incoming<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl<'a> Incoming<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Complaint> {
        let expected = "a message must be a JSON object with a string `event`, and where needed `data` and a string \
                        `channel`";
        object(text).map_err(|error| malformed(&error, expected))
    }

    pub(super) fn event(&self) -> &str {
        &self.event
    }

    /// Whether it says no more than that the client is there.
    pub(super) fn is_sign_of_life(&self) -> bool {
        matches!(&*self.event, "pusher:ping" | "pusher:pong")
    }

    pub(super) fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    /// The data as it came. None at all is relayed as `null`.
    pub(super) fn raw_data(&self) -> &RawValue {
        self.data.unwrap_or(RawValue::NULL)
    }

    /// The data of one of the protocol's own events.
    pub(super) fn data<T: EventData>(&self) -> Result<T, Complaint> {
        let raw = self.raw_data().get();
        if raw.starts_with('"') {
            let inner: String = serde_json::from_str(raw).map_err(|_| Complaint::new(T::EXPECTED))?;
            object(&inner).map_err(|error| malformed(&error, T::EXPECTED))
        } else {
            object(raw).map_err(|error| malformed(&error, T::EXPECTED))
        }
    }
}

/// What one of the protocol's own events carries.
pub(super) trait EventData: for<'de> Deserialize<'de> {
    /// Tells the client what would be accepted.
    const EXPECTED: &'static str;
}

#[derive(Deserialize)]
pub(super) struct SubscribeData {
    pub(super) channel: String,
    pub(super) auth: Option<String>,
    pub(super) channel_data: Option<String>,
}

impl EventData for SubscribeData {
    const EXPECTED: &'static str = "`data` of pusher:subscribe must be an object with a string `channel`, and where \
                                    needed the strings `auth` and `channel_data`";
}

#[derive(Deserialize)]
pub(super) struct SigninData {
    pub(super) auth: String,
    pub(super) user_data: String,
}

impl EventData for SigninData {
    const EXPECTED: &'static str = "`data` of pusher:signin must be an object with the strings `auth` and `user_data`";
}

#[derive(Deserialize)]
pub(super) struct UnsubscribeData {
    pub(super) channel: String,
}

impl EventData for UnsubscribeData {
    const EXPECTED: &'static str = "`data` of pusher:unsubscribe must be an object with a string `channel`";
}

/// What is wrong with a message, for the developer of the client.
#[derive(Debug)]
pub(super) struct Complaint {
    message: Cow<'static, str>,
    code: Option<u16>,
}

impl Complaint {
    /// Most mistakes have no code in the protocol.
    pub(super) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            code: None,
        }
    }

    /// The same, with a code of the protocol.
    pub(super) fn coded(self, code: u16) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The `pusher:error` that tells the client.
    pub(super) fn reply(&self) -> String {
        frames::error(&self.message, self.code)
    }
}

impl From<NameError> for Complaint {
    fn from(error: NameError) -> Self {
        Self::new(error.to_string())
    }
}

/// Whether a receiver's JSON reader might give up on `json`, which is known to be valid.
///
/// Data that is relayed is never built up here, so the reader's own limit does not see it.
pub(super) fn nests_too_deeply(json: &str, levels: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > levels {
            return true;
        }
    }
    false
}

/// Reads an object; a list would pass for one whose keys come in order.
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    if text.trim_start().starts_with('[') {
        return Err(serde::de::Error::custom("a list instead of an object"));
    }
    serde_json::from_str(text)
}

fn malformed(error: &serde_json::Error, expected: &'static str) -> Complaint {
    match error.classify() {
        // These quote the client's text, however long it is.
        Category::Data => Complaint::new(expected),
        Category::Syntax | Category::Eof | Category::Io => Complaint::new(format!("not valid JSON: {error}")),
    }
}
