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
use crate::cores::Cores;
use crate::process::{Server, root};
use crate::publisher::{Publisher, event, signed};
use crate::raw_broker::{Brokers, Kind};

/// How often each row is measured, with servers of its own: a plugin is called until it is paused, which is over soon.
const RUNS: usize = 7;

/// How long one run takes.
const SPAN: Duration = Duration::from_secs(1);

/// More than there are event loops on a small machine; they take connections in turn.
const CONNECTIONS: usize = 4;

/// What an event holds, and nothing else.
const HEARD: &str = "<heard>";

/// What others notice in one run.
#[derive(Default)]
struct Noticed {
    pings: Vec<Duration>,
    deliveries: Vec<Duration>,
    /// What the event loop computed during each ping: what the delay has of the machine's own pauses is not in it.
    computed: Vec<Duration>,
}

/// Prints a table: per row the median and the 99th percentile of all three in all runs, and the longest of a run as the
/// median of the runs, and the longest of all, in microseconds.
#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
pub(crate) fn run(only: &str) -> Result<()> {
    let cores = Cores::divide()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!(
        "others, while {CONNECTIONS} clients are refused as fast as they ask, microseconds: p50, p99, longest of a run, of all"
    );
    println!(
        "{:<44} {:^31} {:^31} {:^31}",
        "they are refused because the plugin", "ping", "delivery", "computed during a ping"
    );
    for (name, pause_after, asked) in ROWS.into_iter().filter(|(name, ..)| name.contains(only)) {
        let plugins = folder(pause_after)?;
        let runs = runtime.block_on(runs(&plugins, asked, &cores));
        fs::remove_dir_all(&plugins)?;
        let runs = runs?;
        let of = |what: fn(&Noticed) -> &Vec<Duration>| columns(runs.iter().map(what));
        let (pings, deliveries) = (of(|run| &run.pings), of(|run| &run.deliveries));
        println!("{name:<44} {pings} {deliveries} {}", of(|run| &run.computed));
    }
    Ok(())
}

fn columns<'a>(runs: impl Iterator<Item = &'a Vec<Duration>> + Clone) -> String {
    let mut longest: Vec<Duration> = runs.clone().filter_map(|run| run.iter().max().copied()).collect();
    longest.sort_unstable();
    let mut times: Vec<Duration> = runs.flatten().copied().collect();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_micros();
    let longest = (longest[longest.len() / 2].as_micros(), at(100));
    format!("{:>7} {:>7} {:>7} {:>7}", at(50), at(99), longest.0, longest.1)
}

/// An instance with the plugin, and one without, around a broker.
struct Pair {
    server: Server,
    elsewhere: Server,
    _brokers: Brokers,
}

/// One run after the other. That two instances find each other takes seconds, so all pairs do it at the same time.
async fn runs(plugins: &Path, asked: &'static str, cores: &Cores) -> Result<Vec<Noticed>> {
    let mut pairs = Vec::new();
    for _ in 0..RUNS {
        let brokers = Brokers::start(Kind::Redis).await;
        let (variable, address) = brokers.address();
        let start = |lines, plugins: &Path| Server::host_with(lines, plugins, Some((variable, &address)));
        let attacked = || start("[auth]\nchain = [\"misbehave\", \"auth-pusher\"]", plugins);
        pairs.push(Pair {
            server: cores.start(attacked)?,
            elsewhere: start("", &root()?.join("plugins"))?,
            _brokers: brokers,
        });
    }
    for pair in &pairs {
        pair.server.is_ready().await?;
        pair.elsewhere.is_ready().await?;
    }
    let mut runs = Vec::new();
    for Pair { server, elsewhere, .. } in pairs {
        runs.push(measure(&server, &elsewhere, asked).await?);
    }
    Ok(runs)
}

async fn measure(server: &Server, elsewhere: &Server, asked: &'static str) -> Result<Noticed> {
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
    let account = server.event_loop()?;
    let mut noticed = Noticed::default();
    while Instant::now() < end {
        for probe in &mut probes {
            let before = account.spent()?;
            noticed.pings.push(ping(probe).await?);
            noticed.computed.push(account.spent()? - before);
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
const ROWS: [(&str, u32, &str); 10] = [
    ("is sound, and says no", 10, "private"),
    ("traps, and is paused by its breaker", 10, "trap"),
    ("loops for ever, and is paused", 10, "loop"),
    ("recurses for ever, and is paused", 10, "deep"),
    ("takes memory without end, and is paused", 10, "memory"),
    ("answers with 8 MiB, and is paused", 10, "huge"),
    ("answers with all it may take, and is paused", 10, "large"),
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
