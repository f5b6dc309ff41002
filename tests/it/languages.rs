//! Plugins in other languages, and with the whole of Rust's standard library: what host/docs/plugin-authors.md shows of them
//! works, and what is not offered to them fails in order.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::harness::client::Client;
use crate::harness::server::{Server, Setup};
use crate::harness::wait::until;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

async fn with(guest: &str, more: &str) -> Server {
    let config = format!("[auth]\nchain = [\"{guest}\", \"auth-pusher\"]");
    let setup = Setup::default().guest(guest).config(&config).with_metrics();
    let setup = if more.is_empty() {
        setup
    } else {
        setup.file(&format!("{guest}.toml"), more)
    };
    let server = setup.patience(COMPILING).start().await;
    assert_eq!(server.ready().await.0, 200);
    server
}

/// What the guest of wasip2 refuses this channel with.
async fn told(client: &mut Client, channel: &str) -> (u64, String) {
    let refusal = client.refused(channel).await;
    let error = refusal["error"].as_str().expect("a text").to_owned();
    (refusal["status"].as_u64().expect("a number"), error)
}

/// Waits for a line of the server's log with all these parts.
async fn logged(server: &Server, parts: &[&str]) {
    until(&format!("a line of the log with {parts:?}"), async || {
        let log = server.errors();
        let there = log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        there.then_some(())
    })
    .await;
}

/// Refuses the one channel that it keeps closed, passes on all others, and writes into the log.
async fn keeps_its_channel_closed(guest: &str, closed: &str, reason: &str) {
    let server = with(guest, "").await;
    logged(
        &server,
        &[
            "INFO",
            &format!("{guest} began with {{}}"),
            &format!("plugin=\"{guest}\""),
        ],
    )
    .await;
    let mut client = Client::connect(server.port).await;
    assert_eq!(told(&mut client, closed).await, (403, reason.to_owned()));
    for channel in ["private-room", "room"] {
        client.subscribe(channel).await;
    }
    // As often as an interpreter would need to run out of something.
    for _ in 0..ROUNDS {
        assert_eq!(told(&mut client, closed).await.0, 403);
    }
    assert_eq!(server.traps(guest, "auth").await, 0);
}

// host/docs/plugin-authors.md, "Other languages"
#[tokio::test]
async fn a_plugin_may_be_written_in_javascript() {
    keeps_its_channel_closed(
        "javascript",
        "private-js-closed",
        "JavaScript keeps this channel closed",
    )
    .await;
}

// host/docs/plugin-authors.md, "Other languages"
#[tokio::test]
async fn a_plugin_may_be_written_in_python() {
    keeps_its_channel_closed("python", "private-python-closed", "Python keeps this channel closed").await;
}

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
    let server = with("wasip2", "").await;
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
    let server = with("wasip2", "").await;
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
    let limits = "[limits]\ncpu_ms = 1000\npause_after = 0";
    let server = with("wasip2", limits).await;
    let mut client = Client::connect(server.port).await;
    told(&mut client, "handles").await;
    let before = server.resident_kb();
    for _ in 0..20 {
        let (status, text) = told(&mut client, "handles").await;
        assert!(status == 503 && text.contains("handle"), "{text}");
    }
    let grown = server.resident_kb().saturating_sub(before);
    assert!(grown < 4 << 10, "{grown} KiB");
    client.subscribe("room").await;
}

#[test]
fn the_authors_page_shows_what_is_built() {
    let page = read("host/docs/plugin-authors.md");
    for file in [
        "closed-channels.wit",
        "javascript/guest.js",
        "javascript/build.mjs",
        "javascript/package.json",
        "javascript/build.sh",
        "python/guest.py",
        "python/build.sh",
        "python/plugin.toml",
    ] {
        let text = read(&format!("tests/guests/{file}"));
        let language = file.rsplit('.').next().expect("an ending").trim_start_matches('m');
        let block = format!("```{language}\n{text}```\n");
        assert!(
            page.contains(&block),
            "the page does not show tests/guests/{file} as it is"
        );
    }
    let python = read("tests/python/requirements.txt");
    let wanted = python.lines().find(|line| line.starts_with("componentize-py=="));
    assert!(
        page.contains(wanted.expect("it is required")),
        "the page names another version"
    );
}

/// An interpreter is 12 to 18 MB of code, and other tests have the machine too.
const COMPILING: Duration = Duration::from_secs(180);

/// Questions to one plugin.
const ROUNDS: u32 = 1_000;
