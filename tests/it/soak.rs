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

use crate::harness::brokers::{Broker, RedisCluster};
use crate::harness::fleet::{Fleet, Way};
use crate::harness::http::{Http, get};
use crate::harness::load::Load;
use crate::harness::server::{Server, Setup, named};
use crate::instances::swaps::{nats, over, redis, redis_cluster, swap, three};
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
    /// Resident bytes of all processes together.
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
    let change_all = async || {
        for number in servers..servers + changes {
            make(number).await;
        }
    };
    under_load(kind, changes, fleet, change_all).await.0
}

/// A load while something is changed `changes` times. With it, its deliveries.
async fn under_load(
    kind: &str,
    changes: u32,
    fleet: &Fleet,
    change: impl AsyncFnOnce(),
) -> (Row, Vec<(Instant, Duration)>) {
    let load = Load::over(fleet).await;
    let before = resident(fleet);
    let began = Instant::now();
    sleep(quiet()).await;
    let changing = Instant::now();
    change().await;
    let done = Instant::now();
    // The version before the live one is kept for thirty seconds.
    sleep(if asked().is_some() { KEPT } else { Duration::ZERO }).await;
    let (quiet, during) = (load.delays(began, changing), load.delays(changing, done));
    let (after, deliveries) = (resident(fleet), load.deliveries());
    let verdict = load.end().await;
    assert_eq!((verdict.refused, verdict.closed), (0, vec![0, 0, 0]), "{kind}");
    let (acknowledged, heard) = (verdict.acknowledged, verdict.heard);
    assert!(heard >= 3 * acknowledged, "{heard} of 3 x {acknowledged}");
    let row = Row {
        kind: kind.to_owned(),
        changes,
        acknowledged,
        heard,
        quiet,
        during,
        before,
        after,
    };
    (row, deliveries)
}

// README: from one broker to another.
#[tokio::test]
async fn from_one_broker_to_another_and_back_goes_unnoticed() {
    let (first, second, third) = (Broker::redis().await, Broker::nats().await, RedisCluster::start().await);
    let ways = [
        (redis(&first), "adapter-redis"),
        (nats(&second), "adapter-nats"),
        (redis_cluster(&third), "adapter-redis-cluster"),
    ];
    let (row, picture) = swaps("another broker, instance after instance", &ways).await;
    write("brokers.md", &table(&[row]));
    write("brokers.svg", &picture.svg());
}

#[tokio::test]
async fn from_one_prefix_to_another_and_back_goes_unnoticed() {
    let broker = Broker::redis().await;
    let apart = format!("{}\nredis.prefix = \"apart:\"", redis(&broker));
    let ways = [(redis(&broker), "adapter-redis"), (apart, "adapter-redis")];
    let (row, _) = swaps("another prefix, instance after instance", &ways).await;
    write("prefixes.md", &table(&[row]));
}

/// Has three instances go from each of these adapters to the next and at last to the first again, over and over: each from one to the
/// next is a change of every instance.
async fn swaps(kind: &str, ways: &[(String, &'static str)]) -> (Row, Picture) {
    let fleet = three(&ways[0].0).await;
    let round = (ways.len() * fleet.servers.len()) as u32;
    let rounds = asked().map_or(1, |changes| changes.div_ceil(round));
    if asked().is_some() {
        // Every adapter is loaded before the figures are taken.
        go_round(&fleet, ways, 1).await;
    }
    let mut marks = Vec::new();
    let swap_all = async || marks = go_round(&fleet, ways, rounds).await;
    let (row, deliveries) = under_load(kind, rounds * round, &fleet, swap_all).await;
    let first_round = &marks[..2 * ways.len()];
    let (first, last) = (first_round[0].0, first_round[first_round.len() - 1].0);
    (
        row,
        Picture::of(first - MARGIN..last + MARGIN, first_round, &deliveries),
    )
}

/// Has a fleet go from each adapter to the next, so many times round. What happened when.
async fn go_round(fleet: &Fleet, adapters: &[(String, &'static str)], rounds: u32) -> Vec<(Instant, String)> {
    let swaps = adapters.len() * rounds as usize;
    let mut marks = Vec::new();
    for (adapter, name) in adapters.iter().cycle().skip(1).take(swaps) {
        marks.push((Instant::now(), format!("to {}", name.trim_start_matches("adapter-"))));
        swap(fleet, adapter, name).await;
        marks.push((Instant::now(), "all are there".to_owned()));
        sleep(PAUSE).await;
    }
    marks
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
                    during, p50 / p99 ms | memory of all, before and after |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
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

/// How long the load runs undisturbed, for comparison: long enough that the 99th percentile is not one pause of the machine.
fn quiet() -> Duration {
    Duration::from_secs(if asked().is_some() { 60 } else { 1 })
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

/// What a picture shows before the first change and behind the last one.
const MARGIN: Duration = Duration::from_secs(8);

/// Between two swaps of a fleet.
const PAUSE: Duration = Duration::from_millis(500);

/// A little longer than the version before the live one is kept.
const KEPT: Duration = Duration::from_secs(35);
