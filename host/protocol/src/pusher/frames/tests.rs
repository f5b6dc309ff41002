//! The texts beside those of the documents, and what they must carry unharmed.

use serde_json::{Value, value::RawValue};

use super::{
    Duration, Watched, cache_miss, client_event, connection_established, error, event, member_added, member_removed,
    ping, pong, presence_succeeded, rate_limited, signin_success, subscription_count, subscription_error,
    subscription_succeeded, watchlist_events, watchlist_too_long,
};
use crate::names::{ChannelName, EventName, SocketId};

fn room() -> ChannelName {
    ChannelName::parse("private-room").expect("well-formed")
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.into()).expect(json)
}

/// `data` as the client reads it: the JSON in its string.
fn inner_data(frame: &str) -> Value {
    let frame: Value = serde_json::from_str(frame).expect(frame);
    let data = frame["data"].as_str().expect("a string");
    serde_json::from_str(data).expect(data)
}

// Pusher protocol, "Channels events": which `data` is a string and which an object.
#[test]
fn frames_read_as_the_documents_show_them() {
    let id = SocketId { high: 12, low: 34 };
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
            client_event(&room(), "client-x", &raw(r#"{"a": [1]}"#), None),
            r#"{"event":"client-x","channel":"private-room","data":{"a": [1]}}"#,
        ),
        (
            client_event(&room(), "client-x", &raw(r#""text""#), None),
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

// Pusher protocol, "Presence channel events", "Cache channels", "User authentication", "Watchlist events".
#[test]
fn frames_about_users_read_as_the_documents_show_them() {
    let info = raw(r#"{"name": "Zoë"}"#);
    for (frame, expected) in [
        (
            presence_succeeded(&room(), []),
            r#"{"event":"pusher_internal:subscription_succeeded","channel":"private-room","data":"{\"presence\":{\"ids\":[],\"hash\":{},\"count\":0}}"}"#,
        ),
        (
            presence_succeeded(&room(), [("1", Some(&*info)), ("2", None)]),
            r#"{"event":"pusher_internal:subscription_succeeded","channel":"private-room","data":"{\"presence\":{\"ids\":[\"1\",\"2\"],\"hash\":{\"1\":{\"name\": \"Zoë\"},\"2\":null},\"count\":2}}"}"#,
        ),
        (
            member_added(&room(), "1", Some(&info)),
            r#"{"event":"pusher_internal:member_added","channel":"private-room","data":"{\"user_id\":\"1\",\"user_info\":{\"name\": \"Zoë\"}}"}"#,
        ),
        (
            member_added(&room(), "1", None),
            r#"{"event":"pusher_internal:member_added","channel":"private-room","data":"{\"user_id\":\"1\"}"}"#,
        ),
        (
            member_removed(&room(), "1"),
            r#"{"event":"pusher_internal:member_removed","channel":"private-room","data":"{\"user_id\":\"1\"}"}"#,
        ),
        (
            subscription_count(&room(), 7),
            r#"{"event":"pusher_internal:subscription_count","channel":"private-room","data":"{\"subscription_count\":7}"}"#,
        ),
        (
            cache_miss(&room()),
            r#"{"event":"pusher:cache_miss","channel":"private-room"}"#,
        ),
        (
            signin_success(r#"{"id":"1"}"#),
            r#"{"event":"pusher:signin_success","data":"{\"user_data\":\"{\\\"id\\\":\\\"1\\\"}\"}"}"#,
        ),
        (
            watchlist_events(&[Watched::Online(&["1", "2"]), Watched::Offline(&["3"])]),
            r#"{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"1\",\"2\"]},{\"name\":\"offline\",\"user_ids\":[\"3\"]}]}"}"#,
        ),
        (
            watchlist_events(&[Watched::Online(&[]), Watched::Offline(&["3"])]),
            r#"{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"offline\",\"user_ids\":[\"3\"]}]}"}"#,
        ),
        (
            watchlist_too_long(),
            r#"{"event":"pusher:error","data":{"message":"the watchlist holds over 100 user ids; only the first 100 count","code":4302}}"#,
        ),
        (
            client_event(&room(), "client-x", &raw(r#"{"user_id":"2"}"#), Some("1")),
            r#"{"event":"client-x","channel":"private-room","user_id":"1","data":{"user_id":"2"}}"#,
        ),
    ] {
        assert_eq!(frame, expected);
    }
}

// Ids are any text: they must not break out of their strings.
#[test]
fn ids_of_users_survive_any_content() {
    let id = "\"},\\\n\u{1}✓";
    let joined = inner_data(&presence_succeeded(&room(), [(id, None)]));
    assert_eq!(joined["presence"]["ids"][0], id);
    assert_eq!(joined["presence"]["hash"][id], Value::Null);
    assert_eq!(inner_data(&member_added(&room(), id, None))["user_id"], id);
    assert_eq!(inner_data(&member_removed(&room(), id))["user_id"], id);
    assert_eq!(inner_data(&signin_success(id))["user_data"], id);
    let watched = inner_data(&watchlist_events(&[Watched::Online(&[id])]));
    assert_eq!(watched["events"][0]["user_ids"][0], id);
}
