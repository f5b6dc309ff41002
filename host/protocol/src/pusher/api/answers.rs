//! The JSON texts that answer the HTTP API.
//!
//! A count that was not asked for, or that nobody knows (an instance did not answer), is left out: clients read an
//! absent count as unknown, and a number that is made up would be worse.
//!
//! Rule: Pusher documents, "HTTP API reference", the successful responses.

use std::borrow::Cow;

use serde::Serialize;

use super::Info;
use crate::{names::ChannelName, pusher::frames::quoted};

/// The answer to a request that was carried out and asked for nothing else.
pub const DONE: &str = "{}";

/// How many are in a channel, as far as it was asked for and is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Distinct users in the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_count: Option<u64>,
    /// Subscribed connections in the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_count: Option<u64>,
}

impl Counts {
    /// Leaves out what `info` did not ask for.
    pub fn asked_for(self, info: Info) -> Self {
        Self {
            user_count: self.user_count.filter(|_| info.user_count),
            subscription_count: self.subscription_count.filter(|_| info.subscription_count),
        }
    }
}

/// The answer to POST `events`: [`DONE`] unless the request asked for `info`.
pub fn events<'a>(info: Info, channels: impl IntoIterator<Item = (&'a ChannelName, Counts)>) -> Cow<'static, str> {
    if info.is_empty() {
        return DONE.into();
    }
    let asked = channels
        .into_iter()
        .map(|(channel, counts)| (channel, counts.asked_for(info)));
    self::channels(asked).into()
}

/// The answer to POST `batch_events`: one object for each event, in their order, empty where the event asked for
/// nothing; [`DONE`] if none did.
pub fn batch(events: impl IntoIterator<Item = (Info, Counts)>) -> Cow<'static, str> {
    let events: Vec<(Info, Counts)> = events.into_iter().collect();
    if events.iter().all(|(info, _)| info.is_empty()) {
        return DONE.into();
    }
    let counts = events.into_iter().map(|(info, counts)| json(&counts.asked_for(info)));
    format!(r#"{{"batch":[{}]}}"#, joined(counts)).into()
}

/// The answer to GET `channels`: the occupied ones by name.
pub fn channels<'a>(channels: impl IntoIterator<Item = (&'a ChannelName, Counts)>) -> String {
    let channels = channels
        .into_iter()
        .map(|(channel, counts)| format!("{}:{}", quoted(channel.as_str()), json(&counts)));
    format!(r#"{{"channels":{{{}}}}}"#, joined(channels))
}

/// One channel, as GET `channels/{name}` tells of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Channel<'a> {
    /// Whether anybody is subscribed.
    pub occupied: bool,
    /// Left out where not asked for or unknown.
    #[serde(flatten)]
    pub counts: Counts,
    /// The last event of a cache channel.
    #[serde(skip_serializing_if = "Cache::is_unasked")]
    pub cache: Cache<'a>,
}

/// What is known about the last event of a cache channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Cache<'a> {
    /// Nobody wants to know: the key is left out.
    Unasked,
    /// There is none: `null`.
    Empty,
    /// The last event.
    Kept {
        /// The publisher's string.
        data: &'a str,
        /// Seconds until it is forgotten.
        ttl: u64,
    },
}

impl Cache<'_> {
    fn is_unasked(&self) -> bool {
        *self == Self::Unasked
    }
}

/// The answer to GET `channels/{name}`.
pub fn channel(channel: &Channel<'_>) -> String {
    json(channel)
}

/// The answer to GET `channels/{name}/users`: distinct users.
pub fn users<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let users = ids.into_iter().map(|id| format!(r#"{{"id":{}}}"#, quoted(id)));
    format!(r#"{{"users":[{}]}}"#, joined(users))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("writing numbers and strings to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use super::{Cache, Channel, Counts, Info, batch, channel, channels, events, users};
    use crate::names::ChannelName;

    const NOTHING: Info = Info {
        user_count: false,
        subscription_count: false,
        cache: false,
    };
    const USERS: Info = Info {
        user_count: true,
        ..NOTHING
    };
    const BOTH: Info = Info {
        subscription_count: true,
        ..USERS
    };

    fn counts(user_count: Option<u64>, subscription_count: Option<u64>) -> Counts {
        Counts {
            user_count,
            subscription_count,
        }
    }

    // Pusher HTTP API: the successful response of each request.
    #[test]
    fn answers_read_as_the_documents_show_them() {
        let a = ChannelName::parse("presence-a").expect("well-formed");
        let b = ChannelName::parse("presence-b").expect("well-formed");
        let full = counts(Some(2), Some(3));
        let unknown = counts(None, None);
        let one = |cache| Channel {
            occupied: true,
            counts: full,
            cache,
        };
        for (answer, expected) in [
            (events(NOTHING, [(&a, full)]).into_owned(), "{}"),
            (
                events(USERS, [(&a, full), (&b, unknown)]).into_owned(),
                r#"{"channels":{"presence-a":{"user_count":2},"presence-b":{}}}"#,
            ),
            (
                events(BOTH, [(&a, full)]).into_owned(),
                r#"{"channels":{"presence-a":{"user_count":2,"subscription_count":3}}}"#,
            ),
            (batch([(NOTHING, full), (NOTHING, full)]).into_owned(), "{}"),
            (
                batch([(NOTHING, full), (USERS, full), (BOTH, unknown)]).into_owned(),
                r#"{"batch":[{},{"user_count":2},{}]}"#,
            ),
            (channels([]), r#"{"channels":{}}"#),
            (
                channels([(&a, full), (&b, unknown)]),
                r#"{"channels":{"presence-a":{"user_count":2,"subscription_count":3},"presence-b":{}}}"#,
            ),
            (
                channel(&one(Cache::Unasked)),
                r#"{"occupied":true,"user_count":2,"subscription_count":3}"#,
            ),
            (
                channel(&Channel {
                    occupied: false,
                    counts: unknown,
                    cache: Cache::Empty,
                }),
                r#"{"occupied":false,"cache":null}"#,
            ),
            (
                channel(&one(Cache::Kept {
                    data: r#"{"a":1}"#,
                    ttl: 30,
                })),
                r#"{"occupied":true,"user_count":2,"subscription_count":3,"cache":{"data":"{\"a\":1}","ttl":30}}"#,
            ),
            (users([]), r#"{"users":[]}"#),
            (users(["1", "a\"b"]), r#"{"users":[{"id":"1"},{"id":"a\"b"}]}"#),
        ] {
            assert_eq!(answer, expected);
        }
    }
}
