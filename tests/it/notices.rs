//! All that an app's server is told by webhooks, at a real receiver: the keys, the times, and what is not told.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::http::{DEVELOPMENT, Publisher};
use crate::harness::node::Node;
use crate::harness::server::{Server, Setup};
use crate::harness::wait::until;

/// A receiver that wants these events, and a server that tells it.
async fn scene(event_types: &[&str]) -> (Node, Server) {
    let mut receiver = Node::start("receiver", &[DEVELOPMENT.key, DEVELOPMENT.secret]);
    let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
    let settings = format!(
        "enable_client_messages = true\nenable_subscription_count = true\n\
         [[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/\"\nevent_types = {}",
        json!(event_types)
    );
    (receiver, Setup::default().app(&settings).start().await)
}

/// Waits for a webhook with this event, which has exactly these keys.
async fn told(receiver: &mut Node, event: Value) {
    receiver
        .sees(&json!({ "saw": "webhook", "valid": true, "more": 0, "event": event }))
        .await;
}

fn was_told(receiver: &mut Node, name: &str, channel: &str) -> bool {
    receiver.saw(&json!({ "saw": "webhook", "name": name, "channel": channel }))
}

/// Waits until nobody is in the channel any more.
async fn is_left(server: &Server, channel: &str) {
    let mut publisher = Publisher::new(server.port).await;
    let address = format!("channels/{channel}");
    until("the channel to be left", async || {
        let answer = publisher.get(&address, &[]).await.json();
        (answer["occupied"] == false).then_some(())
    })
    .await;
}

// Pusher documents, "Webhooks", `channel_occupied` and `channel_vacated`: the latter up to some seconds after the last
// subscriber has left, which is how long a page may take to come back.
#[tokio::test]
async fn a_channel_is_occupied_and_vacated() {
    let (mut receiver, server) = scene(&["channel_occupied", "channel_vacated"]).await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    told(&mut receiver, json!({ "name": "channel_occupied", "channel": "room" })).await;
    let left = Instant::now();
    client.unsubscribe("room").await;
    told(&mut receiver, json!({ "name": "channel_vacated", "channel": "room" })).await;
    let waited = left.elapsed();
    assert!(waited > Duration::from_millis(2_900), "{waited:?}");
    client.subscribe("room").await;
    told(&mut receiver, json!({ "name": "channel_occupied", "channel": "room" })).await;
    drop(client);
    told(&mut receiver, json!({ "name": "channel_vacated", "channel": "room" })).await;
}

// Pusher documents, "Webhooks": who comes back within three seconds was never away.
#[tokio::test]
async fn a_reconnect_is_not_told() {
    let types = ["channel_occupied", "channel_vacated", "member_added", "member_removed"];
    let (mut receiver, server) = scene(&types).await;
    let mut first = Client::connect(server.port).await;
    first.join("presence-room", "ann").await;
    for name in ["channel_occupied", "member_added"] {
        let webhook = json!({ "saw": "webhook", "name": name, "channel": "presence-room" });
        receiver.sees(&webhook).await;
    }
    drop(first);
    is_left(&server, "presence-room").await;
    let mut second = Client::connect(server.port).await;
    second.join("presence-room", "ann").await;
    // What is left later is told later, so nothing of the reconnect is on its way any more.
    second.join("presence-next", "ann").await;
    second.unsubscribe("presence-next").await;
    for name in ["channel_vacated", "member_removed"] {
        let webhook = json!({ "saw": "webhook", "name": name, "channel": "presence-next" });
        receiver.sees(&webhook).await;
    }
    for name in types {
        assert!(!was_told(&mut receiver, name, "presence-room"), "{name} was told");
    }
}

// Pusher documents, "Webhooks", `member_added` and `member_removed`: once a user, with `user_id`.
#[tokio::test]
async fn members_come_and_go() {
    let (mut receiver, server) = scene(&["member_added", "member_removed"]).await;
    let mut tabs = [Client::connect(server.port).await, Client::connect(server.port).await];
    let member = json!({ "user_id": 10, "user_info": { "name": "Ann" } }).to_string();
    for tab in &mut tabs {
        tab.ask_as("presence-room", &member).await;
        tab.expect("pusher_internal:subscription_succeeded").await;
    }
    let about = |name: &str| json!({ "name": name, "channel": "presence-room", "user_id": "10" });
    told(&mut receiver, about("member_added")).await;
    let [first, second] = &mut tabs;
    first.unsubscribe("presence-room").await;
    first.join("presence-next", "marker").await;
    receiver
        .sees(&json!({ "name": "member_added", "channel": "presence-next" }))
        .await;
    assert!(!was_told(&mut receiver, "member_removed", "presence-room"));
    let left = Instant::now();
    second.unsubscribe("presence-room").await;
    told(&mut receiver, about("member_removed")).await;
    let waited = left.elapsed();
    assert!(waited > Duration::from_millis(2_900), "{waited:?}");
    assert!(
        !was_told(&mut receiver, "member_added", "presence-room"),
        "told for each tab"
    );
}

