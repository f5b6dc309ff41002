//! Two apps of one server: the same names, and nothing in common.

use serde_json::json;

use crate::harness::client::{Client, data};
use crate::harness::http::{Http, Keys, Publisher};
use crate::harness::server::{Server, Setup};

const ONE: Keys = Keys {
    id: "1",
    key: "one-key",
    secret: "one-secret",
};

const OTHER: Keys = Keys {
    id: "2",
    key: "other-key",
    secret: "other-secret",
};

async fn server() -> Server {
    let app = |Keys { id, key, secret }| {
        format!(
            "[[apps]]\nid = \"{id}\"\nkey = \"{key}\"\nsecret = \"{secret}\"\nenable_client_messages = true\n\
             enable_user_authentication = true\nenable_watchlist_events = true\n"
        )
    };
    let config = app(ONE) + &app(OTHER);
    Setup::default().production().config(&config).start().await
}

/// Sends a message whose signature is made with these keys.
async fn ask(client: &mut Client, keys: Keys, channel: &str, channel_data: Option<&str>) {
    let signed = channel_data.map_or_else(|| channel.to_owned(), |data| format!("{channel}:{data}"));
    let auth = keys.auth(&client.socket_id, &signed);
    let data = json!({ "channel": channel, "auth": auth, "channel_data": channel_data });
    client.send(json!({ "event": "pusher:subscribe", "data": data })).await;
}

/// Connects under these keys as Ann, and goes into every kind of channel.
async fn arrive(server: &Server, keys: Keys) -> Client {
    let mut client = Client::connect_as(server.port, keys.key).await;
    let user_data = json!({ "id": "ann", "watchlist": ["bob"] }).to_string();
    let auth = keys.auth(&client.socket_id, &format!(":user::{user_data}"));
    client
        .send(json!({ "event": "pusher:signin", "data": { "auth": auth, "user_data": user_data } }))
        .await;
    client.expect("pusher:signin_success").await;
    client.expect("pusher_internal:watchlist_events").await;
    for channel in ["room", "private-room", "cache-room", "#server-to-user-ann"] {
        ask(&mut client, keys, channel, None).await;
        client.expect("pusher_internal:subscription_succeeded").await;
        if channel == "cache-room" {
            client.expect("pusher:cache_miss").await;
        }
    }
    ask(&mut client, keys, "presence-room", Some("{\"user_id\":\"ann\"}")).await;
    let welcome = client.expect("pusher_internal:subscription_succeeded").await;
    assert_eq!(data(&welcome)["presence"]["count"], 1);
    client
}

// Pusher documents, "Apps": channels, members, users and kept events are of one app.
#[tokio::test]
async fn apps_with_the_same_names_do_not_hear_each_other() {
    let server = server().await;
    let mut one = arrive(&server, ONE).await;
    let mut other = arrive(&server, OTHER).await;
    let mut publisher = Publisher::of(ONE, server.port).await;
    for channel in [
        "room",
        "private-room",
        "presence-room",
        "cache-room",
        "#server-to-user-ann",
    ] {
        publisher.publish(channel, "for one", "{}").await;
        one.expect("for one").await;
    }
    one.send(json!({ "event": "client-say", "channel": "private-room", "data": {} }))
        .await;
    one.ping().await;
    one.expect("pusher:pong").await;

    // Nothing of all that has come to the other one; what is its own does.
    let mut publisher = Publisher::of(OTHER, server.port).await;
    publisher.publish("room", "for the other", "{}").await;
    other.expect("for the other").await;
    let kept = publisher.get("channels/cache-room", &[("info", "cache")]).await;
    assert_eq!(kept.json(), json!({ "occupied": true, "cache": null }));

    other.unsubscribe("room").await;
    other.ping().await;
    other.expect("pusher:pong").await;
    let occupied = publisher.get("channels/room", &[]).await.json();
    assert_eq!(occupied, json!({ "occupied": false }));
    let answer = publisher.post_to("users/ann/terminate_connections", "{}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(other.expect_close().await, 4009);
    // A close that was meant for this one too would stand in front of the event.
    Publisher::of(ONE, server.port)
        .await
        .publish("room", "still there", "{}")
        .await;
    one.expect("still there").await;
}

// Pusher HTTP API, "Authentication": an app's address takes the keys of that app and no others, whatever is asked.
#[tokio::test]
async fn the_keys_of_another_app_open_nothing() {
    let server = server().await;
    let mut http = Http::connect(server.port).await.expect("it listens");
    let here = |keys: Keys| Keys { id: ONE.id, ..keys };
    let mixed = Keys {
        key: ONE.key,
        ..here(OTHER)
    };
    for (keys, status) in [(ONE, 200), (here(OTHER), 401), (mixed, 401)] {
        for address in ["channels", "channels/room", "channels/presence-room/users"] {
            let target = keys.signed_get(&format!("/apps/1/{address}"), &[]);
            let answer = http.get(&target).await.expect("it answers");
            assert_eq!(answer.status, status, "{target}: {answer:?}");
        }
        for (address, body) in [
            ("events", r#"{"name":"e","data":"","channels":["room"]}"#),
            ("batch_events", r#"{"batch":[{"name":"e","data":"","channel":"room"}]}"#),
            ("users/ann/terminate_connections", "{}"),
        ] {
            let target = keys.signed(&format!("/apps/1/{address}"), body, crate::harness::http::now());
            let answer = http.post(&target, body).await.expect("it answers");
            assert_eq!(answer.status, status, "{target}: {answer:?}");
        }
    }
}

// Pusher protocol, "Private channels" and "User authentication": signed with the secret of the app that the client is
// connected to, and under its key.
#[tokio::test]
async fn the_signatures_of_another_app_open_nothing() {
    let server = server().await;
    let mut client = Client::connect_as(server.port, ONE.key).await;
    let mixed = Keys { key: ONE.key, ..OTHER };
    for keys in [OTHER, mixed] {
        for (channel, member) in [
            ("private-room", None),
            ("private-encrypted-room", None),
            ("presence-room", Some("{\"user_id\":\"ann\"}")),
        ] {
            ask(&mut client, keys, channel, member).await;
            let refusal = client.expect("pusher:subscription_error").await;
            assert_eq!(refusal["data"]["status"], 401, "{refusal}");
        }
        let auth = keys.auth(&client.socket_id, ":user::{\"id\":\"ann\"}");
        let data = json!({ "auth": auth, "user_data": "{\"id\":\"ann\"}" });
        client.send(json!({ "event": "pusher:signin", "data": data })).await;
        assert_eq!(client.expect("pusher:error").await["data"]["code"], 4009);
    }
}
