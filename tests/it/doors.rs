//! "Take the file away": each decision is the plugin's, so without its file the behaviour is gone, and whoever asks is told
//! which plugin is missing at which door.

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::http::{Publisher, get};
use crate::harness::node::Node;
use crate::harness::server::{DEFAULT_PLUGINS, Server, Setup};

/// A server without this plugin. It must run all the same, and be unready with a reason that names plugin and door.
async fn without(plugin: &str, door: &str) -> Server {
    let server = Setup::default().without(plugin).start().await;
    check_unready(&server, plugin, door, &[]).await;
    server
}

async fn check_unready(server: &Server, plugin: &str, door: &str, parts: &[&str]) {
    let (status, body) = server.ready().await;
    assert_eq!((status, &body["ready"]), (503, &Value::Bool(false)));
    let reasons = body["reasons"].as_array().expect("a list of reasons");
    assert_eq!(reasons.len(), 1, "only this door has a fault: {reasons:?}");
    let reason = reasons[0].as_str().expect("a text");
    check_named(reason, plugin, door);
    for part in parts {
        assert!(reason.contains(part), "`{reason}` does not say `{part}`");
    }
    assert_eq!(get(server.port, "/live").await.status, 200);
}

/// The message names the plugin and, apart from the plugin's own name, the door.
fn check_named(message: &str, plugin: &str, door: &str) {
    assert!(
        message.contains(&format!("`{plugin}`")),
        "`{message}` does not name {plugin}"
    );
    let rest = message.replace(plugin, "");
    assert!(rest.contains(door), "`{message}` does not name the {door} door");
}

async fn check_publish_is_refused(server: &Server, plugin: &str, door: &str) {
    let answer = Publisher::new(server.port)
        .await
        .try_publish("room", "greeting", "{}")
        .await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    check_named(&answer.error(), plugin, door);
}

#[tokio::test]
async fn with_all_plugins_the_server_is_ready() {
    let server = Server::start().await;
    assert_eq!(server.ready().await, (200, json!({ "ready": true })));
}

// ARCHITECTURE.md, "Acknowledged publish": without a link 503, before local fan-out; nothing is delivered.
#[tokio::test]
async fn without_the_adapter_nothing_is_followed_or_published() {
    let (plugin, door) = ("adapter-local", "adapter");
    let server = without(plugin, door).await;
    check_publish_is_refused(&server, plugin, door).await;
    let mut client = Client::connect(server.port).await;
    let refusal = client.refused("room").await;
    assert_eq!(refusal["status"], 503);
    check_named(refusal["error"].as_str().expect("a text"), plugin, door);
    client.ping().await;
    client.expect("pusher:pong").await;
}

// Pusher protocol, "Connection closure": 41xx, so that clients come back later.
#[tokio::test]
async fn without_auth_nobody_gets_in() {
    let (plugin, door) = ("auth-pusher", "auth");
    let server = without(plugin, door).await;
    check_publish_is_refused(&server, plugin, door).await;
    check_connect_is_refused(&server, plugin, door).await;
}

async fn check_connect_is_refused(server: &Server, plugin: &str, door: &str) {
    let mut client = Client::open(server.port, "/app/app-key?protocol=7").await;
    let error = client.expect("pusher:error").await;
    assert_eq!(error["data"]["code"], 4100);
    check_named(error["data"]["message"].as_str().expect("a text"), plugin, door);
    assert_eq!(client.expect_close().await, 4100);
}

#[tokio::test]
async fn without_the_limiter_nothing_is_published() {
    let (plugin, door) = ("rate-limit-local", "rate-limit");
    let server = without(plugin, door).await;
    check_publish_is_refused(&server, plugin, door).await;
    let mut client = Client::connect(server.port).await;
    let mut other = Client::connect(server.port).await;
    client.subscribe("private-room").await;
    other.subscribe("private-room").await;
    client
        .send(json!({ "event": "client-wave", "channel": "private-room", "data": {} }))
        .await;
    let error = client.expect("pusher:error").await;
    check_named(error["data"]["message"].as_str().expect("a text"), plugin, door);
    // Whatever was delivered would have been put before this answer.
    other.ping().await;
    other.expect("pusher:pong").await;
}

