//! Webhooks at a real receiver, judged by the pusher library's own `webhook`.

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::node::Node;
use crate::harness::server::{Server, Setup};

/// A receiver that answers with these statuses first, and a server that tells it.
async fn scene(statuses: &[&str], secret: &str) -> (Node, Server) {
    let mut receiver = Node::start("receiver", &[&["app-key", secret], statuses].concat());
    let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
    let app = format!(
        "[[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"app-secret\"\n\
         [[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/hooks?a=b\"\nheaders = {{ X-Extra = \"yes\" }}"
    );
    (receiver, Setup::default().config(&app).with_metrics().start().await)
}

async fn told(receiver: &mut Node, channel: &str) -> Value {
    receiver.sees(&json!({ "saw": "webhook", "channel": channel })).await
}

// Pusher, "Webhooks": POST, X-Pusher-Key, X-Pusher-Signature, content type exactly application/json (the library compares
// the whole value; receivers compare it whole), one event a request.
#[tokio::test]
async fn an_occupied_channel_is_told_once() {
    let (mut receiver, server) = scene(&[], "app-secret").await;
    let mut first = Client::connect(server.port).await;
    let mut second = Client::connect(server.port).await;
    first.subscribe("room").await;
    let webhook = told(&mut receiver, "room").await;
    for (key, value) in [
        ("valid", json!(true)),
        ("method", json!("POST")),
        ("path", json!("/hooks?a=b")),
        ("content_type", json!("application/json")),
        ("extra", json!("yes")),
        ("name", json!("channel_occupied")),
        ("more", json!(0)),
    ] {
        assert_eq!(webhook[key], value, "{key}");
    }
    assert!(
        webhook["time_ms"].as_u64().is_some_and(|ms| ms > 1_700_000_000_000),
        "{webhook}"
    );

    // It is occupied already, and stays so when one of two leaves.
    second.subscribe("room").await;
    first.unsubscribe("room").await;
    first.subscribe("room").await;
    first.subscribe("next").await;
    told(&mut receiver, "next").await;
    assert!(
        !receiver.saw(&json!({ "saw": "webhook", "channel": "room" })),
        "told twice"
    );
}

// Pusher, "Webhooks": whatever is not a 2xx is repeated, after a pause. The first pause is one second.
#[tokio::test]
async fn a_receiver_that_fails_is_told_again() {
    let (mut receiver, server) = scene(&["500", "302"], "app-secret").await;
    // Kept, so that the channel is not vacated in the middle.
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    let (mut tries, mut times) = (Vec::new(), Vec::new());
    for status in [500, 302, 200] {
        let webhook = told(&mut receiver, "room").await;
        assert_eq!((&webhook["status"], &webhook["valid"]), (&json!(status), &json!(true)));
        tries.push(webhook["digest"].clone());
        times.push(webhook["at_ms"].as_f64().expect("a number"));
    }
    assert!(
        tries.iter().all(|digest| *digest == tries[0]),
        "the same body each time: {tries:?}"
    );
    let pauses: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        pauses[0] > 990.0 && pauses[1] > 1_980.0,
        "each pause is twice the last: {pauses:?} ms"
    );
}

// The signature is made with the app's secret and no other.
#[tokio::test]
async fn a_receiver_with_another_secret_does_not_believe_it() {
    let (mut receiver, server) = scene(&[], "another secret").await;
    Client::connect(server.port).await.subscribe("room").await;
    let webhook = receiver.sees(&json!({ "saw": "webhook" })).await;
    assert_eq!(webhook["valid"], false);
}

// One receiver that does not answer well must not hold up the notices of other channels.
#[tokio::test]
async fn many_channels_are_each_told_once() {
    let (mut receiver, server) = scene(&["500"], "app-secret").await;
    let mut client = Client::connect(server.port).await;
    let channels: Vec<String> = (0..100).map(|number| format!("room-{number}")).collect();
    for channel in &channels {
        client.subscribe(channel).await;
    }
    for channel in &channels {
        let webhook = json!({ "saw": "webhook", "channel": channel, "status": 200, "valid": true });
        receiver.sees(&webhook).await;
    }
    for channel in &channels {
        assert!(
            !receiver.saw(&json!({ "channel": channel, "status": 200 })),
            "{channel} was told twice"
        );
    }
    assert_eq!(server.metric("jackfield_notices_dropped_total").await, 0);
}
