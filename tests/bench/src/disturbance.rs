//! What others notice while clients make an auth plugin loop for ever: the round trip of a ping on other connections, one on each
//! event loop, while those others are refused in the ordinary way, while the plugin is called each time (`pause_after = 0`), and with its
//! breaker.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::process::{Server, root};
use crate::subscribers::{ask, masked, open, until};

/// How long each row is measured.
const SPAN: Duration = Duration::from_secs(6);

/// More than there are event loops on a small machine; they take connections in turn.
const CONNECTIONS: usize = 4;

/// Prints a table: per row the round trips' median, 99th percentile and longest, in microseconds.
#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    println!("round trip of a ping while others make a plugin loop for ever, microseconds");
    println!("{:<44} {:>8} {:>8} {:>8}", "", "p50", "p99", "longest");
    for (name, pause_after, asked) in [
        ("others are refused as fast, by a sound plugin", 10, "private"),
        ("it is called each time", 0, "loop"),
        ("it is paused by its breaker", 10, "loop"),
    ] {
        let plugins = folder(pause_after)?;
        let times = runtime.block_on(measure(&plugins, asked));
        fs::remove_dir_all(&plugins)?;
        let times = times?;
        let at = |share: usize| times[(times.len() - 1) * share / 1_000].as_micros();
        println!("{name:<44} {:>8} {:>8} {:>8}", at(500), at(990), at(1_000));
    }
    Ok(())
}

async fn measure(plugins: &Path, asked: &'static str) -> Result<Vec<Duration>> {
    let server = Server::host_with("[auth]\nchain = [\"misbehave\", \"auth-pusher\"]", plugins, None)?;
    // Before the others: while an auth plugin is paused nobody comes in.
    let mut probes = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = open(server.address).await?;
        until(&mut stream, "connection_established").await?;
        probes.push(stream);
    }
    let mut others = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = open(server.address).await?;
        until(&mut stream, "connection_established").await?;
        others.push(stream);
    }
    let end = Instant::now() + SPAN;
    let mut attacks = tokio::task::JoinSet::new();
    for (number, mut stream) in others.into_iter().enumerate() {
        attacks.spawn(async move {
            while Instant::now() < end {
                ask(&mut stream, &format!("{asked}-{number}")).await?;
                until(&mut stream, "subscription_error").await?;
            }
            anyhow::Ok(())
        });
    }
    let mut times = Vec::new();
    while Instant::now() < end {
        for probe in &mut probes {
            times.push(ping(probe).await?);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while let Some(attack) = attacks.join_next().await {
        attack??;
    }
    times.sort_unstable();
    Ok(times)
}

async fn ping(stream: &mut TcpStream) -> Result<Duration> {
    let begun = Instant::now();
    stream.write_all(&masked(br#"{"event":"pusher:ping"}"#)).await?;
    until(stream, "pusher:pong").await?;
    Ok(begun.elapsed())
}

/// A plugins folder with the default plugins and the one that loops.
fn folder(pause_after: u32) -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("jackfield-bench-{}-{pause_after}", std::process::id()));
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(root()?.join("plugins"))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    fs::copy(
        root()?.join("target/guests/misbehave.wasm"),
        folder.join("misbehave.wasm"),
    )?;
    fs::write(
        folder.join("misbehave.toml"),
        format!("[limits]\npause_after = {pause_after}\n"),
    )?;
    Ok(folder)
}
