//! Conversations as scripts: what the client sends and when, what the session says.
//!
//! A line is `sent | said`. Left of the bar stands a JSON text from the client, or a word in brackets: the verdict on a
//! subscription or a signin, the passing of time, a WebSocket-level sign of life. Right of it stands the intent; replies
//! by their event and what matters in them.

mod events;
mod idle;
mod mistakes;
mod presence;
mod users;

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Features, Intent, Limits, Member, Session, Settings, Signin, Subscribe, Subscription, Tick};
use crate::names::{ChannelName, EventName, SocketId};

fn settings() -> Settings {
    let defaults = Settings::new(SocketId { high: 1, low: 2 });
    Settings {
        features: Features {
            client_events: true,
            user_authentication: true,
            watchlist: true,
        },
        limits: Limits {
            max_event_bytes: 10,
            max_channels: 3,
            max_presence_member_bytes: 8,
            ..Limits::PUSHER
        },
        ..defaults
    }
}

fn check(script: &str) {
    check_with(settings(), script);
}

fn check_with(settings: Settings, script: &str) {
    let mut now = Instant::now();
    let mut session = Session::new(settings, now);
    // A signin waits for its verdict.
    let mut asked = None;
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sent, expected) = line
            .split_once(" | ")
            .unwrap_or_else(|| (line.trim_end_matches('|'), ""));
        let said = match sent.trim() {
            "[signed in]" => signed_in(&mut session, &mut asked),
            sent => step(&mut session, sent, &mut now, &mut asked),
        };
        assert_eq!(said, expected.trim(), "{line}");
    }
}

fn signed_in(session: &mut Session, asked: &mut Option<Signin>) -> String {
    let told = session.signed_in(asked.take().expect("a signin"));
    let texts = told.unwrap_or_else(|refusal| vec![refusal]);
    texts.iter().map(|text| reply(text)).collect::<Vec<_>>().join("; ")
}

/// Who the client of the pending request will be: `CHANNEL`, or `CHANNEL as ID` or `CHANNEL as ID INFO` if somebody names it.
fn appoint(session: &mut Session, words: &str) -> String {
    let (channel, named) = words
        .split_once(" as ")
        .map_or((words, None), |(channel, named)| (channel, Some(named)));
    let named = named.map(|named| {
        named
            .split_once(' ')
            .map_or((named, None), |(id, info)| (id, Some(info)))
    });
    let channel = ChannelName::parse(channel).expect(channel);
    let ticket = session.pending_ticket(&channel).expect("a request that waits");
    let mut request = Subscribe {
        channel,
        auth: String::new(),
        channel_data: None,
        member: None,
        ticket,
    };
    match session.appoint(&mut request, named) {
        Ok(()) => member(request.member).trim_start().to_owned(),
        Err((status, error)) => {
            let text = session.subscription_refused(&request.channel, ticket, status, &error);
            reply(&text.expect("it still waits"))
        }
    }
}

fn step(session: &mut Session, sent: &str, now: &mut Instant, asked: &mut Option<Signin>) -> String {
    let Some(words) = sent.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        let heard = session.receive(sent, *now);
        if let Intent::Signin(signin) = &heard {
            *asked = Some(signin.clone());
        }
        return intent(heard);
    };
    let (verb, object) = words.split_once(' ').unwrap_or((words, ""));
    let channel = || ChannelName::parse(object).expect(object);
    match verb {
        "greet" => reply(&session.greet()),
        "grant" => {
            let ticket = session.pending_ticket(&channel()).unwrap_or(u32::MAX);
            let granted = session.granted(&channel(), ticket);
            if granted { "granted".into() } else { String::new() }
        }
        "refuse" => {
            let ticket = session.pending_ticket(&channel()).unwrap_or(u32::MAX);
            let text = session.subscription_refused(&channel(), ticket, 401, "bad signature");
            text.map(|text| reply(&text)).unwrap_or_default()
        }
        "appoint" => appoint(session, object),
        "revoke" => {
            let text = session.subscription_revoked(&channel(), 401, "too late");
            text.map(|text| reply(&text)).unwrap_or_default()
        }
        "member" => session.member_id(&channel()).unwrap_or_default().to_owned(),
        "user" => session.user().map(|user| user.id.clone()).unwrap_or_default(),
        "refuse-signin" => reply(&session.signin_refused("bad signature")),
        "limit" => reply(&session.rate_limited(&EventName::parse(object).expect(object), 100)),
        "too-many" => reply(&session.message_refused(object, 429, "too many messages")),
        "no-count" => reply(&session.message_refused(object, 503, "the door is closed")),
        "channels" => session
            .channels()
            .map(ChannelName::as_str)
            .collect::<Vec<_>>()
            .join(" "),
        "subscribed?" => format!(
            "{} {}",
            session.is_subscribed(&channel()),
            session.pending_ticket(&channel()).is_some()
        ),
        "client-events-off" => {
            session.settings.features.client_events = false;
            String::new()
        }
        "heard" => {
            session.heard(*now);
            String::new()
        }
        "wait" => {
            *now += Duration::from_secs(object.parse().expect(object));
            match idle::tick(session, *now) {
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
            format!(
                "subscribe {} auth {:?}{data}{}",
                ask.channel,
                ask.auth,
                member(ask.member)
            )
        }
        Intent::Signin(ask) => {
            let info = ask.user.info.map(|info| format!(" {info}")).unwrap_or_default();
            let watched = match ask.user.watchlist.join(" ") {
                none if none.is_empty() => none,
                ids => format!(" watching {ids}"),
            };
            format!(
                "signin {}{info}{watched} auth {:?} data {}",
                ask.user.id, ask.auth, ask.user_data
            )
        }
        Intent::Unsubscribe(channel) => format!("unsubscribe {channel}"),
        Intent::ClientEvent(sent) => {
            let user = sent.user_id.map(|id| format!(" by {id}")).unwrap_or_default();
            format!("event {} on {}{user}: {}", sent.event, sent.channel, sent.data)
        }
        Intent::Close(close) => format!("close {}", close.code()),
    }
}

