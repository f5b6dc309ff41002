//! What an app's server asks: channels, a channel, its users; and batches and events that ask how many they reach.

use serde_json::{Value, json};

use jackfield_protocol::signature::md5_hex;

use crate::harness::client::Client;
use crate::harness::http::Publisher;
use crate::harness::scene::Scene;
use crate::harness::server::{Server, Setup};

/// Two connections in `room`, Ann with two tabs and Bob in `presence-room`, Bob in `presence-hall`, one in `cache-room`.
struct Town {
    scene: Scene,
    /// Ann, her tab, and Bob. They stay as long as the town.
    clients: [Client; 3],
}

impl Town {
    async fn new() -> Self {
        let scene = Scene::on(Setup::default()).await;
        let port = scene.server.port;
        let mut clients = [
            Client::connect(port).await,
            Client::connect(port).await,
            Client::connect(port).await,
        ];
        let [ann, tab, bob] = &mut clients;
        for (client, user) in [(&mut *ann, "ann"), (&mut *tab, "ann"), (&mut *bob, "bob")] {
            client.join("presence-room", user).await;
        }
        for client in [&mut *ann, &mut *tab] {
            client.expect("pusher_internal:member_added").await;
            client.subscribe("room").await;
        }
        bob.join("presence-hall", "bob").await;
        bob.subscribe("cache-room").await;
        bob.expect("pusher:cache_miss").await;
        Self { scene, clients }
    }

    async fn get(&mut self, path: &str, params: Value) -> (u64, Value) {
        self.scene.get(path, params).await
    }
}

/// Nothing but the error's status matters, and that the error says this.
fn refused(answer: &(u64, Value), part: &str) {
    let error = answer.1["error"].as_str().unwrap_or_default();
    assert!(
        answer.0 == 400 && error.contains(part),
        "{answer:?} does not say {part}"
    );
}

// Pusher HTTP API, "GET channels": the occupied ones; `filter_by_prefix`; `info=user_count` with a presence prefix alone.
#[tokio::test]
async fn the_occupied_channels_are_told() {
    let mut town = Town::new().await;
    let all = json!({ "cache-room": {}, "presence-hall": {}, "presence-room": {}, "room": {} });
    for (params, channels) in [
        (json!({}), all),
        (json!({ "filter_by_prefix": "ro" }), json!({ "room": {} })),
        (json!({ "filter_by_prefix": "nothing-" }), json!({})),
        (
            json!({ "filter_by_prefix": "presence-", "info": "user_count" }),
            json!({ "presence-hall": { "user_count": 1 }, "presence-room": { "user_count": 2 } }),
        ),
        (
            json!({ "filter_by_prefix": "presence-r", "info": "user_count" }),
            json!({ "presence-room": { "user_count": 2 } }),
        ),
    ] {
        let answer = town.get("/channels", params.clone()).await;
        assert_eq!(answer, (200, json!({ "channels": channels })), "{params}");
    }
    refused(
        &town.get("/channels", json!({ "info": "user_count" })).await,
        "presence-",
    );
    let other = json!({ "info": "user_count", "filter_by_prefix": "ro" });
    refused(&town.get("/channels", other).await, "presence-");
    let [ann, tab, _] = &mut town.clients;
    for client in [ann, tab] {
        client.unsubscribe("room").await;
        client.ping().await;
        client.expect("pusher:pong").await;
    }
    let answer = town.get("/channels", json!({ "filter_by_prefix": "room" })).await;
    assert_eq!(answer, (200, json!({ "channels": {} })));
}

