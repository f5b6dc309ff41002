//! Conversations as scripts: what the client sends and when, what the session says.
//!
//! A line is `sent | said`. Left of the bar stands a JSON text from the client, or a word in brackets: the verdict on a
//! subscription, the passing of time, a WebSocket-level sign of life. Right of it stands the intent; replies by their
//! event and what matters in them.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Intent, Session, Settings, Tick};
use crate::names::{ChannelName, EventName, SocketId};

fn settings() -> Settings {
    let defaults = Settings::new(SocketId { high: 1, low: 2 });
    Settings {
        client_events: true,
        max_event_bytes: 10,
        max_channels: 3,
        ..defaults
    }
}

fn check(script: &str) {
    let mut now = Instant::now();
    let mut session = Session::new(settings(), now);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sent, expected) = line
            .split_once(" | ")
            .unwrap_or_else(|| (line.trim_end_matches('|'), ""));
        let said = step(&mut session, sent.trim(), &mut now);
        assert_eq!(said, expected.trim(), "{line}");
    }
}

fn step(session: &mut Session, sent: &str, now: &mut Instant) -> String {
    let Some(words) = sent.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return intent(session.receive(sent, *now));
    };
    let (verb, object) = words.split_once(' ').unwrap_or((words, ""));
    let channel = || ChannelName::parse(object).expect(object);
    match verb {
        "greet" => reply(&session.greet()),
        "grant" => session
            .subscribed(&channel())
            .map(|text| reply(&text))
            .unwrap_or_default(),
        "refuse" => reply(&session.subscription_refused(&channel(), 401, "bad signature")),
        "limit" => reply(&session.rate_limited(&EventName::parse(object).expect(object), 100)),
        "channels" => session
            .channels()
            .map(ChannelName::as_str)
            .collect::<Vec<_>>()
            .join(" "),
        "subscribed?" => format!(
            "{} {}",
            session.is_subscribed(&channel()),
            session.is_pending(&channel())
        ),
        "client-events-off" => {
            session.settings.client_events = false;
            String::new()
        }
        "heard" => {
            session.heard(*now);
            String::new()
        }
        "wait" => {
            *now += Duration::from_secs(object.parse().expect(object));
            match session.tick(*now) {
                Tick::Idle => "idle".into(),
                Tick::Ping => "ping".into(),
                Tick::Close(close) => format!("close {}", close.code()),
            }
        }
        _ => panic!("no such step: {sent}"),
    }
}

fn intent(intent: Intent) -> String {
    match intent {
        Intent::Nothing => String::new(),
        Intent::Reply(text) => reply(&text),
        Intent::Subscribe(ask) => {
            let data = ask.channel_data.map(|data| format!(" data {data}")).unwrap_or_default();
            format!("subscribe {} auth {:?}{data}", ask.channel, ask.auth)
        }
        Intent::Unsubscribe(channel) => format!("unsubscribe {channel}"),
        Intent::ClientEvent(sent) => format!("event {} on {}: {}", sent.event, sent.channel, sent.data),
        Intent::Close(close) => format!("close {}", close.code()),
    }
}