// Pusher documents, "Webhooks", `client_event`: channel, event, data, socket_id, and on presence channels user_id. `data` is
// a string in the documents; it is told as the client sent it.
#[tokio::test]
async fn client_events_are_told() {
    let (mut receiver, server) = scene(&["client_event"]).await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("private-room").await;
    client.join("presence-room", "ann").await;
    for (channel, user) in [("private-room", None), ("presence-room", Some("ann"))] {
        for data in [json!("text \u{1f600} \"é\""), json!({ "n": [1, null] })] {
            client
                .send(json!({ "event": "client-say", "channel": channel, "data": data }))
                .await;
            let mut event = json!({
                "name": "client_event", "channel": channel, "event": "client-say", "data": data,
                "socket_id": client.socket_id,
            });
            if let Some(user) = user {
                event["user_id"] = json!(user);
            }
            told(&mut receiver, event).await;
        }
    }
    Publisher::new(server.port)
        .await
        .publish("private-room", "server-event", "{}")
        .await;
    client.expect("server-event").await;
}

// Pusher documents, "Webhooks", `cache_miss`: once, until there was an event or the channel was left.
#[tokio::test]
async fn a_cache_miss_is_told_once() {
    let (mut receiver, server) = scene(&["cache_miss"]).await;
    let mut clients = [Client::connect(server.port).await, Client::connect(server.port).await];
    for client in &mut clients {
        client.subscribe("private-cache-room").await;
        client.expect("pusher:cache_miss").await;
    }
    told(
        &mut receiver,
        json!({ "name": "cache_miss", "channel": "private-cache-room" }),
    )
    .await;
    clients[0].subscribe("cache-next").await;
    told(&mut receiver, json!({ "name": "cache_miss", "channel": "cache-next" })).await;
    assert!(
        !was_told(&mut receiver, "cache_miss", "private-cache-room"),
        "told for each subscriber"
    );
}

// Pusher documents, "Webhooks", `subscription_count`: with each change, on every kind of channel but presence.
#[tokio::test]
async fn subscription_counts_are_told() {
    let (mut receiver, server) = scene(&["subscription_count"]).await;
    let (mut ann, mut bob) = (Client::connect(server.port).await, Client::connect(server.port).await);
    let count = |count: u64| json!({ "name": "subscription_count", "channel": "room", "subscription_count": count });
    ann.join("presence-room", "ann").await;
    ann.subscribe("room").await;
    told(&mut receiver, count(1)).await;
    bob.subscribe("room").await;
    told(&mut receiver, count(2)).await;
    bob.unsubscribe("room").await;
    told(&mut receiver, count(1)).await;
    drop(ann);
    told(&mut receiver, count(0)).await;
    assert!(!was_told(&mut receiver, "subscription_count", "presence-room"));
}

// host/docs/operating.md: `event_types` of a webhook, all of them if it is empty.
#[tokio::test]
async fn a_receiver_is_told_what_it_wants() {
    for (wanted, others) in [(&[][..], true), (&["cache_miss"][..], false)] {
        let (mut receiver, server) = scene(wanted).await;
        let mut client = Client::connect(server.port).await;
        client.subscribe("room").await;
        client.join("presence-room", "ann").await;
        client
            .send(json!({ "event": "client-say", "channel": "presence-room", "data": "" }))
            .await;
        client.ping().await;
        client.expect("pusher:pong").await;
        client.subscribe("cache-room").await;
        told(&mut receiver, json!({ "name": "cache_miss", "channel": "cache-room" })).await;
        for (name, channel) in [
            ("channel_occupied", "room"),
            ("member_added", "presence-room"),
            ("client_event", "presence-room"),
            ("subscription_count", "room"),
        ] {
            let webhook = json!({ "saw": "webhook", "name": name, "channel": channel });
            if others {
                receiver.sees(&webhook).await;
            } else {
                assert!(!receiver.saw(&webhook), "{name} was told");
            }
        }
    }
}

// Pusher documents, "Webhooks", batches: one request with several events, of the channels that the endpoint is about.
#[tokio::test]
async fn a_batch_bears_what_has_gathered_and_passes_the_filter() {
    let mut receiver = Node::start("receiver", &[DEVELOPMENT.key, DEVELOPMENT.secret]);
    let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
    let config = format!(
        "[webhooks.batching]\nenabled = true\nduration = 500\n\
         [[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"app-secret\"\n\
         [[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/\"\nfilter.channel_name_starts_with = \"room-\""
    );
    let server = Setup::default().config(&config).start().await;
    let mut client = Client::connect(server.port).await;
    for channel in ["room-1", "elsewhere", "room-2", "room-3"] {
        client.subscribe(channel).await;
    }
    let webhook = receiver.sees(&json!({ "saw": "webhook" })).await;
    let (first, more) = (&webhook["channel"], &webhook["more"]);
    assert_eq!(
        (first, more, &webhook["valid"]),
        (&json!("room-1"), &json!(2), &json!(true)),
        "{webhook}"
    );
}
