//! Guests for wasm32-wasip2, with the whole of Rust's standard library. Where that target cannot be had, `cargo xtask test` leaves
//! these tests out and says so.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{logged, told, with};
use crate::harness::client::Client;

/// It is asked behind a trap too, however long that took.
const NO_REST: &str = "[limits]\npause_after = 0";

#[tokio::test]
async fn a_plugin_built_by_cargo_alone_has_its_standard_library() {
    let server = with("wasip2", "").await;
    let mut client = Client::connect(server.port).await;

    assert_eq!(told(&mut client, "print").await, (403, "printed".to_owned()));
    logged(&server, &["INFO", "printed to the end", "plugin=\"wasip2\""]).await;
    logged(&server, &["WARN", "complained", "plugin=\"wasip2\""]).await;

    let clocks = told(&mut client, "clocks").await.1;
    let (seconds, goes_on) = clocks.split_once(' ').expect("two words");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later")
        .as_secs();
    let seconds: u64 = seconds.parse().expect("seconds");
    assert!((now - 60..=now + 1).contains(&seconds), "{seconds} is not now, {now}");
    assert_eq!(goes_on, "true");

    for (channel, answer) in [("input", "Ok(\"\")"), ("environment", "0 0 ")] {
        let (status, text) = told(&mut client, channel).await;
        assert!(status == 403 && text.starts_with(answer), "{channel}: {text}");
    }
    client.subscribe("private-room").await;
    assert_eq!(server.traps("wasip2", "auth").await, 0);
}

// Keys that clients choose must not collide at will, so the order of a map is another one in each instance.
#[tokio::test]
async fn its_hash_maps_are_seeded_anew_in_each_instance() {
    let server = with("wasip2", NO_REST).await;
    let mut client = Client::connect(server.port).await;
    let first = told(&mut client, "order").await;
    assert_eq!(told(&mut client, "panic").await.0, 503);
    let second = told(&mut client, "order").await;
    assert_eq!((first.0, second.0), (403, 403));
    assert_ne!(first.1, second.1);
}

// host/docs/misbehaving-plugins.md: WASI is "reduced": "no files, no sockets, no environment".
#[tokio::test]
async fn what_is_not_offered_fails_in_order() {
    let server = with("wasip2", NO_REST).await;
    let mut client = Client::connect(server.port).await;
    // Errors like others, which a program may handle: there is no folder to look into.
    for channel in ["file", "write"] {
        let (status, text) = told(&mut client, channel).await;
        assert!(status == 403 && text.starts_with("Err("), "{channel}: {text}");
    }
    assert_eq!(server.traps("wasip2", "auth").await, 0);
    // Traps, which say what was asked for.
    for (channel, reason) in [
        ("socket", "wasi:sockets/"),
        ("exit", "`exit`"),
        ("sleep", "`jackfield:host/wait`"),
        ("panic", ""),
    ] {
        let (status, text) = told(&mut client, channel).await;
        assert!(status == 503 && text.contains(reason), "{channel}: {text}");
    }
    logged(&server, &["asked to panic", "plugin=\"wasip2\""]).await;
    client.subscribe("room").await;
    assert_eq!(server.traps("wasip2", "auth").await, 4);
}

// host/docs/misbehaving-plugins.md: "log lines a second | … | counted and dropped", whichever way they are written.
#[tokio::test]
async fn what_it_prints_is_bounded_like_what_it_logs() {
    let limits = "[limits]\ncpu_ms = 100\nlog_lines_per_second = 10";
    let server = with("wasip2", limits).await;
    let mut client = Client::connect(server.port).await;
    assert_eq!(told(&mut client, "print-much").await.0, 403);
    let log = server.errors();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("of a flood") || line.contains("longlong"))
        .collect();
    assert!(lines.iter().all(|line| line.len() < 2_200), "a line without end is cut");
    // The call may have met the end of a second.
    assert!((10..=20).contains(&lines.len()), "{} of 1,002 lines", lines.len());
}

// A handle is a little of the host's own memory, so a guest that hoards them is stopped long before a million.
#[tokio::test]
async fn handles_do_not_fill_the_host() {
    let limits = "[limits]\ncpu_ms = 1000\nmemory_mb = 64\npause_after = 0";
    let server = with("wasip2", limits).await;
    let mut client = Client::connect(server.port).await;
    told(&mut client, "handles").await;
    let before = server.resident_bytes();
    for _ in 0..20 {
        let (status, text) = told(&mut client, "handles").await;
        assert!(status == 503 && text.contains("handle"), "{text}");
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes");
    client.subscribe("room").await;
}
