//! The same fault over and over: every call is answered, others are served meanwhile, and nothing is left behind.

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::http::Publisher;
use crate::harness::server::{Server, Setup, named};

/// A server with the guest in its chain that is never paused, or most of its faults would not happen.
async fn server(limits: &str) -> Server {
    Setup::default()
        .guest("misbehave")
        .file("misbehave.toml", format!("[limits]\npause_after = 0\n{limits}"))
        .config(super::CHAIN)
        .with_metrics()
        .start()
        .await
}

/// Has the guest misbehave in this way so many times.
async fn repeat(way: &str, times: u32, limits: &str) {
    let mut server = server(limits).await;
    let mut client = Client::connect(server.port).await;
    let mut other = Client::connect(server.port).await;
    other.subscribe("room").await;
    abuse(&mut client, &mut other, way, WARM_UP).await;
    let before = server.resident_bytes();
    abuse(&mut client, &mut other, way, times).await;
    let grown = server.resident_bytes().saturating_sub(before);
    eprintln!("{way}: {} KiB more after {times} times", grown >> 10);
    assert!(grown <= GROWTH, "{way}: {grown} bytes more after {times} times");
    assert_eq!(server.traps("misbehave", "auth").await, u64::from(WARM_UP + times));
    assert_eq!(server.traps("auth-pusher", "auth").await, 0);
    Publisher::new(server.port)
        .await
        .publish("room", "greeting", "{}")
        .await;
    other.expect("greeting").await;
    client.subscribe("room").await;
    assert!(server.runs() && !server.errors().contains("panicked at host/"), "{way}");
}

/// Each fault beside a question of another connection, which is answered whatever the fault costs.
async fn abuse(client: &mut Client, other: &mut Client, way: &str, times: u32) {
    for round in 0..times {
        client.ask(&format!("{way}-{round}")).await;
        if round % 10 == 0 {
            other.ping().await;
            other.expect("pusher:pong").await;
        }
        let refused = client.expect("pusher:subscription_error").await;
        assert_eq!(refused["data"]["status"], json!(503), "{refused}");
    }
}

#[tokio::test]
async fn traps() {
    repeat("trap", CHEAP, "").await;
}

#[tokio::test]
async fn recursion_without_end() {
    repeat("deep", CHEAP, "").await;
}

#[tokio::test]
async fn loops_without_end() {
    repeat("loop", slow(), "").await;
}

#[tokio::test]
async fn memory_without_end() {
    // Time enough that it is memory that runs out.
    repeat("memory", slow(), "cpu_ms = 100").await;
}

#[tokio::test]
async fn answers_that_one_call_has_no_memory_for() {
    repeat("huge", CHEAP, "").await;
}

#[tokio::test]
async fn answers_that_the_host_does_not_take_in() {
    repeat("large", slow(), "cpu_ms = 100").await;
}

#[tokio::test]
async fn calls_of_the_host_without_end() {
    repeat("draw", slow(), "").await;
}

#[tokio::test]
async fn log_lines_without_end() {
    repeat("chatter", slow(), "").await;
}

/// Repeats of a slow fault: `JACKFIELD_REPEATS`, for whoever has the time.
fn slow() -> u32 {
    named("JACKFIELD_REPEATS").map_or(SLOW, |repeats| {
        let repeats = repeats.to_str().and_then(|repeats| repeats.parse().ok());
        repeats.expect("JACKFIELD_REPEATS is a number")
    })
}

/// Repeats of a fault that costs microseconds.
const CHEAP: u32 = 10_000;
/// Repeats of one that costs milliseconds of a core: all tests together have to end within minutes.
const SLOW: u32 = 500;
/// Those before memory is measured, so that caches and pools are full.
const WARM_UP: u32 = 50;
/// What the server may have more behind them: twice the memory of one instance, 16 MiB.
const GROWTH: u64 = 32 << 20;

// host/docs/misbehaving-plugins.md: "An instance at the auth or webhook door that has used up half of the memory which it was left when
// it began is replaced between two calls".
#[tokio::test]
async fn a_plugin_that_leaks_is_replaced_before_it_is_full() {
    let server = server("").await;
    let mut client = Client::connect(server.port).await;
    // 64 MiB in all, four times what an instance may have.
    for round in 0..1_000 {
        let channel = format!("leak-{round}");
        client.subscribe(&channel).await;
        client.unsubscribe(&channel).await;
    }
    assert_eq!(server.traps("misbehave", "auth").await, 0);
}
