//! What others notice while clients have an auth plugin break in every way that it can.
//!
//! Measured on other connections, one on each event loop: the round trip of a ping, and the time that an event takes which another
//! instance, without that plugin, is asked to publish. (The instance itself refuses publishes while an auth plugin is paused.) The
//! clients go on as fast as they are refused.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::{ask, masked, open, until};
use crate::process::{Server, root};
use crate::publisher::{Publisher, event, signed};
use crate::raw_broker::{Brokers, Kind};

/// How long each row is measured.
const SPAN: Duration = Duration::from_secs(6);

/// More than there are event loops on a small machine; they take connections in turn.
const CONNECTIONS: usize = 4;

/// What an event holds, and nothing else.
const HEARD: &str = "<heard>";

/// What others notice, sorted.
#[derive(Default)]
struct Noticed {
    pings: Vec<Duration>,
    deliveries: Vec<Duration>,
}

/// Prints a table: per row the median, 99th percentile and longest of both, in microseconds.
#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    println!("others, while {CONNECTIONS} clients are refused as fast as they ask, microseconds: p50, p99, longest");
    println!(
        "{:<44} {:^26} {:^26}",
        "they are refused because the plugin", "ping", "delivery"
    );
    let brokers = runtime.block_on(Brokers::start(Kind::Redis));
    for (name, pause_after, asked) in ROWS {
        let plugins = folder(pause_after)?;
        let noticed = runtime.block_on(measure(&brokers, &plugins, asked));
        fs::remove_dir_all(&plugins)?;
        let noticed = noticed?;
        let (pings, deliveries) = (columns(&noticed.pings), columns(&noticed.deliveries));
        println!("{name:<44} {pings} {deliveries}");
    }
    Ok(())
}

fn columns(times: &[Duration]) -> String {
    let at = |share: usize| times[(times.len() - 1) * share / 1_000].as_micros();
    format!("{:>8} {:>8} {:>8}", at(500), at(990), at(1_000))
}

async fn measure(brokers: &Brokers, plugins: &Path, asked: &'static str) -> Result<Noticed> {
    let (variable, address) = brokers.address();
    let start = |lines, plugins: &Path| Server::host_with(lines, plugins, Some((variable, &address)));
    let server = start("[auth]\nchain = [\"misbehave\", \"auth-pusher\"]", plugins)?;
    let elsewhere = start("", &root()?.join("plugins"))?;
    for server in [&server, &elsewhere] {
        server.is_ready().await?;
    }
    // Before the others: while an auth plugin is paused nobody comes in.
    let mut probes = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = open(server.entry.address).await?;
        ask(&mut stream, "room").await?;
        until(&mut stream, "subscription_succeeded").await?;
        probes.push(stream);
    }
    let mut publisher = Publisher::new(TcpStream::connect(elsewhere.entry.address).await?);
    let request = signed("events", &event("room", HEARD))?;
    let end = Instant::now() + SPAN;
    let mut attacks = attack(server.entry.address, asked, end).await?;
    let mut noticed = Noticed::default();
    while Instant::now() < end {
        for probe in &mut probes {
            noticed.pings.push(ping(probe).await?);
        }
        let begun = Instant::now();
        publisher.send(&request).await?;
        for probe in &mut probes {
            until(probe, HEARD).await?;
            noticed.deliveries.push(begun.elapsed());
        }
        publisher.answered().await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while let Some(attack) = attacks.join_next().await {
        attack??;
    }
    noticed.pings.sort_unstable();
    noticed.deliveries.sort_unstable();
    Ok(noticed)
}

/// Clients that ask until the end for what the plugin breaks at.
async fn attack(server: SocketAddr, asked: &'static str, end: Instant) -> Result<JoinSet<Result<()>>> {
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = open(server).await?;
        until(&mut stream, "connection_established").await?;
        streams.push(stream);
    }
    let mut attacks = JoinSet::new();
    for (number, mut stream) in streams.into_iter().enumerate() {
        attacks.spawn(async move {
            while Instant::now() < end {
                ask(&mut stream, &format!("{asked}-{number}")).await?;
                until(&mut stream, "subscription_error").await?;
            }
            anyhow::Ok(())
        });
    }
    Ok(attacks)
}

async fn ping(stream: &mut TcpStream) -> Result<Duration> {
    let begun = Instant::now();
    stream.write_all(&masked(br#"{"event":"pusher:ping"}"#)).await?;
    until(stream, "pusher:pong").await?;
    Ok(begun.elapsed())
}

/// What is said of the plugin, after how many failures it is paused (0: never), and the word at which it breaks.
const ROWS: [(&str, u32, &str); 9] = [
    ("is sound, and says no", 10, "private"),
    ("traps, and is paused by its breaker", 10, "trap"),
    ("loops for ever, and is paused", 10, "loop"),
    ("recurses for ever, and is paused", 10, "deep"),
    ("takes memory without end, and is paused", 10, "memory"),
    ("answers with 8 MiB, and is paused", 10, "huge"),
    ("calls the host without end, and is paused", 10, "draw"),
    ("logs without end, and is paused", 10, "chatter"),
    ("loops for ever, and is called each time", 0, "loop"),
];

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
