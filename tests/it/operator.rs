//! What an operator has: the two probes, metrics, environment variables, the command line, the page of development mode.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::http::{Http, Keys, Publisher, get};
use crate::harness::server::{Folder, Server, Setup, free_port, jackfield};
use crate::harness::wait::until;

#[tokio::test]
async fn the_probes_answer() {
    let server = Server::start().await;
    let live = get(server.port, "/live").await;
    assert_eq!((live.status, live.body.as_str()), (200, "live\n"));
    assert_eq!(server.ready().await, (200, json!({ "ready": true })));
}

// OpenMetrics 1.0: content type, `# EOF` at the end, counters end in `_total`. ARCHITECTURE.md: "each decision is taken by a
// plugin", so each of the four has been called.
#[tokio::test]
async fn metrics_show_that_plugins_took_the_decisions() {
    let app = "[[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"app-secret\"\n\
               [[apps.webhooks]]\nurl = \"http://127.0.0.1:1/\"";
    let server = Setup::default().config(app).with_metrics().start().await;
    let plugins = [
        ("adapter-local", "adapter"),
        ("auth-pusher", "auth"),
        ("rate-limit-local", "rate-limit"),
        ("webhook-http", "webhook"),
    ];
    let mut before = Vec::new();
    for (plugin, door) in plugins {
        before.push(server.calls(plugin, door).await);
    }
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    Publisher::new(server.port)
        .await
        .publish("room", "greeting", "{}")
        .await;
    client.expect("greeting").await;

    for (wanted, name) in [
        (1, "jackfield_connected"),
        (1, "jackfield_subscriptions"),
        (1, "jackfield_ready"),
        (1, "jackfield_new_connections_total"),
        (1, "jackfield_http_calls_received_total"),
        (1, "jackfield_ws_messages_received_total"),
        (1, "jackfield_ws_messages_sent_total"),
    ] {
        server.reaches(name, wanted).await;
    }
    for ((plugin, door), before) in plugins.into_iter().zip(before) {
        until(&format!("{plugin} to be asked"), async || {
            (server.calls(plugin, door).await > before).then_some(())
        })
        .await;
    }
    let answer = get(server.metrics_port(), "/metrics").await;
    assert!(answer.headers["content-type"].starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    drop(client);
    server.reaches("jackfield_connected", 0).await;
    server.reaches("jackfield_new_disconnections_total", 1).await;
}

// Clients must not find what operators see on the port that is open to the world.
#[tokio::test]
async fn metrics_have_a_listener_of_their_own() {
    let server = Setup::default().with_metrics().start().await;
    assert_eq!(get(server.port, "/metrics").await.status, 404);
    assert_eq!(get(server.metrics_port(), "/app/app-key").await.status, 404);
    let silent = Server::start().await;
    assert!(Http::connect(silent.metrics_port()).await.is_err());
}

// Scaling guides: the environment overrides the file.
#[tokio::test]
async fn the_environment_wins_over_the_file() {
    let port = free_port();
    let elsewhere = Folder::new();
    let folder = elsewhere.path().to_str().expect("a path that is text");
    let server = Setup::default()
        .env("PORT", &port.to_string())
        .env("HOST", "127.0.0.2")
        .env("JACKFIELD_PLUGINS", folder)
        .env("ADAPTER_DRIVER", "pigeon")
        .env("INSTANCE_PROCESS_ID", "one")
        .start_at("127.0.0.2")
        .await;
    assert_eq!(server.port, port);
    assert!(Http::connect(port).await.is_err(), "it listens on 127.0.0.2 alone");
    let mut http = Http::connect_to("127.0.0.2", port).await.expect("it listens");
    let answer = http.get("/ready").await.expect("it answers");
    let reasons = answer.json()["reasons"].to_string();
    for name in ["adapter-pigeon", "auth-pusher", "rate-limit-local", "webhook-http"] {
        assert!(reasons.contains(name), "{reasons} does not name {name}");
    }
}

#[tokio::test]
async fn metrics_name_the_instance() {
    let server = Setup::default()
        .env("INSTANCE_PROCESS_ID", "one")
        .with_metrics()
        .start()
        .await;
    let text = server.metrics().await;
    assert!(text.contains(r#"jackfield_instance_info{process_id="one","#), "{text}");
}

#[tokio::test]
async fn a_wrong_environment_variable_is_named() {
    for (name, value) in [("PORT", "many"), ("ENVIRONMENT", "testing"), ("METRICS_PORT", "-1")] {
        let ended = Setup::default().env(name, value).run_on(free_port()).await;
        assert_eq!(ended.status.code(), Some(1), "{name}");
        assert!(ended.errors.contains(&format!("{name}=`{value}`")), "{}", ended.errors);
    }
}

fn publish(server: &Server, more: &[&str]) -> Output {
    let mut command = jackfield();
    command
        .args(["publish", "room", "greeting", DATA, "--url", &server.url()])
        .args(more);
    command.output().expect("JACKFIELD_BIN can be run")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_publish_command_publishes() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    let output = publish(&server, &[]);
    assert!(output.status.success(), "{output:?}");
    let event = client.expect("greeting").await;
    assert_eq!((&event["channel"], &event["data"]), (&json!("room"), &json!(DATA)));

    let output = publish(&server, &["--secret", "another secret"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("401") && errors.contains("signature"), "{errors}");
    assert!(
        !errors.contains("another secret"),
        "a secret stays where it was: {errors}"
    );
}

// The page's helpers sign for everybody who asks: they exist in development mode alone.
#[tokio::test]
async fn the_development_page_is_served_in_development_alone() {
    let development = Server::start().await;
    let page = get(development.port, "/").await;
    assert_eq!(page.status, 200);
    assert!(page.headers["content-type"].starts_with("text/html"));
    assert!(page.body.contains("/dev/publish"));

    let app = format!(
        "[[apps]]\nid = \"{}\"\nkey = \"{}\"\nsecret = \"{}\"",
        APP.id, APP.key, APP.secret
    );
    let production = Setup::default().production().config(&app).start().await;
    let mut http = Http::connect(production.port).await.expect("it listens");
    assert_eq!(http.get("/").await.expect("it answers").status, 404);
    for path in ["/dev/publish", "/dev/auth"] {
        assert_eq!(http.post(path, "{}").await.expect("it answers").status, 404);
    }
    let mut client = Client::connect_as(production.port, APP.key).await;
    client.subscribe("room").await;
    Publisher::of(APP, production.port)
        .await
        .publish("room", "greeting", "{}")
        .await;
    client.expect("greeting").await;
}

// What the page publishes is judged by the same plugins as anybody's.
#[tokio::test]
async fn the_development_page_publishes_through_the_plugins() {
    let server = Setup::default().with_metrics().start().await;
    let mut client = Client::connect(server.port).await;
    let mut http = Http::connect(server.port).await.expect("it listens");
    let question = json!({ "socket_id": client.socket_id, "channel_name": "private-room" }).to_string();
    let auth = http.post("/dev/auth", &question).await.expect("it answers").json()["auth"].clone();
    client
        .send(json!({ "event": "pusher:subscribe", "data": { "channel": "private-room", "auth": auth } }))
        .await;
    client.expect("pusher_internal:subscription_succeeded").await;

    let event = json!({ "name": "greeting", "channel": "private-room", "data": DATA }).to_string();
    let (limiter, door) = ("rate-limit-local", "rate-limit");
    let before = server.calls(limiter, door).await;
    let answer = http.post("/dev/publish", &event).await.expect("it answers");
    assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    assert_eq!(client.expect("greeting").await["data"], DATA);
    assert!(server.calls(limiter, door).await > before, "the limiter was not asked");

    let deprived = Setup::default().without("rate-limit-local").start().await;
    let mut http = Http::connect(deprived.port).await.expect("it listens");
    let refused = http.post("/dev/publish", &event).await.expect("it answers");
    assert_eq!(refused.status, 503);
    assert!(refused.error().contains("rate-limit-local"));
}

// Another site's page can make a browser post a form or plain text, but not JSON, without being asked for permission.
#[tokio::test]
async fn the_development_page_does_not_publish_for_other_sites() {
    let server = Server::start().await;
    let mut http = Http::connect(server.port).await.expect("it listens");
    let event = json!({ "name": "greeting", "channel": "room", "data": "x" }).to_string();
    let length = event.len();
    for kind in [
        "",
        "content-type: text/plain\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
    ] {
        let request = format!("POST /dev/publish HTTP/1.1\r\nhost: x\r\n{kind}content-length: {length}\r\n\r\n{event}");
        let answer = http.send(&request).await.expect("it answers");
        assert_eq!(answer.status, 415, "{kind}");
        assert_ne!(answer.json()["error"], Value::Null);
    }
}

const DATA: &str = "{\"text\":\"héllo \u{1f600}\"}";

const APP: Keys = Keys {
    id: "7",
    key: "seven",
    secret: "the secret of seven",
};
