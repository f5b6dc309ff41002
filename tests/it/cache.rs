//! Cache channels: the last event for whoever comes later.

use serde_json::{Value, json};

use crate::harness::client::{Client, Heard};
use crate::harness::http::Publisher;
use crate::harness::scene::Scene;
use crate::harness::server::{Server, Setup};

/// Every form. `presence-` ones are joined, the others subscribed to.
const FORMS: [&str; 4] = [
    "cache-room",
    "private-cache-room",
    "private-encrypted-cache-room",
    "presence-cache-room",
];

async fn enter(client: &mut Client, channel: &str) {
    if channel.starts_with("presence-") {
        client.join(channel, "ann").await;
    } else {
        client.subscribe(channel).await;
    }
}

/// A new client that enters, and what it hears next.
async fn late(server: &Server, channel: &str) -> Value {
    let mut client = Client::connect(server.port).await;
    enter(&mut client, channel).await;
    match client.hear().await {
        Heard::Text(message) => message,
        other => panic!("heard {other:?} on {channel}"),
    }
}

// Pusher documents, "Cache channels": the last event right after `subscription_succeeded`, else `pusher:cache_miss`.
#[tokio::test]
async fn the_last_event_waits_for_whoever_comes() {
    let server = Server::start().await;
    let mut publisher = Publisher::new(server.port).await;
    for channel in FORMS {
        let miss = json!({ "event": "pusher:cache_miss", "channel": channel });
        assert_eq!(late(&server, channel).await, miss);
        for (event, data) in [("first", "1"), ("last", "no JSON: \u{1f600} \"é\"")] {
            publisher.publish(channel, event, data).await;
        }
        let kept = json!({ "event": "last", "channel": channel, "data": "no JSON: \u{1f600} \"é\"" });
        for _ in 0..2 {
            assert_eq!(late(&server, channel).await, kept);
        }
    }
}

// Pusher documents, "Cache channels": they keep the authorisation of the kind that they are.
#[tokio::test]
async fn a_kept_event_is_not_for_strangers() {
    let server = Server::start().await;
    for channel in &FORMS[1..] {
        let mut publisher = Publisher::new(server.port).await;
        publisher.publish(channel, "secret", "{}").await;
        let mut client = Client::connect(server.port).await;
        let data = json!({ "channel": channel, "auth": "app-key:00", "channel_data": "{\"user_id\":\"eve\"}" });
        client.send(json!({ "event": "pusher:subscribe", "data": data })).await;
        let refusal = client.expect("pusher:subscription_error").await;
        assert_eq!(refusal["data"]["status"], 401, "{channel}");
        client.ping().await;
        client.expect("pusher:pong").await;
    }
}

// Pusher documents, "Cache channels": triggers with `socket_id`, batches and triggers to several channels fill the cache.
#[tokio::test]
async fn whatever_the_server_triggers_is_kept() {
    let server = Server::start().await;
    let mut publisher = Publisher::new(server.port).await;
    let mut sender = Client::connect(server.port).await;
    enter(&mut sender, "cache-one").await;
    sender.expect("pusher:cache_miss").await;
    let spared = json!({ "name": "spared", "data": "1", "channels": ["cache-one"], "socket_id": sender.socket_id });
    let several = json!({ "name": "several", "data": "2", "channels": ["cache-two", "room", "cache-three"] });
    for body in [&spared, &several] {
        let answer = publisher.post(&body.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let batch = json!({ "batch": [
        { "name": "first", "data": "3", "channel": "cache-four" },
        { "name": "last", "data": "4", "channel": "cache-four" },
        { "name": "other", "data": "5", "channel": "cache-five", "socket_id": sender.socket_id },
    ] });
    let answer = publisher.post_to("batch_events", &batch.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for (channel, event) in [
        ("cache-one", "spared"),
        ("cache-two", "several"),
        ("cache-three", "several"),
        ("cache-four", "last"),
        ("cache-five", "other"),
    ] {
        assert_eq!(late(&server, channel).await["event"], event, "{channel}");
    }
    // The sender was spared the event, but not what is kept.
    sender.unsubscribe("cache-one").await;
    enter(&mut sender, "cache-one").await;
    sender.expect("spared").await;
}

// Pusher protocol, "Client events": never cached.
#[tokio::test]
async fn what_clients_say_is_not_kept() {
    let server = Server::start().await;
    let mut publisher = Publisher::new(server.port).await;
    for channel in ["private-cache-room", "presence-cache-room"] {
        let (mut ann, mut bob) = (Client::connect(server.port).await, Client::connect(server.port).await);
        for client in [&mut ann, &mut bob] {
            enter(client, channel).await;
            client.expect("pusher:cache_miss").await;
        }
        let event = json!({ "event": "client-say", "channel": channel, "data": {} });
        ann.send(event.clone()).await;
        bob.expect("client-say").await;
        assert_eq!(late(&server, channel).await["event"], "pusher:cache_miss");
        publisher.publish(channel, "kept", "{}").await;
        bob.expect("kept").await;
        ann.send(event).await;
        bob.expect("client-say").await;
        assert_eq!(late(&server, channel).await["event"], "kept");
    }
}

// Pusher documents, "Cache channels", with pusher-js: it hands out both the kept event and the miss.
#[tokio::test]
async fn pusher_js_hears_both() {
    let mut scene = Scene::on(Setup::default()).await;
    for who in ["ann", "bob"] {
        scene.connect(json!({ "who": who })).await;
    }
    scene.subscribe("ann", "private-cache-room").await;
    scene.sees("ann", "private-cache-room", "pusher:cache_miss").await;
    let data = json!({ "text": "é\u{1f600}" });
    scene.trigger(&["private-cache-room"], "news", &data, None).await;
    scene.subscribe("bob", "private-cache-room").await;
    for who in ["ann", "bob"] {
        assert_eq!(scene.sees(who, "private-cache-room", "news").await, data);
    }
    assert!(!scene.saw("bob", "pusher:cache_miss"));
}
