//! The gate answers *ready* or *pending*: a plugin that waits holds up the connection that asked it, and nobody else
//! (ARCHITECTURE.md).

use futures_util::{SinkExt as _, Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::harness::client::Client;
use crate::harness::http::Publisher;
use crate::harness::server::{Server, Setup};
use crate::harness::wait::in_time;

/// A server with a plugin in front that takes 200 ms for each subscription to a channel `slow-…`.
async fn server() -> Server {
    Setup::default()
        .guest("stall")
        .config("[auth]\nchain = [\"stall\", \"auth-pusher\"]")
        .with_metrics()
        .start()
        .await
}

/// Asks for so many slow channels: the answers take that many times 200 ms, one after the other.
async fn ask_for_slow_channels(client: &mut Client, count: usize) {
    for number in 0..count {
        client.ask(&format!("slow-{number}")).await;
    }
}

#[tokio::test]
async fn a_pending_answer_comes() {
    let server = server().await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("slow-room").await;
    Publisher::new(server.port)
        .await
        .publish("slow-room", "greeting", "{}")
        .await;
    client.expect("greeting").await;
}

// The question whether it may connect is pending, too, while the client is already talking.
#[tokio::test]
async fn a_client_that_talks_before_it_is_greeted_is_greeted_first() {
    let server = server().await;
    let mut client = Client::open(server.port, "/app/app-key?protocol=7").await;
    client.ping().await;
    client.ask("room").await;
    client.expect("pusher:connection_established").await;
    client.expect("pusher:pong").await;
    client.expect("pusher_internal:subscription_succeeded").await;
}

#[tokio::test]
async fn others_are_served_while_one_waits() {
    let server = server().await;
    let mut waiting = Client::connect(server.port).await;
    let mut others = [Client::connect(server.port).await, Client::connect(server.port).await];
    ask_for_slow_channels(&mut waiting, 20).await;
    // The event loops take sockets in turn, so one of these two shares the waiting one's.
    for other in &mut others {
        other.subscribe("room").await;
    }
    Publisher::new(server.port)
        .await
        .publish("room", "greeting", "{}")
        .await;
    for other in &mut others {
        other.expect("greeting").await;
    }
    let subscribed = server.calls("stall", "auth").await;
    assert!(
        subscribed < 20,
        "the waiting connection is not through its 20 channels: {subscribed} calls"
    );
}

#[tokio::test]
async fn later_messages_of_the_same_connection_are_answered_in_their_order() {
    let server = server().await;
    let mut client = Client::connect(server.port).await;
    client.ask("slow-a").await;
    client.ask("room").await;
    client.ping().await;
    client.ask("slow-b").await;
    client.unsubscribe("slow-a").await;
    client.ask("slow-a").await;
    client.ping().await;
    for expected in ["slow-a", "room", "", "slow-b", "slow-a", ""] {
        let event = if expected.is_empty() {
            "pusher:pong"
        } else {
            "pusher_internal:subscription_succeeded"
        };
        let answer = client.expect(event).await;
        assert_eq!(
            answer.get("channel").and_then(Value::as_str).unwrap_or_default(),
            expected
        );
    }
}

// ARCHITECTURE.md, "The gate answers ready or pending": the socket may close meanwhile.
#[tokio::test]
async fn a_socket_may_close_while_its_answer_is_pending() {
    let server = server().await;
    let mut other = Client::connect(server.port).await;
    other.subscribe("slow-0").await;
    for _ in 0..10 {
        let mut leaving = Client::connect(server.port).await;
        ask_for_slow_channels(&mut leaving, 3).await;
        drop(leaving);
    }
    server.reaches("jackfield_connected", 1).await;
    server.reaches("jackfield_subscriptions", 1).await;
    Publisher::new(server.port)
        .await
        .publish("slow-0", "greeting", "{}")
        .await;
    other.expect("greeting").await;
    other.subscribe("slow-room").await;
    assert_eq!(server.traps("stall", "auth").await, 0);
}

// ARCHITECTURE.md: "later messages of that connection queue behind it, bounded". When the queue is full the server stops
// reading, so the client waits, and in the end every message has its answer.
#[tokio::test]
async fn a_flood_behind_a_pending_answer_is_bounded_and_nothing_is_lost() {
    let server = server().await;
    let mut client = Client::connect(server.port).await;
    ask_for_slow_channels(&mut client, SLOW).await;
    let padded = json!({ "event": "pusher:ping", "data": "x".repeat(32 << 10) }).to_string();
    let (mut sending, mut hearing) = client.socket.split();
    let flood = async {
        for _ in 0..PINGS {
            sending.send(Message::text(padded.clone())).await.expect("it is open");
        }
    };
    let listen = async {
        for number in 0..SLOW {
            let answer = next(&mut hearing).await;
            assert_eq!(answer["channel"], format!("slow-{number}"));
            if number + 1 < SLOW {
                let taken = server.metric("jackfield_socket_received_bytes_total").await;
                assert!(taken < 4 << 20, "{taken} bytes were read while an answer was pending");
            }
        }
        for _ in 0..PINGS {
            assert_eq!(next(&mut hearing).await["event"], "pusher:pong");
        }
    };
    in_time("the flood", async { tokio::join!(flood, listen) }).await;
    let taken = server.metric("jackfield_socket_received_bytes_total").await;
    assert!(
        taken as usize > PINGS * (32 << 10),
        "all of it was read in the end: {taken} bytes"
    );
}

async fn next<S>(hearing: &mut S) -> Value
where
    S: Stream<Item = Result<Message, Error>> + Unpin,
{
    loop {
        let message = in_time("an answer", hearing.next())
            .await
            .expect("the connection stays open");
        let text = message.expect("a whole frame").into_text().expect("text");
        let message: Value = serde_json::from_str(&text).expect("JSON");
        // Counts may come between any two messages.
        if message["event"] != "pusher_internal:subscription_count" {
            return message;
        }
    }
}

/// Slow subscriptions in front of the flood: two seconds.
const SLOW: usize = 10;

/// Messages of the flood, 32 KiB each: 13 MB, more than a backlog and the kernel hold together.
const PINGS: usize = 400;

// ARCHITECTURE.md, contract of the auth door: a grant may end.
#[tokio::test]
async fn a_permission_that_ends_is_taken_back() {
    let server = server().await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("brief-room").await;
    let ended = client.expect("pusher:subscription_error").await;
    assert_eq!(
        (&ended["channel"], &ended["data"]["status"]),
        (&json!("brief-room"), &json!(401))
    );
    Publisher::new(server.port)
        .await
        .publish("brief-room", "late", "{}")
        .await;
    // The connection itself goes on, and the event was not for it: the pong is the next thing that it hears.
    client.ping().await;
    client.expect("pusher:pong").await;
}

// host/docs/misbehaving-plugins.md: "time to an answer, for plugins that wait": `init` has no more of it than a question.
#[tokio::test]
async fn a_plugin_that_waits_and_never_begins_is_given_up() {
    let server = Setup::default()
        .guest("stall")
        .file("stall.toml", "[limits]\ndeadline_ms = 300")
        .config("[auth]\nchain = [\"stall\", \"auth-pusher\"]\n[plugin.stall]\nbegin = \"loop\"")
        .start()
        .await;
    let (status, body) = server.ready().await;
    let reason = body["reasons"][0].as_str().expect("a text");
    assert!(
        status == 503 && reason.contains("did not start within 300 ms"),
        "{reason}"
    );
}
