//! What a client of the Pusher protocol sees on the wire.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::{Client, Heard, data};
use crate::harness::http::{Http, Publisher, get};
use crate::harness::server::{Server, Setup};

// Pusher protocol, "pusher:connection_established": `data` is a JSON string with `socket_id` and `activity_timeout`;
// libraries check the id against `^\d+\.\d+$`.
#[tokio::test]
async fn the_greeting_has_the_documented_form() {
    for (config, timeout) in [("", 120), ("activity_timeout = 33", 33)] {
        let server = Setup::default().config(config).start().await;
        let mut client = Client::open(
            server.port,
            "/app/app-key?protocol=7&client=js&version=8.6.0&flash=false",
        )
        .await;
        let greeting = client.expect("pusher:connection_established").await;
        let data = data(&greeting);
        assert_eq!(data["activity_timeout"], timeout);
        let id = data["socket_id"].as_str().expect("a string");
        let parts: Vec<&str> = id.split('.').collect();
        let digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        assert!(parts.len() == 2 && parts.iter().all(digits), "{id}");
        assert_eq!(greeting.get("channel"), None);
    }
}

// Pusher protocol, "Error codes": 4001 no such app, 4005 no such path, 4006 to 4008 wrong versions. If an error and a close code both come,
// they must agree.
#[tokio::test]
async fn a_connection_that_cannot_be_is_closed_with_the_reason() {
    let server = Server::start().await;
    for (path, code) in [
        ("/app/no-such-key?protocol=7", 4001),
        ("/ap/app-key?protocol=7", 4005),
        ("/elsewhere", 4005),
        ("/app/app-key?protocol=seven", 4006),
        ("/app/app-key?protocol=4", 4007),
        ("/app/app-key?protocol=8", 4007),
        ("/app/app-key", 4008),
        ("/app/app-key?client=js", 4008),
    ] {
        let mut client = Client::open(server.port, path).await;
        let error = client.expect("pusher:error").await;
        assert_eq!(error["data"]["code"], code, "{path}");
        assert_eq!(client.expect_close().await, code, "{path}");
    }
}

// Pusher protocol, "Ping and pong": pusher:ping is answered by pusher:pong. RFC 6455 §5.5.3: a pong bears the payload of
// the ping.
#[tokio::test]
async fn both_kinds_of_ping_are_answered() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    for message in [
        json!({ "event": "pusher:ping", "data": {} }),
        json!({ "event": "pusher:ping", "data": "{}" }),
        json!({ "event": "pusher:ping" }),
    ] {
        client.send(message).await;
        client.expect("pusher:pong").await;
    }
    client.send_frame(Message::Ping("are you there".into())).await;
    assert_eq!(client.hear().await, Heard::Pong(b"are you there".to_vec()));
}

// Pusher protocol, "Ping and pong": the server pings a client that it has not heard for the activity timeout.
#[tokio::test]
async fn a_silent_client_is_pinged() {
    let server = Setup::default().config("activity_timeout = 1").start().await;
    let mut client = Client::connect(server.port).await;
    client.expect("pusher:ping").await;
    client.send(json!({ "event": "pusher:pong", "data": {} })).await;
    client.expect("pusher:ping").await;
}

// Pusher protocol, "Ping and pong": 30 seconds for an answer, then the connection is closed with 4201. What other clients say
// is no answer of this one.
#[tokio::test]
async fn a_client_that_does_not_answer_is_closed_with_4201() {
    let server = Setup::default().config("activity_timeout = 1").start().await;
    let mut client = Client::connect(server.port).await;
    client.expect("pusher:ping").await;
    let pinged = Instant::now();
    let closed = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            match client.socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return u16::from(frame.code),
                Some(Ok(Message::Text(_))) => {}
                other => panic!("heard {other:?}"),
            }
        }
    });
    assert_eq!(closed.await.expect("it is closed in time"), 4201);
    assert!(pinged.elapsed() > Duration::from_secs(29), "{:?}", pinged.elapsed());
}

