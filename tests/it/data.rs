//! What may stand in an event, and how it arrives: as it was sent.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::Client;
use crate::harness::http::Publisher;
use crate::harness::scene::Scene;
use crate::harness::server::Server;
use crate::harness::wait::in_time;

/// A publish to `room`; `data` is JSON text.
fn publish(data: &str) -> String {
    format!(r#"{{"name":"event","channels":["room"],"data":{data}}}"#)
}

// Pusher protocol, "Channels events": `data` is the publisher's string, whatever it holds: JSON or none, empty, any character
// in any spelling.
#[tokio::test]
async fn a_publisher_s_string_arrives_as_it_was() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    let mut publisher = Publisher::new(server.port).await;
    for (spelled, meant) in [
        (r#""""#, ""),
        (r#"" ""#, " "),
        (r#""no JSON {""#, "no JSON {"),
        (r#""null""#, "null"),
        (r#""\"text\"""#, "\"text\""),
        (r#""{\"a\":1.50,\"a\": 2}""#, "{\"a\":1.50,\"a\": 2}"),
        (r#""\u00e9\ud83d\ude00\u0000\u007f\/\\""#, "é\u{1f600}\0\u{7f}/\\"),
        (
            r#""\\ud800 is spelled here, not meant""#,
            "\\ud800 is spelled here, not meant",
        ),
        ("\"\u{2028}\u{feff}\u{202e}\"", "\u{2028}\u{feff}\u{202e}"),
    ] {
        let answer = publisher.post(&publish(spelled)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{spelled}");
        let expected = json!({ "event": "event", "channel": "room", "data": meant });
        assert_eq!(client.expect("event").await, expected);
    }
}

// RFC 8259 §8.2: half of a surrogate pair is no character. Nobody could be sent it in a text frame, so the publisher is told.
#[tokio::test]
async fn half_a_character_is_refused() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    let mut publisher = Publisher::new(server.port).await;
    for spelled in [r#""\ud800""#, r#""\udc00 x""#, r#""\ud800\ud800""#, r#""\u12""#] {
        let answer = publisher.post(&publish(spelled)).await;
        assert_eq!(answer.status, 400, "{spelled}: {answer:?}");
        assert!(!answer.error().is_empty());
    }
    // Inside of the JSON that the string holds it is the publisher's own business.
    publisher.publish("room", "inside", r#"{"text":"\ud800"}"#).await;
    assert_eq!(client.expect("inside").await["data"], r#"{"text":"\ud800"}"#);
}

/// The next text that is no count of subscribers, as it is on the wire.
async fn text(client: &mut Client) -> String {
    loop {
        match in_time("a text", client.socket.next()).await {
            Some(Ok(Message::Text(text))) if text.contains("subscription_count") => {}
            Some(Ok(Message::Text(text))) => return text.to_string(),
            other => panic!("heard {other:?}"),
        }
    }
}

// Pusher protocol, "Client events": `data` is relayed in whatever JSON it came, here byte for byte.
#[tokio::test]
async fn a_client_s_data_is_relayed_as_it_was_spelled() {
    let server = Server::start().await;
    let (mut ann, mut bob) = (Client::connect(server.port).await, Client::connect(server.port).await);
    for client in [&mut ann, &mut bob] {
        client.subscribe("private-room").await;
    }
    for data in [
        r#"{"b":1.50,"a":1e3,"a":-0}"#,
        r#""\u00e9\/ \ud83d\ude00""#,
        r#""half a character: \ud800""#,
        r#"{ "spaced" : [ ] }"#,
        "12345678901234567890.123456789",
        "\"\"",
        "null",
        "false",
    ] {
        let event = format!(r#"{{"event":"client-say","channel":"private-room","data":{data}}}"#);
        ann.send_frame(Message::text(event.clone())).await;
        assert_eq!(text(&mut bob).await, event);
    }
    // Without any data it is null.
    ann.send(json!({ "event": "client-say", "channel": "private-room" }))
        .await;
    assert_eq!(bob.expect("client-say").await["data"], Value::Null);
}

// Pusher protocol, "Channels events": an event's name is any text of up to 200 bytes. Here control characters are the
// exception. Laravel's are names of PHP classes.
#[tokio::test]
async fn an_event_may_have_any_name() {
    let (mut scene, _) = Scene::with(&["ann"]).await;
    scene.subscribe("ann", "room").await;
    scene.subscribe("ann", "private-room").await;
    let mut bob = Client::connect(scene.server.port).await;
    bob.subscribe("private-room").await;
    let long = "x".repeat(200);
    for name in [
        "App\\Events\\OrderShipped",
        ".order.shipped",
        " ",
        "\"quoted\" 'name' <b> & {}[]",
        "é \u{1f600} \u{2028}",
        "__proto__",
        "constructor",
        "client-from-the-server",
        &long,
    ] {
        scene.trigger(&["room"], name, &json!({ "n": 1 }), None).await;
        assert_eq!(scene.sees("ann", "room", name).await, json!({ "n": 1 }), "{name}");
        let own = format!("client-{}", name.get(..193).unwrap_or(name));
        let order = json!({ "who": "ann", "channel": "private-room", "event": own, "data": "x" });
        scene.tell("send", order);
        bob.expect(&own).await;
    }
    let mut publisher = Publisher::new(scene.server.port).await;
    for name in ["", "two\nlines", "\u{0}", "\u{85}", &"x".repeat(201), &"é".repeat(101)] {
        assert_eq!(publisher.try_publish("room", name, "{}").await.status, 400, "{name:?}");
    }
}