// Pusher HTTP API, "GET channel": `occupied` always; the counts and the cache if asked for, users by id and once each.
#[tokio::test]
async fn a_channel_is_told_as_asked() {
    let mut town = Town::new().await;
    for (channel, info, answer) in [
        ("room", "", json!({ "occupied": true })),
        ("empty", "", json!({ "occupied": false })),
        (
            "room",
            "subscription_count",
            json!({ "occupied": true, "subscription_count": 2 }),
        ),
        (
            "empty",
            "subscription_count",
            json!({ "occupied": false, "subscription_count": 0 }),
        ),
        (
            "presence-room",
            "user_count",
            json!({ "occupied": true, "user_count": 2 }),
        ),
        (
            "presence-room",
            "user_count,subscription_count",
            json!({ "occupied": true, "user_count": 2, "subscription_count": 3 }),
        ),
        (
            "presence-empty",
            "user_count",
            json!({ "occupied": false, "user_count": 0 }),
        ),
        ("cache-room", "cache", json!({ "occupied": true, "cache": null })),
    ] {
        let params = if info.is_empty() {
            json!({})
        } else {
            json!({ "info": info })
        };
        assert_eq!(
            town.get(&format!("/channels/{channel}"), params).await,
            (200, answer),
            "{channel} {info}"
        );
    }
    for (channel, info, part) in [
        ("room", "user_count", "presence"),
        ("private-room", "user_count", "presence"),
        ("room", "cache", "cache"),
        ("room", "weather", "weather"),
    ] {
        let answer = town.get(&format!("/channels/{channel}"), json!({ "info": info })).await;
        refused(&answer, part);
    }
}

// Pusher HTTP API, "GET channel": `cache` is `{data, ttl}` or null, ttl in seconds of the 30 minutes.
#[tokio::test]
async fn the_last_event_is_told_with_its_time_to_live() {
    let mut town = Town::new().await;
    let mut publisher = Publisher::new(town.scene.server.port).await;
    for channel in ["cache-room", "private-cache-empty", "presence-cache-empty"] {
        let data = "{\"n\": 1, \"text\":\"é\"}";
        publisher.publish(channel, "news", data).await;
        let (status, body) = town
            .get(&format!("/channels/{channel}"), json!({ "info": "cache" }))
            .await;
        assert_eq!((status, &body["cache"]["data"]), (200, &json!(data)));
        let ttl = body["cache"]["ttl"].as_u64().expect("a number");
        assert!((1_780..=1_800).contains(&ttl), "{ttl} s");
        assert_eq!(body["occupied"], channel == "cache-room");
    }
}

// Pusher HTTP API, "GET users": distinct users of a presence channel, 400 for any other.
#[tokio::test]
async fn the_users_of_a_channel_are_told_once_each() {
    let mut town = Town::new().await;
    let (status, body) = town.get("/channels/presence-room/users", json!({})).await;
    assert_eq!(
        (status, body),
        (200, json!({ "users": [{ "id": "ann" }, { "id": "bob" }] }))
    );
    let nobody = town.get("/channels/presence-empty/users", json!({})).await;
    assert_eq!(nobody, (200, json!({ "users": [] })));
    refused(&town.get("/channels/room/users", json!({})).await, "presence");
}

// Pusher HTTP API, "POST event": with `info` the answer says how many are in each channel.
#[tokio::test]
async fn an_event_with_info_is_answered_by_counts() {
    let mut town = Town::new().await;
    for (channels, info, counts) in [
        (
            json!(["room"]),
            "subscription_count",
            json!({ "room": { "subscription_count": 2 } }),
        ),
        (
            json!(["presence-room", "presence-empty"]),
            "user_count,subscription_count",
            json!({
                "presence-room": { "user_count": 2, "subscription_count": 3 },
                "presence-empty": { "user_count": 0, "subscription_count": 0 },
            }),
        ),
    ] {
        let order = json!({ "channels": channels, "event": "news", "data": {}, "info": info });
        let answer = town.scene.answer("trigger", order, json!({ "event": "news" })).await;
        assert_eq!(answer, (200, json!({ "channels": counts })), "{info}");
    }
}

async fn batch(scene: &mut Scene, events: Value) -> (u64, Value) {
    let order = json!({ "batch": events });
    scene.answer("batch", order, json!({ "asked": "batch" })).await
}