fn member(member: Option<Member>) -> String {
    let Some(member) = member else { return String::new() };
    let info = member.user_info.map(|info| format!(" {info}")).unwrap_or_default();
    format!(" as {}{info}", member.user_id)
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
        [grant news]       | granted
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
        [grant private-a]  | granted
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
        [grant news]       | granted
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
        [grant news]       | granted
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

// Pusher protocol, "Cache channels": asked for like any other; a private or presence one needs what its parent needs.
#[test]
fn cache_channels_are_channels() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"cache-a"}}                    | subscribe cache-a auth ""
        {"event":"pusher:subscribe","data":{"channel":"private-cache-a","auth":"s"}} | subscribe private-cache-a auth "s"
        {"event":"pusher:subscribe","data":{"channel":"presence-cache-a"}}           | subscribe presence-cache-a auth ""
        [appoint presence-cache-a] | pusher:subscription_error presence-cache-a 401 AuthError a presence channel needs `channel_data` with a `user_id`, or a client that is signed in
        {"event":"pusher:subscribe","data":{"channel":"private-encrypted-cache-a","auth":"s"}} | subscribe private-encrypted-cache-a auth "s"
    "#,
    );
}

// Not documented, but needed: a late verdict must not answer a later request for the same channel.
#[test]
fn a_verdict_answers_its_own_request_only() {
    let now = Instant::now();
    let mut session = Session::new(settings(), now);
    let news = ChannelName::parse("news").expect("well-formed");
    let mut ask = || match session.receive(r#"{"event":"pusher:subscribe","data":{"channel":"news"}}"#, now) {
        Intent::Subscribe(ask) => {
            session.receive(r#"{"event":"pusher:unsubscribe","data":{"channel":"news"}}"#, now);
            ask.ticket
        }
        other => panic!("{other:?}"),
    };
    let (first, second) = (ask(), ask());
    assert_ne!(first, second);
    let Intent::Subscribe(third) = session.receive(r#"{"event":"pusher:subscribe","data":{"channel":"news"}}"#, now)
    else {
        panic!("not a subscribe");
    };
    for stale in [first, second, third.ticket.wrapping_add(1)] {
        assert!(!session.granted(&news, stale));
        assert_eq!(session.subscription_refused(&news, stale, 401, "no"), None);
    }
    let other = ChannelName::parse("other").expect("well-formed");
    assert!(!session.granted(&other, third.ticket));
    assert_eq!(session.pending_ticket(&news), Some(third.ticket));
    assert!(session.granted(&news, third.ticket));
    assert_eq!(session.pending_ticket(&news), None);
    assert!(!session.granted(&news, third.ticket), "granted twice");
    assert_eq!(session.subscription_refused(&news, third.ticket, 401, "no"), None);
    assert!(session.is_subscribed(&news));
}

#[test]
fn a_permission_can_be_taken_back() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"news"}} | subscribe news auth ""
        [grant news]  | granted
        [refuse news] |
        [revoke news] | pusher:subscription_error news 401 AuthError too late
        [revoke news] |
        {"event":"pusher:subscribe","data":{"channel":"news"}} | subscribe news auth ""
        [revoke news] | pusher:subscription_error news 401 AuthError too late
        [channels]    |
    "#,
    );
}

// The operator's limits on names hold for subscriptions, client events and goodbyes alike.
#[test]
fn names_have_the_limits_of_the_settings() {
    let mut settings = settings();
    settings.limits.max_channel_name_bytes = 9;
    settings.limits.max_event_name_bytes = 8;
    check_with(
        settings,
        r##"
        {"event":"pusher:subscribe","data":{"channel":"private-ab"}}   | pusher:error null channel name is 10 characters long; at most 9 are accepted
        {"event":"pusher:unsubscribe","data":{"channel":"private-ab"}} | pusher:error null channel name is 10 characters long; at most 9 are accepted
        {"event":"pusher:subscribe","data":{"channel":"private-a"}}    | subscribe private-a auth ""
        [grant private-a] | granted
        {"event":"client-x","channel":"private-a","data":1}  | event client-x on private-a: 1
        {"event":"client-xy","channel":"private-a","data":1} | pusher:error null event name is 9 bytes long; at most 8 are accepted
        {"event":"client-x","channel":"private-ab","data":1} | pusher:error null channel name is 10 characters long; at most 9 are accepted
    "##,
    );
}

// Design, "Idle is free": a connection with one channel costs the struct and one entry.
#[test]
fn a_session_is_small() {
    assert!(size_of::<Session>() <= 200, "{}", size_of::<Session>());
    assert!(size_of::<Subscription>() <= 40, "{}", size_of::<Subscription>());
    let mut session = Session::new(settings(), Instant::now());
    session.receive(r#"{"event":"pusher:subscribe","data":{"channel":"a"}}"#, Instant::now());
    assert_eq!(session.subscriptions.capacity(), 1);
}
