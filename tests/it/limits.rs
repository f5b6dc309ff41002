//! What an operator sets for an app (host/docs/operating.md), and what becomes of it.

use serde_json::{Value, json};

use crate::harness::client::{Client, Heard};
use crate::harness::http::{Answer, Publisher};
use crate::harness::server::{Server, Setup};
use crate::harness::wait::until;

const APP: &str = "/app/app-key?protocol=7";

async fn server(settings: &str) -> Server {
    Setup::default().app(settings).start().await
}

/// A connection made by a page of this origin.
async fn from_page(server: &Server, origin: &str) -> Client {
    Client::open_with(server.port, &format!("origin: {origin}\r\n")).await
}

// Pusher protocol, "Error codes": 4003 the app is disabled. Pusher HTTP API: 403.
#[tokio::test]
async fn a_disabled_app_takes_nobody() {
    let server = server("enabled = false").await;
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4003);
    let mut publisher = Publisher::new(server.port).await;
    let published = publisher.try_publish("room", "event", "{}").await;
    let asked = publisher.get("channels", &[]).await;
    assert_eq!((published.status, asked.status), (403, 403));
}

// Pusher protocol, "Error codes": 4004 over the connection quota. A seat that is left can be taken.
#[tokio::test]
async fn an_app_has_so_many_connections() {
    let server = server("max_connections = 1").await;
    let first = Client::connect(server.port).await;
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4004);
    drop(first);
    until("the seat to be free", async || {
        let mut client = Client::open(server.port, APP).await;
        let Heard::Text(text) = client.hear().await else {
            panic!("neither greeted nor told why not");
        };
        (text["event"] == "pusher:connection_established").then_some(())
    })
    .await;
}

// Pusher documents, "Authorized connections": pages of other origins are closed with 4009; who names none is no page.
#[tokio::test]
async fn pages_of_other_origins_are_turned_away() {
    let server = server("allowed_origins = [\"https://*.example.com\", \"http://localhost:3000\"]").await;
    for origin in [
        "https://a.example.com",
        "https://A.B.Example.com",
        "http://localhost:3000",
    ] {
        let mut client = from_page(&server, origin).await;
        client.expect("pusher:connection_established").await;
    }
    for origin in [
        "https://example.com",
        "http://a.example.com",
        "https://a.example.com.evil.org",
        "null",
    ] {
        assert_eq!(from_page(&server, origin).await.turned_away().await, 4009, "{origin}");
    }
    Client::connect(server.port).await;
}

