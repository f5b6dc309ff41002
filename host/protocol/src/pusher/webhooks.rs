//! The events of webhooks: one JSON object each, for the list in `{"time_ms":…,"events":[…]}`.
//!
//! Which of them an app wants, when they are due and how they are signed and sent is decided elsewhere.
//!
//! Rule: Pusher documents, "Webhooks".

use super::{frames::quoted, session::ClientEvent};
use crate::names::{ChannelName, SocketId};

/// `channel_occupied`: the channel has its first subscriber in the cluster.
pub fn channel_occupied(channel: &ChannelName) -> String {
    about("channel_occupied", channel, "")
}

/// `channel_vacated`: the channel has lost its last subscriber in the cluster.
pub fn channel_vacated(channel: &ChannelName) -> String {
    about("channel_vacated", channel, "")
}

/// `cache_miss`: somebody subscribed to a cache channel that holds no event.
pub fn cache_miss(channel: &ChannelName) -> String {
    about("cache_miss", channel, "")
}

/// `member_added`: a user has come to a presence channel with a first connection.
pub fn member_added(channel: &ChannelName, user_id: &str) -> String {
    about("member_added", channel, &format!(r#","user_id":{}"#, quoted(user_id)))
}

/// `member_removed`: a user has left a presence channel with the last connection.
pub fn member_removed(channel: &ChannelName, user_id: &str) -> String {
    about("member_removed", channel, &format!(r#","user_id":{}"#, quoted(user_id)))
}

/// `subscription_count`: the number of subscribers has changed.
pub fn subscription_count(channel: &ChannelName, count: u64) -> String {
    about(
        "subscription_count",
        channel,
        &format!(r#","subscription_count":{count}"#),
    )
}

/// `client_event`: a client has sent an event. `data` is as the client sent it; `user_id` on presence channels only.
pub fn client_event(event: &ClientEvent, sender: SocketId) -> String {
    let user_id = event.user_id.as_deref().map(quoted);
    let user_id = user_id.map(|id| format!(r#","user_id":{id}"#)).unwrap_or_default();
    let rest = format!(
        r#","event":{},"data":{},"socket_id":"{sender}"{user_id}"#,
        quoted(event.event.as_str()),
        event.data
    );
    about("client_event", &event.channel, &rest)
}

/// `rest` is either empty or begins with a comma.
fn about(name: &str, channel: &ChannelName, rest: &str) -> String {
    format!(r#"{{"name":"{name}","channel":{}{rest}}}"#, quoted(channel.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::{
        ClientEvent, cache_miss, channel_occupied, channel_vacated, client_event, member_added, member_removed,
        subscription_count,
    };
    use crate::names::{ChannelName, EventName, SocketId};

    // Pusher documents, "Webhooks": the keys of each event.
    #[test]
    fn events_read_as_the_documents_show_them() {
        let room = ChannelName::parse("presence-room").expect("well-formed");
        let sender = SocketId { high: 1, low: 2 };
        let sent = |data: &str, user_id: Option<&str>| ClientEvent {
            channel: room.clone(),
            event: EventName::parse("client-\"x\"").expect("well-formed"),
            data: RawValue::from_string(data.into()).expect(data),
            user_id: user_id.map(str::to_owned),
        };
        for (event, expected) in [
            (
                channel_occupied(&room),
                r#"{"name":"channel_occupied","channel":"presence-room"}"#,
            ),
            (
                channel_vacated(&room),
                r#"{"name":"channel_vacated","channel":"presence-room"}"#,
            ),
            (cache_miss(&room), r#"{"name":"cache_miss","channel":"presence-room"}"#),
            (
                member_added(&room, "a\"b"),
                r#"{"name":"member_added","channel":"presence-room","user_id":"a\"b"}"#,
            ),
            (
                member_removed(&room, "1"),
                r#"{"name":"member_removed","channel":"presence-room","user_id":"1"}"#,
            ),
            (
                subscription_count(&room, 3),
                r#"{"name":"subscription_count","channel":"presence-room","subscription_count":3}"#,
            ),
            (
                client_event(&sent(r#"{"a": 1}"#, Some("1")), sender),
                r#"{"name":"client_event","channel":"presence-room","event":"client-\"x\"","data":{"a": 1},"socket_id":"1.2","user_id":"1"}"#,
            ),
            (
                client_event(&sent(r#""text""#, None), sender),
                r#"{"name":"client_event","channel":"presence-room","event":"client-\"x\"","data":"text","socket_id":"1.2"}"#,
            ),
        ] {
            assert_eq!(event, expected);
        }
    }
}
