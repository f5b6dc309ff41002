//! The Pusher library for Python, unmodified.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::client::{Client, data};
use crate::harness::http::DEVELOPMENT;
use crate::harness::python;
use crate::harness::server::Server;

// Pusher HTTP API, all of it, with the habits of the Python library: `body_md5` on GET, data encoded by itself, names escaped
// by itself.
#[tokio::test]
async fn the_python_library_does_everything() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    let member = r#"{"user_id":7,"user_info":{"name":"Ann"}}"#;
    let auth = DEVELOPMENT.auth(&client.socket_id, &format!("presence-room:{member}"));
    let subscribe = json!({ "channel": "presence-room", "auth": auth, "channel_data": member });
    client
        .send(json!({ "event": "pusher:subscribe", "data": subscribe }))
        .await;
    client.expect("pusher_internal:subscription_succeeded").await;

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/publisher.py");
    let port = server.port.to_string();
    let run = move || Command::new(python::program("python")).arg(script).arg(port).output();
    let output = tokio::task::spawn_blocking(run)
        .await
        .expect("it does not panic")
        .expect("python runs");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let answers: Vec<(String, Value)> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("lines of JSON"))
        .map(|said| {
            (
                said["did"].as_str().unwrap_or_default().to_owned(),
                said["answer"].clone(),
            )
        })
        .collect();
    let expected = [
        ("trigger", json!({})),
        ("several", json!({})),
        ("batch", json!({})),
        (
            "channels",
            json!({ "channels": { "presence-room": { "user_count": 1 } } }),
        ),
        (
            "channel",
            json!({ "occupied": true, "user_count": 1, "subscription_count": 1 }),
        ),
        ("users", json!({ "users": [{ "id": "7" }] })),
        ("odd", json!({ "occupied": false, "user_count": 0 })),
        ("odd_users", json!({ "users": [] })),
        ("to_user", json!({})),
    ];
    for ((did, answer), (wanted, value)) in answers.iter().zip(&expected) {
        assert_eq!((did.as_str(), answer), (*wanted, value), "{lines}{errors}");
    }
    let (did, refusal) = answers.last().expect("it said something");
    assert!(
        did == "wrong"
            && refusal
                .as_str()
                .is_some_and(|text| text.starts_with("PusherBadRequest")),
        "{refusal}"
    );

    assert_eq!(data(&client.expect("greeting").await), json!({ "text": "hello ünï" }));
    assert_eq!(client.expect("greeting").await["data"], "two");
    assert_eq!(client.expect("batched").await["data"], "three");
}
