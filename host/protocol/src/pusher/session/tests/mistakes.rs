//! What no client should send: everything is answered, and briefly.

use std::time::Instant;

use super::{Limits, Session, Settings, intent, settings};
use crate::names::ChannelName;

const MESSAGE: &str = "pusher:error null a message must be a JSON object with a string `event`, and where needed \
                       `data` and a string `channel`";
const SUBSCRIBE: &str = "pusher:error null `data` of pusher:subscribe must be an object with a string `channel`, \
                         and where needed the strings `auth` and `channel_data`";

#[test]
fn what_is_not_understood_is_answered() {
    for (sent, said) in [
        (
            "",
            "pusher:error null not valid JSON: EOF while parsing a value at line 1 column 0",
        ),
        (
            "hello",
            "pusher:error null not valid JSON: expected value at line 1 column 1",
        ),
        (
            "{",
            "pusher:error null not valid JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("{}", MESSAGE),
        ("null", MESSAGE),
        ("\"pusher:ping\"", MESSAGE),
        (r#"["pusher:ping",null,null]"#, MESSAGE),
        (r#"{"event":null}"#, MESSAGE),
        (r#"{"event":7}"#, MESSAGE),
        (r#"{"event":"pusher:ping","channel":7}"#, MESSAGE),
        (r#"{"event":"pusher:ping","event":"pusher:ping"}"#, MESSAGE),
        (r#"{"event":"pusher:subscribe"}"#, SUBSCRIBE),
        (r#"{"event":"pusher:subscribe","data":{}}"#, SUBSCRIBE),
        (r#"{"event":"pusher:subscribe","data":7}"#, SUBSCRIBE),
        (r#"{"event":"pusher:subscribe","data":["news"]}"#, SUBSCRIBE),
        (r#"{"event":"pusher:subscribe","data":"\ud800"}"#, SUBSCRIBE),
        (r#"{"event":"pusher:subscribe","data":{"channel":7}}"#, SUBSCRIBE),
        (
            r#"{"event":"pusher:subscribe","data":{"channel":"a","auth":7}}"#,
            SUBSCRIBE,
        ),
        (
            r#"{"event":"pusher:subscribe","data":{"channel":"a","channel_data":{}}}"#,
            SUBSCRIBE,
        ),
        (
            r#"{"event":"pusher:subscribe","data":"news"}"#,
            "pusher:error null not valid JSON: expected ident at line 1",
        ),
        (
            r#"{"event":"pusher:subscribe","data":{"channel":""}}"#,
            "pusher:error null channel name is empty",
        ),
        (
            r#"{"event":"pusher:unsubscribe","data":{}}"#,
            "pusher:error null `data` of pusher:unsubscribe must be",
        ),
        (r#"{"event":""}"#, "pusher:error null event name is empty"),
        (
            r#"{"event":"message"}"#,
            "pusher:error null unknown event message; pusher:subscribe, pusher:unsub",
        ),
        (
            r#"{"event":"pusher:nonsense"}"#,
            "pusher:error null unknown event pusher:nonsense; ",
        ),
        (
            r#"{"event":"pusher_internal:x"}"#,
            "pusher:error null unknown event pusher_internal:x; ",
        ),
    ] {
        let mut session = Session::new(settings(), Instant::now());
        let answer = intent(session.receive(sent, Instant::now()));
        assert!(answer.starts_with(said), "{sent}\n  {answer}\n  {said}");
        assert_eq!(session.channels().count(), 0, "{sent}");
    }
}

// Neither the stack nor the answer may grow with what a client sends.
#[test]
fn hostile_messages_are_answered_briefly() {
    let mut session = Session::new(
        Settings {
            limits: Limits {
                max_event_bytes: 1 << 20,
                ..Limits::PUSHER
            },
            ..settings()
        },
        Instant::now(),
    );
    session.receive(
        r#"{"event":"pusher:subscribe","data":{"channel":"private-a"}}"#,
        Instant::now(),
    );
    assert!(session.granted(&ChannelName::parse("private-a").expect("well-formed"), 0));
    let long = "x".repeat(100_000);
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let event = |data: &str| format!(r#"{{"event":"client-x","channel":"private-a","data":{data}}}"#);
    for sent in [
        format!(r#"{{"event":"{long}"}}"#),
        format!(r#"{{"event":"client-x","channel":"{long}"}}"#),
        format!(r#"{{"event":["{long}"]}}"#),
        format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{long}"}}}}"#),
        format!(r#"{{"event":"pusher:subscribe","data":"{long}"}}"#),
        format!(r#"{{"event":"pusher:subscribe","data":{}}}"#, nested(50_000)),
        nested(50_000),
        event(&nested(129)),
        event(&nested(50_000)),
    ] {
        let answer = intent(session.receive(&sent, Instant::now()));
        assert!(answer.starts_with("pusher:error") && answer.len() < 300, "{answer}");
    }
    for fine in [
        nested(128),
        format!("[{}1]", "[],".repeat(1000)),
        format!(r#""\"{}""#, "[".repeat(1000)),
    ] {
        let answer = intent(session.receive(&event(&fine), Instant::now()));
        assert!(answer.starts_with("event client-x"), "{answer}");
    }
}