// Pusher protocol, "WebSocket connection": versions 5 to 7, and parameters that nobody knows do no harm. "Double encoding":
// `data` of what a client sends is an object or a string that holds one.
#[tokio::test]
async fn older_versions_and_both_encodings_are_understood() {
    let server = Server::start().await;
    for version in 5..=7 {
        let path = format!("/app/app-key?protocol={version}&client=x&version=0&flash=false&b=%20&c");
        let mut client = Client::open(server.port, &path).await;
        client.expect("pusher:connection_established").await;
        for data in [
            json!({ "channel": "room-1", "auth": "" }),
            json!("{\"channel\":\"room-2\"}"),
        ] {
            client.send(json!({ "event": "pusher:subscribe", "data": data })).await;
            client.expect("pusher_internal:subscription_succeeded").await;
        }
        let left = json!("{\"channel\":\"room-1\"}");
        client
            .send(json!({ "event": "pusher:unsubscribe", "data": left }))
            .await;
        client.ping().await;
        client.expect("pusher:pong").await;
        let mut publisher = Publisher::new(server.port).await;
        for channel in ["room-1", "room-2"] {
            publisher.publish(channel, channel, "").await;
        }
        client.expect("room-2").await;
    }
}

// RFC 6455 §7.4.1: 1003 for data that is not accepted, 1009 for a message that is too big; §5.5.1: a close is answered.
#[tokio::test]
async fn what_is_not_accepted_ends_the_connection_with_its_code() {
    let server = Server::start().await;
    let limit = 64 << 10;
    for (frame, code) in [
        (Message::binary(b"{}".to_vec()), 1003),
        (Message::text("x".repeat(limit + 1)), 1009),
        (Message::Close(None), 1000),
    ] {
        let mut client = Client::connect(server.port).await;
        client.send_frame(frame).await;
        assert_eq!(client.expect_close().await, code);
    }
    let mut client = Client::connect(server.port).await;
    client.send_frame(Message::text("x".repeat(limit))).await;
    client.expect("pusher:error").await;
    client.ping().await;
    client.expect("pusher:pong").await;
}

// Pusher protocol, "pusher:error": `data` is an object of `message` and `code`, which is null for most mistakes. "Never
// silence": what is not understood gets one, and the connection goes on.
#[tokio::test]
async fn nonsense_is_answered() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    for text in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"event":1}"#,
        r#"{"event":"no-such-event"}"#,
        r#"{"event":"pusher:subscribe"}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"no spaces"}}"#,
        r#"{"event":"client-x","channel":"room","data":{}}"#,
    ] {
        client.send_frame(Message::text(text)).await;
        let error = client.expect("pusher:error").await;
        assert!(error["data"]["message"].is_string(), "{text} gave {error}");
        let data = json!({ "message": error["data"]["message"], "code": null });
        assert_eq!(error, json!({ "event": "pusher:error", "data": data }), "{text}");
    }
    client.subscribe("room").await;
}

// RFC 9110 §15.5.22: 426 names the protocol to upgrade to. RFC 6455 §4.2.1: version 13, a key of 16 bytes.
#[tokio::test]
async fn a_request_that_is_no_upgrade_is_told_so() {
    let server = Server::start().await;
    let answer = get(server.port, "/app/app-key?protocol=7").await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.headers["upgrade"], "websocket");
    assert!(answer.error().contains("WebSocket"));

    let upgrade = |version, key| {
        format!(
            "GET /app/app-key?protocol=7 HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\
             sec-websocket-version: {version}\r\nsec-websocket-key: {key}\r\n\r\n"
        )
    };
    for (request, status) in [
        (upgrade("8", KEY), 426),
        (upgrade("13", "short"), 400),
        (upgrade("13", KEY), 101),
    ] {
        let mut http = Http::connect(server.port).await.expect("it listens");
        let answer = http.send(&request).await.expect("it answers");
        assert_eq!(answer.status, status, "{request}");
    }
}

