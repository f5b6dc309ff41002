//! Every kind of channel that needs a signature, and every way in which one can be wrong.

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::http::{DEVELOPMENT, Keys, Publisher};
use crate::harness::server::Server;

const MEMBER: &str = "{\"user_id\":\"ann\"}";

/// What is signed for a subscription: with the member in a presence channel.
fn signed(channel: &str) -> String {
    if channel.starts_with("presence-") {
        format!("{channel}:{MEMBER}")
    } else {
        channel.to_owned()
    }
}

/// Signatures that are none for this connection and this channel.
fn wrong(socket_id: &str, channel: &str) -> Vec<Value> {
    let right = DEVELOPMENT.auth(socket_id, &signed(channel));
    let (key, signature) = right.split_once(':').expect("a key and a signature");
    let stranger = Keys {
        secret: "another secret",
        ..DEVELOPMENT
    };
    vec![
        Value::Null,
        json!(""),
        json!(key),
        json!(signature),
        json!(format!("{key}:")),
        json!(format!("{key}:00")),
        json!(format!("{key}:{}", &signature[..63])),
        json!(format!("{key}:{signature}0")),
        json!(format!("{key}:{}", signature.to_uppercase())),
        json!(format!("other-key:{signature}")),
        json!(stranger.auth(socket_id, &signed(channel))),
        json!(DEVELOPMENT.auth("1.1", &signed(channel))),
        json!(DEVELOPMENT.auth(socket_id, &signed("private-other"))),
        json!(DEVELOPMENT.auth(socket_id, "")),
    ]
}

// Pusher protocol, "Private channels", "Presence channels", "Cache channels": whatever else a channel is, what begins with
// `private-` or `presence-` needs the signature over this connection and this channel.
#[tokio::test]
async fn no_form_of_channel_opens_under_a_wrong_signature() {
    let server = Server::start().await;
    let mut publisher = Publisher::new(server.port).await;
    for channel in [
        "private-room",
        "private-encrypted-room",
        "private-cache-room",
        "private-encrypted-cache-room",
        "presence-room",
        "presence-cache-room",
        "presence-encrypted-room",
        "private-",
        "private-presence-room",
    ] {
        publisher.publish(channel, "secret", "{}").await;
        let mut client = Client::connect(server.port).await;
        for auth in wrong(&client.socket_id, channel) {
            let data = json!({ "channel": channel, "auth": auth, "channel_data": MEMBER });
            client.send(json!({ "event": "pusher:subscribe", "data": data })).await;
            let refusal = client.expect("pusher:subscription_error").await;
            let (name, status) = (&refusal["channel"], &refusal["data"]["status"]);
            assert_eq!((name, status), (&json!(channel), &json!(401)), "{auth} on {channel}");
        }
        publisher.publish(channel, "secret", "{}").await;
        client.ping().await;
        client.expect("pusher:pong").await;
        let answer = publisher.get(&format!("channels/{channel}"), &[]).await;
        assert_eq!(answer.json(), json!({ "occupied": false }));
    }
}

// Pusher protocol, "User authentication": `KEY:SIGNATURE` over `socket_id::user::user_data`, as every library sends it; the form
// `KEY::user::SIGNATURE` of one page of the documents is nobody's.
#[tokio::test]
async fn nobody_signs_in_under_a_wrong_signature() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    let mut auths = wrong(&client.socket_id, ":user::{\"id\":\"ann\"}");
    // What it is over, for another user.
    auths.push(json!(DEVELOPMENT.auth(&client.socket_id, ":user::{\"id\":\"bob\"}")));
    let right = DEVELOPMENT.auth(&client.socket_id, ":user::{\"id\":\"ann\"}");
    auths.push(json!(right.replace(':', "::user::")));
    for auth in auths {
        let data = json!({ "auth": auth, "user_data": "{\"id\":\"ann\"}" });
        client.send(json!({ "event": "pusher:signin", "data": data })).await;
        assert_eq!(client.expect("pusher:error").await["data"]["code"], 4009, "{auth}");
    }
    client.sign_in("ann").await;
}

// Pusher protocol, "Channel types": prefixes count where a name begins, and nowhere else.
#[tokio::test]
async fn what_only_looks_like_a_private_channel_is_public() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    for channel in [
        "Private-room",
        "room-private-",
        "private",
        "presence",
        "cache",
        "xcache-room",
    ] {
        let data = json!({ "channel": channel, "auth": "" });
        client.send(json!({ "event": "pusher:subscribe", "data": data })).await;
        client.expect("pusher_internal:subscription_succeeded").await;
    }
    client.ping().await;
    client.expect("pusher:pong").await;
}