// Pusher HTTP API, "POST batch events": in order, up to ten, each with its own `socket_id`; `info` by index.
#[tokio::test]
async fn a_batch_is_carried_out_in_its_order() {
    let mut town = Town::new().await;
    let events: Vec<Value> = (0..10)
        .map(|number| json!({ "channel": "room", "name": format!("event-{number}"), "data": { "n": number } }))
        .collect();
    assert_eq!(batch(&mut town.scene, json!(events)).await, (200, json!({})));
    for number in 0..10 {
        for client in &mut town.clients[..2] {
            let heard = client.expect(&format!("event-{number}")).await;
            assert_eq!(heard["data"], json!({ "n": number }).to_string());
        }
    }
    let mixed = json!([
        { "channel": "room", "name": "not for ann", "data": "", "socket_id": town.clients[0].socket_id },
        { "channel": "presence-room", "name": "for all", "data": "x", "info": "user_count" },
        { "channel": "room", "name": "after", "data": {}, "info": "subscription_count" },
    ]);
    let (status, body) = batch(&mut town.scene, mixed).await;
    let counts = json!({ "batch": [{}, { "user_count": 2 }, { "subscription_count": 2 }] });
    assert_eq!((status, body), (200, counts));
    let [ann, tab, bob] = &mut town.clients;
    tab.expect("not for ann").await;
    for client in [&mut *ann, &mut *tab, bob] {
        client.expect("for all").await;
    }
    for client in [ann, tab] {
        client.expect("after").await;
    }
}

// Pusher HTTP API, "POST batch events": 400 for more than ten, 413 for data that is too large; nothing of it is published.
#[tokio::test]
async fn a_batch_that_cannot_be_is_refused_as_a_whole() {
    let server = Server::start().await;
    let mut publisher = Publisher::new(server.port).await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    let good = json!({ "channel": "room", "name": "event", "data": "x" });
    let large = json!({ "channel": "room", "name": "event", "data": "x".repeat((10 << 10) + 1) });
    for (events, status, part) in [
        (json!(vec![&good; 11]), 400, "11"),
        (
            json!([good, { "channel": "a b", "name": "event", "data": "x" }]),
            400,
            "channel",
        ),
        (json!([good, { "channel": "room", "data": "x" }]), 400, "`name`"),
        (
            json!([good, { "channel": "room", "name": "event", "data": "x", "info": "user_count" }]),
            400,
            "user_count",
        ),
        (json!([good, large]), 413, "10240"),
    ] {
        let body = json!({ "batch": events }).to_string();
        let answer = publisher.post_to("batch_events", &body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.error().contains(part), "{answer:?} does not say {part}");
    }
    client.ping().await;
    client.expect("pusher:pong").await;
}

// Pusher documents, "Encrypted channels": one may not be one of several, because each has a key of its own.
#[tokio::test]
async fn an_encrypted_channel_is_published_to_alone() {
    let server = Server::start().await;
    let mut publisher = Publisher::new(server.port).await;
    for channel in ["private-encrypted-a", "private-encrypted-cache-a"] {
        for (channels, status) in [(json!([channel]), 200), (json!([channel, "room"]), 400)] {
            let body = json!({ "name": "event", "data": "x", "channels": channels });
            let answer = publisher.post(&body.to_string()).await;
            assert_eq!(answer.status, status, "{body}: {answer:?}");
        }
    }
}

// Pusher HTTP API, "Authentication": Python's library sends `body_md5` on GET also. Connections are kept alive.
#[tokio::test]
async fn many_questions_go_over_one_connection() {
    let server = Server::start().await;
    let mut publisher = Publisher::new(server.port).await;
    let digest = md5_hex(b"");
    for _ in 0..3 {
        for (address, more) in [
            ("channels", vec![]),
            ("channels", vec![("body_md5", &*digest)]),
            (
                "channels/room",
                vec![("info", "subscription_count"), ("body_md5", &*digest)],
            ),
            ("channels/presence-room/users", vec![("body_md5", &*digest)]),
        ] {
            let answer = publisher.get(address, &more).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.headers["content-type"], "application/json");
        }
        publisher.publish("room", "event", "{}").await;
        let refused = publisher.get("channels/room/users", &[]).await;
        assert_eq!(refused.status, 400);
    }
}

// Pusher HTTP API, "Authentication": 401 for whatever is wrong, for questions as for events.
#[tokio::test]
async fn a_question_that_is_not_rightly_signed_is_refused() {
    let server = Server::start().await;
    let mut publisher = Publisher::new(server.port).await;
    for (address, more) in [
        ("channels", [("body_md5", "0123")]),
        ("channels/room", [("auth_timestamp", "1")]),
    ] {
        let answer = publisher.get(address, &more).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    for address in ["channels", "channels/room", "channels/presence-room/users"] {
        let answer = crate::harness::http::get(server.port, &format!("/apps/1001/{address}")).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
}