// Two servers tell one receiver. The one without the plugin has its occupation first; when the other's arrives, the first
// would have been there.
#[tokio::test]
async fn without_webhooks_nobody_is_told() {
    let mut receiver = Node::start("receiver", &["app-key", "app-secret"]);
    let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
    let app = format!("{APP}\n[[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/\"");
    let deprived = Setup::default().without("webhook-http").config(&app).start().await;
    check_unready(&deprived, "webhook-http", "webhook", &[]).await;
    let mut client = Client::connect(deprived.port).await;
    client.subscribe("untold").await;
    Publisher::new(deprived.port)
        .await
        .publish("untold", "greeting", "{}")
        .await;
    client.expect("greeting").await;

    let complete = Setup::default().config(&app).start().await;
    Client::connect(complete.port).await.subscribe("told").await;
    receiver.sees(&json!({ "saw": "webhook", "channel": "told" })).await;
    assert!(!receiver.saw(&json!({ "saw": "webhook", "channel": "untold" })));
}

// ARCHITECTURE.md, "Host imports": nothing is granted by default; the message says what to write where.
#[tokio::test]
async fn a_plugin_without_its_grant_stays_out() {
    for operator in ["", "grants = []", "grants = [\"counters\"]"] {
        let server = Setup::default().file("auth-pusher.toml", operator).start().await;
        check_unready(
            &server,
            "auth-pusher",
            "auth",
            &["jackfield:host/sign", "grants = [\"sign\"]", "plugins/auth-pusher.toml"],
        )
        .await;
        check_connect_is_refused(&server, "auth-pusher", "auth").await;
    }
}

#[tokio::test]
async fn an_operators_file_with_a_mistake_keeps_the_plugin_out() {
    let server = Setup::default()
        .file("auth-pusher.toml", "\ngrant = [\"sign\"]")
        .start()
        .await;
    check_unready(
        &server,
        "auth-pusher",
        "auth",
        &["auth-pusher.toml", "line 2", "`grant`"],
    )
    .await;
}

// ARCHITECTURE.md: a file goes through fixed steps, and one that fails a step is rejected with the reason.
#[tokio::test]
async fn a_file_that_is_no_plugin_closes_its_door_alone() {
    let whole = Setup::default().bytes("rate-limit-local.wasm");
    let adapter = Setup::default().bytes("adapter-local.wasm");
    for (bytes, part) in [
        (b"\0asm\x01\0\0\0".to_vec(), "core module"),
        (b"#!/bin/sh\necho no plugin\n".to_vec(), "not WebAssembly"),
        (Vec::new(), "not WebAssembly"),
        (whole[..whole.len() / 2].to_vec(), "does not compile"),
        (adapter, "does not serve the rate-limit door"),
    ] {
        let server = Setup::default().file("rate-limit-local.wasm", bytes).start().await;
        check_unready(&server, "rate-limit-local", "rate-limit", &[part]).await;
        check_publish_is_refused(&server, "rate-limit-local", "rate-limit").await;
        Client::connect(server.port).await.subscribe("room").await;
    }
}

#[tokio::test]
async fn without_any_plugin_the_server_is_up_and_names_them_all() {
    let setup = DEFAULT_PLUGINS
        .iter()
        .fold(Setup::default(), |setup, name| setup.without(name));
    let server = setup.start().await;
    let (status, body) = server.ready().await;
    assert_eq!(status, 503);
    for name in DEFAULT_PLUGINS {
        assert!(body.to_string().contains(name), "{body} does not name {name}");
    }
}

// ARCHITECTURE.md: "a dropped-in `mqtt.wasm` needs `adapter.driver = "mqtt"` and nothing else", and `adapter.mqtt` is handed
// to it as its configuration.
#[tokio::test]
async fn an_adapter_is_found_by_the_name_of_its_file() {
    for file in ["pigeon", "adapter-pigeon"] {
        let setup = Setup::default();
        let component = setup.bytes("adapter-local.wasm");
        let setup = setup.without("adapter-local").file(&format!("{file}.wasm"), component);
        let server = setup
            .config("[adapter]\ndriver = \"pigeon\"")
            .with_metrics()
            .start()
            .await;
        assert_eq!(server.ready().await.0, 200);
        let mut client = Client::connect(server.port).await;
        client.subscribe("room").await;
        Publisher::new(server.port)
            .await
            .publish("room", "greeting", "{}")
            .await;
        client.expect("greeting").await;
        assert!(server.calls(file, "adapter").await > 0);
    }
    // The local adapter has no settings and refuses to start with one: that is how it shows that it got it.
    let config = "[adapter.local]\nspeed = 1\n[plugin.rate-limit-local]";
    let server = Setup::default().config(config).start().await;
    check_unready(&server, "adapter-local", "adapter", &["refused its configuration"]).await;
}

const APP: &str = "[[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"app-secret\"";
