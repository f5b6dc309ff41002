//! Plugins in other languages, and with the whole of Rust's standard library: what host/docs/plugin-authors.md shows of them
//! works, and what is not offered to them fails in order.

mod wasip2;

use std::fs;
use std::path::Path;
use std::time::Duration;

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
