//! The texts that the server sends.
//!
//! Where the Pusher documents say so, `data` is a JSON string that itself holds JSON; `pusher:error` carries an object,
//! and `pusher:subscription_error`, which the documents lack, an object too, as other servers send it. The publisher's
//! own data is a string that is passed on as it is and need not be JSON.
//!
//! [`event`] runs once per publish, not once per subscriber: wrap its text into a frame and share that.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::names::{ChannelName, EventName, SocketId};

/// `pusher:connection_established`: the first thing that a client hears.
///
/// `activity_timeout` is the silence after which the client pings; it is sent in whole seconds and at least as 1, since
/// pusher-js cannot connect with 0.
pub fn connection_established(socket_id: SocketId, activity_timeout: Duration) -> String {
    let seconds = activity_timeout.as_secs().max(1);
    let data = format!(r#"{{"socket_id":"{socket_id}","activity_timeout":{seconds}}}"#);
    Frame::new("pusher:connection_established", data.len()).text(&data)
}

/// `pusher_internal:subscription_succeeded` of a channel without members.
pub fn subscription_succeeded(channel: &ChannelName) -> String {
    Frame::new("pusher_internal:subscription_succeeded", 0)
        .channel(channel)
        .text("{}")
}

/// `pusher:subscription_error`: `error` is for people, `status` reads like an HTTP status.
pub fn subscription_error(channel: &ChannelName, kind: &str, error: &str, status: u16) -> String {
    let data = format!(
        r#"{{"type":{},"error":{},"status":{status}}}"#,
        quoted(kind),
        quoted(error)
    );
    Frame::new("pusher:subscription_error", data.len())
        .channel(channel)
        .json(&data)
}

/// `pusher:error`: the connection stays open. Most errors have no code of their own.
pub fn error(message: &str, code: Option<u16>) -> String {
    let message = quoted(message);
    let data = match code {
        Some(code) => format!(r#"{{"message":{message},"code":{code}}}"#),
        None => format!(r#"{{"message":{message},"code":null}}"#),
    };
    Frame::new("pusher:error", data.len()).json(&data)
}

/// `pusher:ping`: asks a silent client for a sign of life.
pub fn ping() -> String {
    Frame::new("pusher:ping", 0).json("{}")
}

/// `pusher:pong`: the answer to a client's `pusher:ping`.
pub fn pong() -> String {
    Frame::new("pusher:pong", 0).json("{}")
}

/// A published event. `data` is the publisher's string, whatever it holds.
pub fn event(channel: &ChannelName, event: &str, data: &str) -> String {
    Frame::new(event, data.len()).channel(channel).text(data)
}

/// An event from another client. `data` keeps the JSON type in which it came (Pusher protocol, "Client events").
pub fn client_event(channel: &ChannelName, event: &str, data: &RawValue) -> String {
    Frame::new(event, data.get().len()).channel(channel).json(data.get())
}

/// `pusher:error` 4301: a client event came too soon after others (Pusher protocol, "Error codes").
pub fn rate_limited(event: &EventName, retry_after_ms: u64) -> String {
    let message = format!("client event {event} is over the rate limit; try again in {retry_after_ms} ms");
    error(&message, Some(4301))
}

/// A server event under construction: one buffer, written from left to right.
struct Frame(Vec<u8>);

impl Frame {
    /// Room for `data_bytes` of data, some of it escaped, and for all the rest at its usual length.
    fn new(event: &str, data_bytes: usize) -> Self {
        const AROUND_DATA: usize = 128;
        let mut frame = Self(Vec::with_capacity(AROUND_DATA + data_bytes + data_bytes / 8));
        frame.raw(r#"{"event":"#);
        frame.string(event);
        frame
    }

    fn channel(mut self, channel: &ChannelName) -> Self {
        self.raw(r#","channel":"#);
        self.string(channel.as_str());
        self
    }

    /// Ends the event with `data` as a JSON string.
    fn text(mut self, data: &str) -> String {
        self.raw(r#","data":"#);
        self.string(data);
        self.end()
    }

    /// Ends the event with `data`, which is JSON already.
    fn json(mut self, data: &str) -> String {
        self.raw(r#","data":"#);
        self.raw(data);
        self.end()
    }

    fn end(mut self) -> String {
        self.raw("}");
        String::from_utf8(self.0).expect("it was put together from strings")
    }

    fn raw(&mut self, json: &str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(&mut self.0, text).expect("writing a string to memory cannot fail");
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("writing a string to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, value::RawValue};

    use super::{
        Duration, client_event, connection_established, error, event, ping, pong, rate_limited, subscription_error,
        subscription_succeeded,
    };
    use crate::names::{ChannelName, EventName, SocketId};

    fn room() -> ChannelName {
        ChannelName::parse("private-room").expect("well-formed")
    }

    // Pusher protocol, "Channels events": which `data` is a string and which an object.
    #[test]
    fn frames_read_as_the_documents_show_them() {
        let id = SocketId { high: 12, low: 34 };
        let raw = |json: &str| RawValue::from_string(json.into()).expect(json);
        for (frame, expected) in [
            (
                connection_established(id, Duration::from_secs(120)),
                r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"12.34\",\"activity_timeout\":120}"}"#,
            ),
            (
                connection_established(id, Duration::from_millis(10)),
                r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"12.34\",\"activity_timeout\":1}"}"#,
            ),
            (
                subscription_succeeded(&room()),
                r#"{"event":"pusher_internal:subscription_succeeded","channel":"private-room","data":"{}"}"#,
            ),
            (
                subscription_error(&room(), "AuthError", "no \"auth\"", 401),
                r#"{"event":"pusher:subscription_error","channel":"private-room","data":{"type":"AuthError","error":"no \"auth\"","status":401}}"#,
            ),
            (
                error("a \"b\"", None),
                r#"{"event":"pusher:error","data":{"message":"a \"b\"","code":null}}"#,
            ),
            (
                error("x", Some(4009)),
                r#"{"event":"pusher:error","data":{"message":"x","code":4009}}"#,
            ),
            (
                rate_limited(&EventName::parse("client-x").expect("well-formed"), 100),
                r#"{"event":"pusher:error","data":{"message":"client event client-x is over the rate limit; try again in 100 ms","code":4301}}"#,
            ),
            (ping(), r#"{"event":"pusher:ping","data":{}}"#),
            (pong(), r#"{"event":"pusher:pong","data":{}}"#),
            (
                event(&room(), "new", ""),
                r#"{"event":"new","channel":"private-room","data":""}"#,
            ),
            (
                event(&room(), "a\"b", r#"{"x":1}"#),
                r#"{"event":"a\"b","channel":"private-room","data":"{\"x\":1}"}"#,
            ),
            (
                client_event(&room(), "client-x", &raw(r#"{"a": [1]}"#)),
                r#"{"event":"client-x","channel":"private-room","data":{"a": [1]}}"#,
            ),
            (
                client_event(&room(), "client-x", &raw(r#""text""#)),
                r#"{"event":"client-x","channel":"private-room","data":"text"}"#,
            ),
        ] {
            assert_eq!(frame, expected);
        }
    }

    // "data: the publisher's string untouched": it survives any content.
    #[test]
    fn published_data_arrives_as_it_was_sent() {
        for data in [
            "",
            "not JSON",
            "null",
            "\u{0}\u{1f}\n\"\\/",
            "✓ \u{1f600} \u{2028}",
            &"\"".repeat(10_000),
        ] {
            let frame: Value = serde_json::from_str(&event(&room(), "e", data)).expect("valid JSON");
            assert_eq!(frame["data"], data);
        }
    }
}
