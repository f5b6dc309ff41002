//! The texts that the server sends.
//!
//! Where the Pusher documents say so, `data` is a JSON string that itself holds JSON; `pusher:error` carries an object,
//! and `pusher:subscription_error`, which the documents lack, an object too, as other servers send it. The publisher's
//! own data is a string that is passed on as it is and need not be JSON.
//!
//! [`event`] runs once per publish, not once per subscriber: wrap its text into a frame and share that. The last event
//! of a cache channel is such a text too, sent again as it was.

use std::time::Duration;

use serde_json::value::RawValue;

use super::session::MAX_WATCHLIST;
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

/// `pusher_internal:subscription_succeeded` of a channel without members, which is any but a presence channel.
pub fn subscription_succeeded(channel: &ChannelName) -> String {
    Frame::new("pusher_internal:subscription_succeeded", 0)
        .channel(channel)
        .text("{}")
}

/// `pusher_internal:subscription_succeeded` of a presence channel: who is there, the new member included.
///
/// `members` are distinct users. One without a `user_info` is `null` in the hash, which is what Pusher itself sends
/// (recorded in public logs of pusher-js); pusher-js and the Java library take any value there.
pub fn presence_succeeded<'a, M>(channel: &ChannelName, members: M) -> String
where
    M: IntoIterator<Item = (&'a str, Option<&'a RawValue>)>,
{
    let (mut ids, mut hash, mut count) = (String::new(), String::new(), 0_u64);
    for (id, info) in members {
        if count > 0 {
            ids.push(',');
            hash.push(',');
        }
        let id = quoted(id);
        ids.push_str(&id);
        hash.push_str(&id);
        hash.push(':');
        hash.push_str(info.unwrap_or(RawValue::NULL).get());
        count += 1;
    }
    let data = format!(r#"{{"presence":{{"ids":[{ids}],"hash":{{{hash}}},"count":{count}}}}}"#);
    Frame::new("pusher_internal:subscription_succeeded", data.len())
        .channel(channel)
        .text(&data)
}

/// `pusher_internal:member_added`, for everybody but the new member. Without `info` the key `user_info` is left out.
pub fn member_added(channel: &ChannelName, user_id: &str, info: Option<&RawValue>) -> String {
    let user_id = quoted(user_id);
    let data = match info {
        Some(info) => format!(r#"{{"user_id":{user_id},"user_info":{info}}}"#),
        None => format!(r#"{{"user_id":{user_id}}}"#),
    };
    Frame::new("pusher_internal:member_added", data.len())
        .channel(channel)
        .text(&data)
}

/// `pusher_internal:member_removed`: the last connection of a user has left.
pub fn member_removed(channel: &ChannelName, user_id: &str) -> String {
    let data = format!(r#"{{"user_id":{}}}"#, quoted(user_id));
    Frame::new("pusher_internal:member_removed", data.len())
        .channel(channel)
        .text(&data)
}

/// `pusher_internal:subscription_count`, for every kind of channel but presence.
pub fn subscription_count(channel: &ChannelName, count: u64) -> String {
    let data = format!(r#"{{"subscription_count":{count}}}"#);
    Frame::new("pusher_internal:subscription_count", data.len())
        .channel(channel)
        .text(&data)
}

/// `pusher:cache_miss`: the cache channel has no last event. It has a channel and no data.
pub fn cache_miss(channel: &ChannelName) -> String {
    Frame::new("pusher:cache_miss", 0).channel(channel).end()
}

/// `pusher:signin_success`: `user_data` is the string that was signed.
///
/// Clients accept `data` as an object and as a string; it is a string here, as with the other answers to requests.
pub fn signin_success(user_data: &str) -> String {
    let data = format!(r#"{{"user_data":{}}}"#, quoted(user_data));
    Frame::new("pusher:signin_success", data.len()).text(&data)
}

/// Users of a watchlist, by what has become of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched<'a, Id> {
    /// They have a connection now.
    Online(&'a [Id]),
    /// They have none any more.
    Offline(&'a [Id]),
}

/// `pusher_internal:watchlist_events`: first the present state, later the changes. Empty lists are left out.
pub fn watchlist_events<Id: AsRef<str>>(events: &[Watched<'_, Id>]) -> String {
    let event = |event: &Watched<'_, Id>| {
        let (name, ids) = match event {
            Watched::Online(ids) => ("online", ids),
            Watched::Offline(ids) => ("offline", ids),
        };
        let ids: Vec<String> = ids.iter().map(|id| quoted(id.as_ref())).collect();
        (!ids.is_empty()).then(|| format!(r#"{{"name":"{name}","user_ids":[{}]}}"#, ids.join(",")))
    };
    let events: Vec<String> = events.iter().filter_map(event).collect();
    let data = format!(r#"{{"events":[{}]}}"#, events.join(","));
    Frame::new("pusher_internal:watchlist_events", data.len()).text(&data)
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

/// The publisher's data in a text that [`event`] made.
pub fn data_of(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Text {
        data: String,
    }
    serde_json::from_str(text).ok().map(|Text { data }| data)
}

/// An event from another client. `data` keeps the JSON type in which it came (Pusher protocol, "Client events").
///
/// `user_id` is what the server knows of the sender, on presence channels only: never the sender's own claim.
pub fn client_event(channel: &ChannelName, event: &str, data: &RawValue, user_id: Option<&str>) -> String {
    let frame = Frame::new(event, data.get().len()).channel(channel);
    match user_id {
        Some(user_id) => frame.user(user_id).json(data.get()),
        None => frame.json(data.get()),
    }
}

/// `pusher:error` 4301: a client event came too soon after others (Pusher protocol, "Error codes").
pub fn rate_limited(event: &EventName, retry_after_ms: u64) -> String {
    let message = format!("client event {event} is over the rate limit; try again in {retry_after_ms} ms");
    error(&message, Some(OVER_RATE))
}

/// `pusher:error` 4302: the watchlist was longer than the protocol has it (Pusher protocol, "Watchlist events").
pub fn watchlist_too_long() -> String {
    let message = format!("the watchlist holds over {MAX_WATCHLIST} user ids; only the first {MAX_WATCHLIST} count");
    error(&message, Some(4302))
}

/// Pusher protocol, "Error codes": a client event is rejected for its rate. Clients know no other code for what comes too fast.
pub(super) const OVER_RATE: u16 = 4301;

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

    fn user(mut self, id: &str) -> Self {
        self.raw(r#","user_id":"#);
        self.string(id);
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

pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("writing a string to memory cannot fail")
}

#[cfg(test)]
mod tests;
