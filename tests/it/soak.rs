//! Changes under load, over and over: a few of each kind with all other tests, a thousand with `cargo xtask soak`.
//!
//! Three instances over a broker, each with a backend that publishes numbers at a steady rate and a subscriber that writes down
//! what it hears. Whatever is changed meanwhile: everything is acknowledged, and heard once and in order by everybody.

mod picture;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jackfield_protocol::signature::sha256_hex;
use tokio::time::sleep;

use crate::harness::brokers::Broker;
use crate::harness::fleet::{Fleet, Way};
use crate::harness::http::{Http, get};
use crate::harness::load::Load;
use crate::harness::server::{Server, Setup, named};
use crate::instances::swaps::{nats, over, redis, swap, three};
use crate::reload::{another, put, read, shown};
use picture::Picture;

/// What a kind of change came to, beside the same load without it.
struct Row {
    kind: String,
    changes: u32,
    acknowledged: usize,
    heard: usize,
    quiet: Vec<Duration>,
    during: Vec<Duration>,
    /// Resident bytes of the three processes together.
    before: u64,
    after: u64,
}

#[tokio::test]
async fn new_versions_of_every_plugin_go_unnoticed() {
    let broker = Broker::redis().await;
    let way = Way::new("adapter-redis", "REDIS_URL", &broker.url());
    let fleet = Fleet::of((0..3).map(|_| way.setup(Setup::default().with_metrics())).collect()).await;
    let mut rows = Vec::new();
    for plugin in ["auth-pusher", "rate-limit-local", "webhook-http", "adapter-redis"] {
        let component = read(&fleet.servers[0].plugin_file(&format!("{plugin}.wasm")));
        let change = async |server: &Server, number| replace(server, plugin, &another(&component, number)).await;
        rows.push(changes(&fleet, &format!("new version of `{plugin}`"), change).await);
    }
    write("versions.md", &table(&rows));
}

#[tokio::test]
async fn other_values_in_the_files_of_an_operator_go_unnoticed() {
    let broker = Broker::redis().await;
    let fleet = three(&redis(&broker)).await;
    let generation = |number: u32| u64::from(number) / fleet.servers.len() as u64 + 2;
    let configuration = async |server: &Server, number| {
        let timeout = 100 + number % 2;
        server.reconfigure(&over(&format!("activity_timeout = {timeout}\n{}", redis(&broker))));
        let used = async || get(server.metrics_port(), "/config").await.json()["generation"].as_u64();
        ask(server, "/config/reload").await;
        assert_eq!(used().await, Some(generation(number)));
    };
    let limits = async |server: &Server, number| {
        put(
            server,
            "rate-limit-local.toml",
            format!("[limits]\ncpu_ms = {}\n", 2 + number % 2).as_bytes(),
        );
        ask(server, "/plugins/rate-limit-local/reload").await;
        let live = shown(server, "rate-limit-local").await;
        assert_eq!(live["version"]["generation"], generation(number), "{live}");
    };
    let rows = [
        changes(&fleet, "another value in the configuration", configuration).await,
        changes(&fleet, "another limit of `rate-limit-local`", limits).await,
    ];
    write("values.md", &table(&rows));
}

/// Each change is one instance's; all of them are there before the next begins.
async fn changes(fleet: &Fleet, kind: &str, change: impl AsyncFn(&Server, u32)) -> Row {
    let changes = asked().unwrap_or(SHORT);
    // What is loaded for the first time, and what a process takes for it, is there before the figures are taken.
    let servers = fleet.servers.len() as u32;
    let make = async |number: u32| change(&fleet.servers[(number % servers) as usize], number).await;
    for number in 0..servers {
        make(number).await;
    }
    let load = Load::over(fleet).await;
    let before = resident(fleet);
    let began = Instant::now();
    sleep(quiet()).await;
    let changing = Instant::now();
    for number in servers..servers + changes {
        make(number).await;
    }
    let done = Instant::now();
    // The version before the live one is kept for thirty seconds.
    sleep(if asked().is_some() { KEPT } else { Duration::ZERO }).await;
    let after = resident(fleet);
    let (quiet, during) = (load.delays(began, changing), load.delays(changing, done));
    let verdict = load.end().await;
    assert_eq!((verdict.refused, verdict.closed), (0, vec![0, 0, 0]), "{kind}");
    let (acknowledged, heard) = (verdict.acknowledged, verdict.heard);
    assert!(heard >= 3 * acknowledged, "{heard} of 3 x {acknowledged}");
    Row {
        kind: kind.to_owned(),
        changes,
        acknowledged,
        heard,
        quiet,
        during,
        before,
        after,
    }
}

