//! A plugin that breaks in every way that it can: it harms the question that it was asked, and nothing else.

mod bombs;
mod calls;
mod files;
mod many;

use serde_json::Value;

use crate::harness::client::{Client, Heard};
use crate::harness::http::Publisher;
use crate::harness::server::Setup;
use crate::harness::wait::until;

const CHAIN: &str = "[auth]\nchain = [\"misbehave\", \"auth-pusher\"]";

// ARCHITECTURE.md: "A trap discards the instance, answers by the door's policy (auth: refuse), and counts." ARCHITECTURE.md: "a
// bad plugin never takes the server down".
#[tokio::test]
async fn a_broken_answer_refuses_one_subscription_and_no_more() {
    // It neither rests nor is paused.
    let server = Setup::default()
        .guest("misbehave")
        .file("misbehave.toml", "[limits]\npause_after = 0")
        .config(CHAIN)
        .with_metrics()
        .start()
        .await;
    let mut client = Client::connect(server.port).await;
    let mut other = Client::connect(server.port).await;
    let mut publisher = Publisher::new(server.port).await;
    other.subscribe("room").await;
    for (round, way) in ["trap", "loop", "memory", "deep", "trap"].iter().enumerate() {
        let refusal = client.refused(&format!("{way}-channel")).await;
        assert_eq!(refusal["status"], 503, "{refusal}");
        let error = refusal["error"].as_str().expect("a text");
        assert!(error.contains("`misbehave`") && error.contains("auth door"), "{error}");

        // The next question, of the same connection and at once, is answered by a fresh instance.
        client.subscribe(&format!("room-{round}")).await;
        publisher.publish("room", "greeting", "{}").await;
        other.expect("greeting").await;
        publisher.publish(&format!("room-{round}"), "greeting", "{}").await;
        client.expect("greeting").await;
        assert_eq!(server.traps("misbehave", "auth").await, round as u64 + 1, "after {way}");
    }
    assert_eq!(server.ready().await.0, 200, "a trap closes no door");
    assert_eq!(server.traps("auth-pusher", "auth").await, 0);
}

// host/docs/misbehaving-plugins.md: "Where such a call has held up others, the plugin rests at once for 20 ms, and is then called by
// one at a time until a call goes well."
#[tokio::test]
async fn a_plugin_that_holds_up_others_rests_before_it_is_called_again() {
    let server = Setup::default()
        .guest("misbehave")
        .config(CHAIN)
        .with_metrics()
        .start()
        .await;
    let mut client = Client::connect(server.port).await;
    for (round, way) in ["loop-room", "memory-room"].iter().enumerate() {
        let refusal = client.refused(way).await;
        assert_eq!(refusal["status"], 503, "{refusal}");
        comes_back(&mut client).await;
        client.unsubscribe("room").await;
        assert_eq!(server.traps("misbehave", "auth").await, round as u64 + 1, "after {way}");
    }
    assert_eq!(
        server
            .metric(r#"jackfield_plugin_pauses_total{plugin="misbehave",door="auth"}"#)
            .await,
        0
    );
}

// The same: two such calls never stand in a row in front of those who wait for that thread.
#[tokio::test]
async fn who_asks_behind_a_call_that_was_stopped_is_refused_without_another() {
    // It is never paused in this test.
    let server = Setup::default()
        .guest("misbehave")
        .file("misbehave.toml", "[limits]\npause_after = 1000")
        .config(CHAIN)
        .with_metrics()
        .start()
        .await;
    let mut client = Client::connect(server.port).await;
    for _ in 0..PAIRS {
        client.ask("loop-room").await;
        client.ask("loop-other").await;
        for _ in 0..2 {
            let refusal = client.expect("pusher:subscription_error").await;
            assert_eq!(refusal["data"]["status"], 503, "{refusal}");
        }
        comes_back(&mut client).await;
        client.unsubscribe("room").await;
    }
    // The second of a pair may come too late where the machine stands still meanwhile.
    let stopped = server.traps("misbehave", "auth").await;
    assert!((PAIRS..2 * PAIRS).contains(&stopped), "{stopped} of {PAIRS} pairs");
}

/// Pairs of questions that a plugin cannot answer: of at least one the second must come within the rest.
const PAIRS: u64 = 5;

/// Asks until the plugin is called again.
async fn comes_back(client: &mut Client) {
    until("the plugin to be called again", async || {
        client.ask("room").await;
        let Heard::Text(answer) = client.hear().await else {
            panic!("the connection goes on");
        };
        (answer["event"] == "pusher_internal:subscription_succeeded").then_some(())
    })
    .await;
}

// The instances that are thrown away are given back, over and over.
#[tokio::test]
async fn a_hundred_traps_leave_room_for_the_next_question() {
    let server = Setup::default()
        .guest("misbehave")
        .file("misbehave.toml", "[limits]\npause_after = 0")
        .config(CHAIN)
        .start()
        .await;
    let mut client = Client::connect(server.port).await;
    for round in 0..100 {
        client.refused(&format!("memory-{round}")).await;
        client.refused(&format!("trap-{round}")).await;
    }
    client.subscribe("room").await;
}

// host/docs/misbehaving-plugins.md: "Ten traps within ten seconds pause the plugin: for five seconds nobody calls it and its
// door answers at once. Then one call is let through."
#[tokio::test]
async fn a_plugin_that_traps_again_and_again_is_paused_and_comes_back() {
    let server = Setup::default()
        .guest("misbehave")
        .config(CHAIN)
        .with_metrics()
        .start()
        .await;
    let mut client = Client::connect(server.port).await;
    let pauses = r#"jackfield_plugin_pauses_total{plugin="misbehave",door="auth"}"#;
    // Where the machine was busy a trap may have taken long enough to be followed by a rest, and to weigh more.
    until("the plugin to be paused", async || {
        client.refused("trap-room").await;
        (server.metric(pauses).await == 1).then_some(())
    })
    .await;
    let traps = server.traps("misbehave", "auth").await;
    assert!((3..=10).contains(&traps), "{traps}");
    let paused = r#"jackfield_plugin_paused{plugin="misbehave",door="auth"}"#;
    assert_eq!(server.metric(paused).await, 1);
    let calls = server.calls("misbehave", "auth").await;
    for round in 0..100 {
        let refusal = client.refused(&format!("room-{round}")).await;
        let error = refusal["error"].as_str().expect("a text");
        assert!(error.contains("paused"), "{error}");
    }
    assert_eq!(server.calls("misbehave", "auth").await, calls, "nobody calls it");
    comes_back(&mut client).await;
    assert_eq!(server.metric(paused).await, 0);
    assert_eq!(server.ready().await.0, 200, "a pause closes no instance");
}

// The plugin's own reason reaches the operator and whoever asks at the door.
#[tokio::test]
async fn a_plugin_may_refuse_to_start() {
    let config = format!("{CHAIN}\n[plugin.misbehave]\nrefuse = \"out of sorts\"");
    let server = Setup::default().guest("misbehave").config(&config).start().await;
    let (status, body) = server.ready().await;
    assert_eq!(status, 503);
    check(&body["reasons"][0]);
    let mut client = Client::open(server.port, "/app/app-key?protocol=7").await;
    check(&client.expect("pusher:error").await["data"]["message"]);
    assert_eq!(client.expect_close().await, 4100);
}

fn check(message: &Value) {
    let message = message.as_str().expect("a text");
    for part in ["misbehave", "out of sorts", "auth"] {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}