// What a client may not do by default or by a limit is answered by an error that says so; the connection stays open.
#[tokio::test]
async fn what_clients_may_not_do_is_refused() {
    let event = |name: &str, data: &str| json!({ "event": name, "channel": "private-room", "data": data });
    let subscribe = |channel: &str| json!({ "event": "pusher:subscribe", "data": { "channel": channel } });
    let long = "x".repeat(1_023);
    let switched_on = "enable_client_messages = true";
    for (settings, good, bad, part) in [
        ("", None, event("client-a", ""), "not enabled"),
        (
            switched_on,
            Some(event("client-a", "")),
            event("server-a", ""),
            "client-",
        ),
        (
            "enable_client_messages = true\nmax_event_name_length = 10",
            Some(event("client-abc", "")),
            event("client-abcd", ""),
            "10",
        ),
        (
            "enable_client_messages = true\nmax_event_payload_in_kb = 1",
            Some(event("client-a", &long[..1_022])),
            event("client-a", &long),
            "1024",
        ),
        (
            "max_channel_name_length = 12",
            Some(subscribe("presence-abc")),
            subscribe("twelve-and-1-"),
            "12",
        ),
        (
            "",
            None,
            json!({ "event": "pusher:signin", "data": { "auth": "", "user_data": "{\"id\":\"a\"}" } }),
            "not enabled",
        ),
    ] {
        let server = server(settings).await;
        let mut client = Client::connect(server.port).await;
        client.subscribe("private-room").await;
        if let Some(good) = good {
            client.send(good).await;
            client.ping().await;
            let Heard::Text(answer) = client.hear().await else {
                panic!("no answer");
            };
            // A subscription without signature fails for that reason and not for the limit.
            let fine = ["pusher:pong", "pusher:subscription_error"];
            assert!(fine.iter().any(|name| answer["event"] == *name), "{answer}");
            if answer["event"] != "pusher:pong" {
                client.expect("pusher:pong").await;
            }
        }
        client.send(bad.clone()).await;
        let error = client.expect("pusher:error").await;
        let message = error["data"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{bad}: {error} does not say {part}");
        client.ping().await;
        client.expect("pusher:pong").await;
    }
}

#[tokio::test]
async fn a_connection_has_so_many_channels() {
    let server = server("max_channels_per_connection = 2").await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("one").await;
    client.subscribe("private-two").await;
    assert_eq!(client.refused("three").await["status"], 429);
    client.unsubscribe("one").await;
    client.subscribe("three").await;
}

// Pusher documents, "Presence channels": `user_info` up to 1 kB, here more.
#[tokio::test]
async fn a_member_may_be_larger_where_it_is_allowed() {
    let server = server("max_presence_member_size_in_kb = 2").await;
    let mut client = Client::connect(server.port).await;
    let member = |bytes: usize| json!({ "user_id": "ann", "user_info": "x".repeat(bytes - 2) }).to_string();
    client.ask_as("presence-room", &member(2_049)).await;
    client.expect("pusher:subscription_error").await;
    client.ask_as("presence-room", &member(2_048)).await;
    client.expect("pusher_internal:subscription_succeeded").await;
}

// Pusher HTTP API, "POST event": 413 for data that is too large, 400 for whatever else is too much.
#[tokio::test]
async fn what_servers_may_publish_is_bounded() {
    let event = |name: &str, bytes: usize, channels: Value| json!({ "name": name, "data": "x".repeat(bytes), "channels": channels });
    let batch = |events: usize| json!({ "batch": vec![json!({ "name": "e", "data": "", "channel": "a" }); events] });
    for (settings, address, good, bad, status) in [
        (
            "max_event_payload_in_kb = 1",
            "events",
            event("e", 1_024, json!(["a"])),
            event("e", 1_025, json!(["a"])),
            413,
        ),
        (
            "max_event_payload_in_kb = 100",
            "events",
            event("e", 102_400, json!(["a"])),
            event("e", 102_401, json!(["a"])),
            413,
        ),
        (
            "max_event_channels_at_once = 2",
            "events",
            event("e", 0, json!(["a", "b"])),
            event("e", 0, json!(["a", "b", "c"])),
            400,
        ),
        (
            "max_event_name_length = 3",
            "events",
            event("abc", 0, json!(["a"])),
            event("abcd", 0, json!(["a"])),
            400,
        ),
        (
            "max_channel_name_length = 3",
            "events",
            event("e", 0, json!(["abc"])),
            event("e", 0, json!(["abcd"])),
            400,
        ),
        ("max_event_batch_size = 2", "batch_events", batch(2), batch(3), 400),
        ("max_event_batch_size = 11", "batch_events", batch(11), batch(12), 400),
    ] {
        let server = server(settings).await;
        let mut publisher = Publisher::new(server.port).await;
        let answer = publisher.post_to(address, &good.to_string()).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{settings}");
        let answer = publisher.post_to(address, &bad.to_string()).await;
        assert_eq!(answer.status, status, "{settings}: {answer:?}");
    }
}

/// Allowed once, and then no more for a while.
async fn allowed_once(mut ask: impl AsyncFnMut() -> Answer) {
    let first = ask().await;
    assert_eq!(first.status, 200, "{first:?}");
    let refused = until("a refusal", async || {
        Some(ask().await).filter(|answer| answer.status != 200)
    })
    .await;
    assert_eq!(refused.status, 429, "{refused:?}");
    let seconds: Option<u64> = refused.headers.get("retry-after").and_then(|value| value.parse().ok());
    assert_eq!(seconds, Some(1), "{refused:?}");
    let again = until("room for one more", async || {
        Some(ask().await).filter(|answer| answer.status == 200)
    });
    again.await;
}

// RFC 6585 §4: 429, with Retry-After. Publishing and asking are counted apart.
#[tokio::test]
async fn servers_publish_and_ask_at_a_limited_rate() {
    for (settings, publishes) in [
        ("max_backend_events_per_second = 1", true),
        ("max_read_requests_per_second = 1", false),
    ] {
        let server = server(settings).await;
        let mut publisher = Publisher::new(server.port).await;
        let (mut other, body) = (
            Publisher::new(server.port).await,
            r#"{"name":"e","data":"","channels":["a"]}"#,
        );
        if publishes {
            allowed_once(async || publisher.post(body).await).await;
        } else {
            allowed_once(async || publisher.get("channels", &[]).await).await;
        }
        for _ in 0..5 {
            let answer = if publishes {
                other.get("channels/a", &[]).await
            } else {
                other.post(body).await
            };
            assert_eq!(answer.status, 200, "{settings}: {answer:?}");
        }
    }
}

// What makes no sense is answered 400 and is not counted: had it been, it would be answered 429 itself by then.
#[tokio::test]
async fn a_mistake_costs_nothing() {
    let server = server("max_read_requests_per_second = 1\nmax_backend_events_per_second = 1").await;
    let mut publisher = Publisher::new(server.port).await;
    for _ in 0..10 {
        for answer in [
            publisher.get("channels", &[("info", "nonsense")]).await,
            publisher.get("channels/a%20b", &[]).await,
            publisher.get("channels/a", &[("info", "user_count")]).await,
            publisher.get("channels/a/users", &[]).await,
            publisher.post("{}").await,
            publisher.post_to("batch_events", "[]").await,
        ] {
            assert_eq!(answer.status, 400, "{answer:?}");
        }
    }
    assert_eq!(publisher.get("channels", &[]).await.status, 200);
    publisher.publish("room", "event", "{}").await;
}

// Pusher HTTP API: what is answered 429 was not done.
#[tokio::test]
async fn an_end_over_the_rate_does_not_come() {
    let server = server("enable_user_authentication = true\nmax_read_requests_per_second = 1").await;
    let mut publisher = Publisher::new(server.port).await;
    until("a refusal", async || {
        let mut client = Client::connect(server.port).await;
        client.sign_in("ann").await;
        let answer = publisher.post_to("users/ann/terminate_connections", "{}").await;
        if answer.status == 200 {
            assert_eq!(client.expect_close().await, 4009);
            return None;
        }
        assert_eq!(answer.status, 429, "{answer:?}");
        client.ping().await;
        client.expect("pusher:pong").await;
        Some(())
    })
    .await;
}

// A batch costs as many events as it holds.
#[tokio::test]
async fn a_batch_costs_what_it_holds() {
    let server = server("max_backend_events_per_second = 2").await;
    let mut publisher = Publisher::new(server.port).await;
    let batch = |events: usize| json!({ "batch": vec![json!({ "name": "e", "data": "", "channel": "a" }); events] });
    assert_eq!(
        publisher.post_to("batch_events", &batch(3).to_string()).await.status,
        429
    );
    assert_eq!(
        publisher.post_to("batch_events", &batch(2).to_string()).await.status,
        200
    );
}

// Pusher protocol, "Client events": over the rate 4301, which is an error and no close.
#[tokio::test]
async fn clients_speak_at_a_limited_rate() {
    let server = server("enable_client_messages = true\nmax_client_events_per_second = 1").await;
    let (mut ann, mut bob) = (Client::connect(server.port).await, Client::connect(server.port).await);
    for client in [&mut ann, &mut bob] {
        client.subscribe("private-room").await;
    }
    let event = json!({ "event": "client-say", "channel": "private-room", "data": {} });
    let refused = until("a refusal", async || {
        ann.send(event.clone()).await;
        ann.ping().await;
        let Heard::Text(answer) = ann.hear().await else {
            panic!("no answer");
        };
        (answer["event"] == "pusher:error").then_some(answer)
    });
    assert_eq!(refused.await["data"]["code"], 4301);
    ann.expect("pusher:pong").await;
    // The limit is for each connection.
    bob.send(event).await;
    ann.expect("client-say").await;
}

// host/docs/operating.md: connections that one address may open in a window. 4100: come back later.
#[tokio::test]
async fn an_address_opens_so_many_connections() {
    let rule = "[rate_limiter.websocket_rate_limit]\nmax_requests = 2\nwindow_seconds = 600";
    let server = Setup::default().config(rule).start().await;
    for _ in 0..2 {
        Client::connect(server.port).await;
    }
    for _ in 0..2 {
        assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4100);
    }
    // HTTP is not counted.
    Publisher::new(server.port).await.publish("room", "event", "{}").await;
}