// README: from Redis to NATS and back.
#[tokio::test]
async fn from_one_broker_to_another_and_back_goes_unnoticed() {
    let (first, second) = (Broker::redis().await, Broker::nats().await);
    let fleet = three(&redis(&first)).await;
    let load = Load::over(&fleet).await;
    let before = resident(&fleet);
    let began = Instant::now();
    sleep(quiet()).await;
    let changing = Instant::now();
    let mut picture = Picture::new(began);
    let rounds = asked().map_or(1, |changes| (changes / BROKER_SHARE).max(1));
    for _ in 0..rounds {
        for (adapter, name) in [(nats(&second), "adapter-nats"), (redis(&first), "adapter-redis")] {
            picture.mark(&format!("to {}", name.trim_start_matches("adapter-")));
            swap(&fleet, &adapter, name).await;
            picture.mark("all are there");
            sleep(quiet()).await;
        }
    }
    let done = Instant::now();
    let after = resident(&fleet);
    let (quiet, during) = (load.delays(began, changing), load.delays(changing, done));
    picture.draw(&load.deliveries());
    let verdict = load.end().await;
    assert_eq!((verdict.refused, verdict.closed), (0, vec![0, 0, 0]));
    let row = Row {
        kind: "another broker, instance after instance".to_owned(),
        changes: 2 * rounds,
        acknowledged: verdict.acknowledged,
        heard: verdict.heard,
        quiet,
        during,
        before,
        after,
    };
    write("brokers.md", &table(&[row]));
    write("brokers.svg", &picture.svg());
}

/// Puts a version into the folder and has the server load it, if it has not seen it already.
async fn replace(server: &Server, plugin: &str, component: &[u8]) {
    put(server, &format!("{plugin}.wasm"), component);
    let answer = ask(server, &format!("/plugins/{plugin}/reload")).await;
    let live = shown(server, plugin).await;
    assert_eq!(live["version"]["digest"], sha256_hex(component), "{answer}");
}

/// Asks for something at the operators' listener, which says what came of it.
async fn ask(server: &Server, path: &str) -> String {
    let http = Http::connect(server.metrics_port()).await;
    let mut http = http.expect("the operators' listener accepts connections");
    let answer = http.post(path, "").await.expect("it answers");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn resident(fleet: &Fleet) -> u64 {
    fleet.servers.iter().map(Server::resident_bytes).sum()
}

fn table(rows: &[Row]) -> String {
    let mut text = "| what is changed | how often | acknowledged | heard | lost, doubled, out of order, refused | delivery quiet, p50 / p99 ms | \
                    during, p50 / p99 ms | memory of three, before and after |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for row in rows {
        let (kind, changes, acknowledged, heard) = (&row.kind, row.changes, row.acknowledged, row.heard);
        let (quiet, during) = (percentiles(&row.quiet), percentiles(&row.during));
        let (before, after) = (row.before >> 20, row.after >> 20);
        text += &format!(
            "| {kind} | {changes} | {acknowledged} | {heard} | 0 | {quiet} | {during} | {before} MiB, {after} MiB |\n"
        );
    }
    text
}

fn percentiles(delays: &[Duration]) -> String {
    let mut delays = delays.to_vec();
    delays.sort_unstable();
    let at = |part: usize| {
        let delay = delays.get((delays.len() * part / 100).min(delays.len().saturating_sub(1)));
        delay.copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    format!("{:.2} / {:.2}", at(50), at(99))
}

/// How many changes of each kind are asked for; none: this is one test among many.
fn asked() -> Option<u32> {
    let text = named("JACKFIELD_CHANGES")?;
    Some(text.to_str().and_then(|text| text.parse().ok()).expect("a number"))
}

/// How long the load runs undisturbed, for comparison.
fn quiet() -> Duration {
    Duration::from_secs(if asked().is_some() { 10 } else { 1 })
}

/// Prints it, and keeps it where `cargo xtask soak` wants it.
fn write(name: &str, text: &str) {
    if let Some(folder) = named("JACKFIELD_SOAK").map(PathBuf::from) {
        fs::create_dir_all(&folder).expect("the folder can be made");
        fs::write(folder.join(name), text).expect("the folder is ours");
    }
    if !name.ends_with(".svg") {
        eprintln!("{text}");
    }
}

/// Enough to see that it works.
const SHORT: u32 = 6;

/// To another broker takes some seconds: of a thousand changes so many fewer.
const BROKER_SHARE: u32 = 50;

/// A little longer than the version before the live one is kept.
const KEPT: Duration = Duration::from_secs(35);