/// Errors by code and message, everything else by event, channel and data.
fn reply(text: &str) -> String {
    let frame: Value = serde_json::from_str(text).expect("replies are JSON");
    let event = frame["event"].as_str().expect("an event");
    let channel = frame["channel"]
        .as_str()
        .map(|channel| format!(" {channel}"))
        .unwrap_or_default();
    let data = match &frame["data"] {
        Value::Object(error) if event == "pusher:error" => format!("{} {}", error["code"], text_of(&error["message"])),
        Value::Object(error) if event == "pusher:subscription_error" => {
            format!(
                "{} {} {}",
                error["status"],
                text_of(&error["type"]),
                text_of(&error["error"])
            )
        }
        data => text_of(data),
    };
    format!("{event}{channel} {data}")
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn a_client_is_greeted_with_its_id() {
    check(
        r#"
        [greet] | pusher:connection_established {"socket_id":"1.2","activity_timeout":120}
    "#,
    );
}

// Pusher protocol, "Ping and pong": `data` may be an object, a string or absent.
#[test]
fn a_ping_is_answered() {
    check(
        r#"
        {"event":"pusher:ping","data":{}}   | pusher:pong {}
        {"event":"pusher:ping","data":"{}"} | pusher:pong {}
        {"event":"pusher:ping"}             | pusher:pong {}
        {"event":"pusher:pong","data":{}}   |
    "#,
    );
}

// Pusher protocol, "Ping and pong": any message counts; 30 s for the answer; close 4201.
#[test]
fn a_silent_client_is_pinged_and_then_closed() {
    check(
        r#"
        [wait 119] | idle
        {"event":"pusher:pong"} |
        [wait 119] | idle
        [wait 1]   | ping
        [wait 29]  | idle
        [heard]    |
        [wait 1]   | idle
        [wait 118] | idle
        [wait 1]   | ping
        [wait 29]  | idle
        [wait 1]   | close 4201
        [wait 1]   | close 4201
    "#,
    );
}

// Pusher protocol, "pusher:subscribe": `data` as object or string; `auth` and `channel_data` pass untouched.
#[test]
fn a_subscription_is_asked_for_and_granted() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"auth":"","channel":"news"}} | subscribe news auth ""
        [subscribed? news] | false true
        [grant news]       | pusher_internal:subscription_succeeded news {}
        [subscribed? news] | true false
        [grant news]       |
        {"event":"pusher:subscribe","data":"{\"channel\":\"private-a\",\"auth\":\"k:s\"}"} | subscribe private-a auth "k:s"
        {"event":"pusher:subscribe","data":{"channel":"b","auth":null,"channel_data":"{ \"x\":1 }"}} | subscribe b auth "" data { "x":1 }
        [channels] | news private-a b
    "#,
    );
}

#[test]
fn a_refused_channel_can_be_asked_for_again() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"private-a","auth":"x"}} | subscribe private-a auth "x"
        [refuse private-a] | pusher:subscription_error private-a 401 AuthError bad signature
        [channels]         |
        [grant private-a]  |
        {"event":"pusher:subscribe","data":{"channel":"private-a","auth":"y"}} | subscribe private-a auth "y"
        [grant private-a]  | pusher_internal:subscription_succeeded private-a {}
    "#,
    );
}

// Pusher answers a second subscription with an error; the first one stays as it is, granted or pending.
#[test]
fn subscribing_twice_leaves_the_first_untouched() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"news"}} | subscribe news auth ""
        {"event":"pusher:subscribe","data":{"channel":"news"}} | pusher:error null Existing subscription to channel news
        [subscribed? news] | false true
        [grant news]       | pusher_internal:subscription_succeeded news {}
        {"event":"pusher:subscribe","data":{"channel":"news"}} | pusher:error null Existing subscription to channel news
        [subscribed? news] | true false
    "#,
    );
}

#[test]
fn unsubscribing_overtakes_a_pending_grant() {
    check(
        r#"
        {"event":"pusher:unsubscribe","data":{"channel":"news"}} |
        {"event":"pusher:subscribe","data":{"channel":"news"}}   | subscribe news auth ""
        {"event":"pusher:unsubscribe","data":{"channel":"news"}} | unsubscribe news
        [grant news]       |
        [subscribed? news] | false false
        {"event":"pusher:subscribe","data":{"channel":"news"}}   | subscribe news auth ""
        [grant news]       | pusher_internal:subscription_succeeded news {}
        {"event":"pusher:unsubscribe","data":"{\"channel\":\"news\"}"} | unsubscribe news
        {"event":"pusher:unsubscribe","data":{"channel":"news"}} |
        [channels]         |
    "#,
    );
}

#[test]
fn channels_are_bounded_pending_ones_included() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"a"}}   | subscribe a auth ""
        {"event":"pusher:subscribe","data":{"channel":"b"}}   | subscribe b auth ""
        {"event":"pusher:subscribe","data":{"channel":"c"}}   | subscribe c auth ""
        {"event":"pusher:subscribe","data":{"channel":"d"}}   | pusher:subscription_error d 429 LimitReached this connection is at its limit of 3 channels
        {"event":"pusher:unsubscribe","data":{"channel":"b"}} | unsubscribe b
        {"event":"pusher:subscribe","data":{"channel":"d"}}   | subscribe d auth ""
        [channels] | a c d
    "#,
    );
}