// RFC 6455 §9.1: an extension that the answer does not name is declined. §4.2.2 has the accept key of this key.
#[tokio::test]
async fn compression_is_declined() {
    let server = Server::start().await;
    let mut http = Http::connect(server.port).await.expect("it listens");
    let request = format!(
        "GET /app/app-key?protocol=7 HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\
         sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\nsec-websocket-protocol: a, b\r\n\r\n"
    );
    let answer = http.send(&request).await.expect("it answers");
    assert_eq!(answer.status, 101);
    assert_eq!(answer.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(answer.headers.get("sec-websocket-extensions"), None);
    assert_eq!(answer.headers.get("sec-websocket-protocol"), None);
}

// ARCHITECTURE.md, "Order": per channel and origin instance.
#[tokio::test]
async fn a_thousand_events_arrive_in_order_at_fifty_subscribers() {
    let server = Server::start().await;
    let mut clients = join_all((0..50).map(|_| Client::connect(server.port))).await;
    join_all(clients.iter_mut().map(|client| client.subscribe("room"))).await;
    let publish = async {
        let mut publisher = Publisher::new(server.port).await;
        for number in 0..1_000 {
            publisher.publish("room", "count", &number.to_string()).await;
        }
    };
    let listen = join_all(clients.iter_mut().map(async |client| {
        for number in 0..1_000 {
            let event = client.expect("count").await;
            assert_eq!(event["data"], number.to_string());
            assert_eq!(event["channel"], "room");
        }
    }));
    tokio::join!(publish, listen);
}

// Pusher protocol, "Channel subscription events": one subscription per channel and connection; after pusher:unsubscribe
// nothing of the channel comes.
#[tokio::test]
async fn a_subscription_is_one_and_ends() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    let mut publisher = Publisher::new(server.port).await;
    for channel in ["room", "other"] {
        client.subscribe(channel).await;
    }
    client.ask("room").await;
    let error = client.expect("pusher:error").await;
    let message = error["data"]["message"].as_str().expect("a text");
    assert!(message.contains("Existing subscription to channel room"), "{message}");
    publisher.publish("room", "once", "{}").await;
    client.expect("once").await;

    client.unsubscribe("room").await;
    // The answer shows that the server has read what was sent before.
    client.ping().await;
    client.expect("pusher:pong").await;
    publisher.publish("room", "unheard", "{}").await;
    publisher.publish("other", "heard", "{}").await;
    client.expect("heard").await;

    client.subscribe("room").await;
    publisher.publish("room", "again", "{}").await;
    client.expect("again").await;
}

// RFC 6455 §4.1: a client may not send before the answer, but what arrives in one piece with the handshake is not lost.
#[tokio::test]
async fn what_comes_along_with_the_handshake_is_heard() {
    let server = Server::start().await;
    let mut request = format!(
        "GET /app/app-key?protocol=7 HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    )
    .into_bytes();
    let ping = br#"{"event":"pusher:ping"}"#;
    // A text frame under a mask of zeros.
    request.extend([0x81, 0x80 | ping.len() as u8, 0, 0, 0, 0]);
    request.extend(ping);
    let mut http = Http::connect(server.port).await.expect("it listens");
    assert_eq!(http.send(request).await.expect("it answers").status, 101);
    let mut client = Client::upgraded(http.into_stream()).await;
    client.expect("pusher:connection_established").await;
    client.expect("pusher:pong").await;
}

// Pusher protocol, "Client events": at most 10 a second per connection; beyond that 4301, and the connection stays open.
#[tokio::test]
async fn client_events_over_the_rate_are_refused_with_4301() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    let mut other = Client::connect(server.port).await;
    client.subscribe("private-room").await;
    other.subscribe("private-room").await;
    let wave = json!({ "event": "client-wave", "channel": "private-room", "data": { "text": "é" } });
    for _ in 0..100 {
        client.send(wave.clone()).await;
    }
    client.ping().await;
    let mut refused = 0;
    while let Heard::Text(message) = client.hear().await {
        if message["event"] == "pusher:pong" {
            break;
        }
        assert_eq!(
            (&message["event"], &message["data"]["code"]),
            (&json!("pusher:error"), &json!(4301))
        );
        refused += 1;
    }
    assert!((1..=90).contains(&refused), "{refused} of 100 were refused");
    for _ in refused..100 {
        assert_eq!(other.expect("client-wave").await, wave);
    }
    Publisher::new(server.port)
        .await
        .publish("private-room", "after", "{}")
        .await;
    other.expect("after").await;
    client.expect("after").await;
}

/// The key of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