#[test]
fn what_is_not_supported_yet_is_refused_by_name() {
    check(
        r##"
        {"event":"pusher:subscribe","data":{"channel":"presence-a"}}       | pusher:subscription_error presence-a 501 NotSupported presence channels are not supported yet
        {"event":"pusher:subscribe","data":{"channel":"presence-cache-a"}} | pusher:subscription_error presence-cache-a 501 NotSupported presence channels are not supported yet
        {"event":"pusher:subscribe","data":{"channel":"private-cache-a"}}  | pusher:subscription_error private-cache-a 501 NotSupported cache channels are not supported yet
        {"event":"pusher:subscribe","data":{"channel":"private-encrypted-cache-a"}} | pusher:subscription_error private-encrypted-cache-a 501 NotSupported cache channels are not supported yet
        {"event":"pusher:subscribe","data":{"channel":"cache-a"}}          | pusher:subscription_error cache-a 501 NotSupported cache channels are not supported yet
        {"event":"pusher:subscribe","data":{"channel":"#server-to-user-1"}} | pusher:error null channel names that begin with # are reserved for signed-in users, which are not supported yet
        {"event":"pusher:signin","data":{"auth":"a","user_data":"{}"}}     | pusher:error 4009 pusher:signin is not supported yet
        {"event":"pusher:subscribe","data":{"channel":"private-encrypted-a","auth":"k:s"}} | subscribe private-encrypted-a auth "k:s"
        [channels] | private-encrypted-a
    "##,
    );
}

// Pusher protocol, "Client events": `data` is relayed in whatever JSON type it came.
#[test]
fn client_events_pass_on_channels_that_need_authorisation() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"private-a","auth":"k:s"}} | subscribe private-a auth "k:s"
        {"event":"client-x","channel":"private-a","data":{}} | pusher:error null client event client-x was not sent: this connection is not subscribed to private-a
        [grant private-a] | pusher_internal:subscription_succeeded private-a {}
        {"event":"client-x","channel":"private-a","data":{"a": 1}}  | event client-x on private-a: {"a": 1}
        {"event":"client-x","channel":"private-a","data":"{\"a\"}"} | event client-x on private-a: "{\"a\"}"
        {"event":"client-x","channel":"private-a","data":null}      | event client-x on private-a: null
        {"event":"client-x","channel":"private-a"}                  | event client-x on private-a: null
        {"event":"client-","channel":"private-a","data":[1,2]}      | event client- on private-a: [1,2]
        [limit client-x] | pusher:error 4301 client event client-x is over the rate limit; try again in 100 ms
    "#,
    );
}

// Pusher protocol, "Client events": each condition, refused with what would help.
#[test]
fn client_events_are_refused_with_a_reason() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"news"}} | subscribe news auth ""
        [grant news] | pusher_internal:subscription_succeeded news {}
        {"event":"pusher:subscribe","data":{"channel":"private-a","auth":"k:s"}} | subscribe private-a auth "k:s"
        [grant private-a] | pusher_internal:subscription_succeeded private-a {}
        {"event":"client-x","data":1}                            | pusher:error null client event client-x was not sent: it names no `channel`
        {"event":"client-x","channel":"news","data":1}           | pusher:error null client event client-x was not sent: news is public; private and presence channels are accepted
        {"event":"client-x","channel":"private-b","data":1}      | pusher:error null client event client-x was not sent: this connection is not subscribed to private-b
        {"event":"client-x","channel":"private-a","data":"1234567890"} | pusher:error null client event client-x was not sent: its `data` is 12 bytes of JSON; at most 10 are accepted
        {"event":"client-x","channel":"private a","data":1}      | pusher:error null channel name holds ' '; letters, digits and _ - = @ , . ; are accepted
        {"event":"client-\u0000","channel":"private-a","data":1} | pusher:error null event name holds a control character; anything else is accepted
        [client-events-off] |
        {"event":"client-x","channel":"private-a","data":1} | pusher:error null client event client-x was not sent: client events are not enabled for this app
    "#,
    );
}

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
            max_event_bytes: 1 << 20,
            ..settings()
        },
        Instant::now(),
    );
    session.receive(
        r#"{"event":"pusher:subscribe","data":{"channel":"private-a"}}"#,
        Instant::now(),
    );
    session.subscribed(&ChannelName::parse("private-a").expect("well-formed"));
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

// Design, "Idle is free": a connection with one channel costs the struct and one entry.
#[test]
fn a_session_is_small() {
    assert!(size_of::<Session>() <= 136, "{}", size_of::<Session>());
    let mut session = Session::new(settings(), Instant::now());
    session.receive(r#"{"event":"pusher:subscribe","data":{"channel":"a"}}"#, Instant::now());
    assert_eq!(session.subscriptions.capacity(), 1);
}
