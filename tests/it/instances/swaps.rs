//! From one broker to another under load: the configuration of one instance after the other is changed.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use crate::harness::brokers::{Broker, RedisCluster};
use crate::harness::client::Client;
use crate::harness::fleet::{Fleet, joined};
use crate::harness::http::get;
use crate::harness::load::Load;
use crate::harness::server::{Server, Setup};
use crate::harness::wait::{GLANCE, within};

/// An instance that is told by its configuration alone over which broker it goes.
pub(crate) fn over(adapter: &str) -> Setup {
    let plugins = ["adapter-redis", "adapter-redis-cluster", "adapter-nats"];
    let setup = plugins.iter().fold(Setup::default(), |setup, name| setup.built(name));
    setup.with_metrics().config(adapter)
}

pub(crate) fn redis(redis: &Broker) -> String {
    format!("[adapter]\ndriver = \"redis\"\nredis.url = \"{}\"", redis.url())
}

pub(crate) fn nats(nats: &Broker) -> String {
    format!("[adapter]\ndriver = \"nats\"\nnats.servers = [\"{}\"]", nats.url())
}

pub(crate) fn redis_cluster(cluster: &RedisCluster) -> String {
    let nodes = cluster.urls().join("\", \"");
    format!("[adapter]\ndriver = \"redis-cluster\"\nredis-cluster.nodes = [\"{nodes}\"]")
}

pub(crate) async fn three(adapter: &str) -> Fleet {
    Fleet::of((0..3).map(|_| over(adapter)).collect()).await
}

/// What the server says of its adapters.
async fn adapters(server: &Server) -> Value {
    get(server.metrics_port(), "/adapters").await.json()
}

/// The state of the adapter that the configuration names, and whether it is the only one that is used.
async fn is_over(server: &Server, name: &str) -> bool {
    let said = adapters(server).await;
    let adapters = said["adapters"].as_array().expect("a list").clone();
    let state = |adapter: &Value| adapter["state"].as_str().expect("a state").to_owned();
    let used: Vec<&Value> = adapters.iter().filter(|adapter| state(adapter) != "left").collect();
    used.len() == 1 && used[0]["name"] == name && state(used[0]) == "used"
}

/// Waits until an instance uses this adapter and no other one. How long that took.
async fn gone_over(server: &Server, name: &str) -> Duration {
    let began = Instant::now();
    let over = async {
        while !is_over(server, name).await {
            sleep(GLANCE).await;
        }
    };
    within(SWAP, "the swap to end", over).await;
    began.elapsed()
}

/// Changes the configuration of each instance, and waits until all have gone over.
pub(crate) async fn swap(fleet: &Fleet, adapter: &str, name: &str) -> Duration {
    for server in &fleet.servers {
        server.reconfigure(&over(adapter));
        sleep(BETWEEN).await;
    }
    let mut longest = Duration::ZERO;
    for server in &fleet.servers {
        longest = longest.max(gone_over(server, name).await);
    }
    longest
}

/// Nothing was refused, nobody closed, and what was heard was all there was.
async fn without_a_trace(load: Load) {
    let verdict = load.end().await;
    eprintln!("{verdict:?}");
    assert_eq!((verdict.refused, verdict.closed), (0, vec![0, 0, 0]));
}

// ARCHITECTURE.md: "from one broker to another without losing, doubling, reordering or refusing anything".
#[tokio::test]
async fn the_broker_is_changed_under_load_and_nobody_notices() {
    let (first, second, third) = (Broker::redis().await, Broker::nats().await, RedisCluster::start().await);
    let fleet = three(&redis(&first)).await;
    let load = Load::over(&fleet).await;
    let ways = [
        (nats(&second), "adapter-nats"),
        (redis_cluster(&third), "adapter-redis-cluster"),
        (redis(&first), "adapter-redis"),
    ];
    for (adapter, name) in &ways {
        let took = swap(&fleet, adapter, name).await;
        eprintln!("to {name}: {took:?} after the last change");
    }
    without_a_trace(load).await;
}

/// Another address, user, time limit or prefix.
#[tokio::test]
async fn the_settings_of_an_adapter_are_changed_under_load_and_nobody_notices() {
    let broker = Broker::redis().await;
    let fleet = three(&redis(&broker)).await;
    let load = Load::over(&fleet).await;
    let patient = format!("{}\nredis.requests_timeout = 4000", redis(&broker));
    let took = swap(&fleet, &patient, "adapter-redis").await;
    eprintln!("to another time limit: {took:?} after the last change");
    let apart = format!("{patient}\nredis.prefix = \"apart:\"");
    let took = swap(&fleet, &apart, "adapter-redis").await;
    eprintln!("to another prefix: {took:?} after the last change");
    without_a_trace(load).await;
}

/// One instance dies in the middle, and comes back with the new configuration alone.
#[tokio::test]
async fn an_instance_that_restarts_in_the_middle_waits_until_all_hear_it() {
    let (old, new) = (Broker::redis().await, Broker::nats().await);
    let mut fleet = three(&redis(&old)).await;
    let all = Load::over(&fleet).await;
    all.end().await;
    let ports = [fleet.port(0), fleet.port(1)];
    let load = Load::start("room", &ports, &ports).await;
    fleet.servers[0].reconfigure(&over(&nats(&new)));
    sleep(BETWEEN).await;
    drop(fleet.servers.pop());
    let mut third = over(&nats(&new)).patience(SWAP).start().await;
    assert!(third.runs());
    // The second one is not there: whoever came in now would not be heard by it.
    sleep(A_WHILE).await;
    assert_eq!(third.ready().await.0, 503);
    fleet.servers[1].reconfigure(&over(&nats(&new)));
    joined(&third).await;
    let mut client = Client::connect(third.port).await;
    client.subscribe("late").await;
    fleet.publisher(1).await.publish("late", "heard", "x").await;
    client.expect("heard").await;
    for server in [&fleet.servers[0], &fleet.servers[1], &third] {
        gone_over(server, "adapter-nats").await;
    }
    let verdict = load.end().await;
    assert_eq!(verdict.closed, [0, 0], "nothing that anybody had to hear was lost");
}

/// Neither whoever had followed already nor whoever had not holds up the others.
#[tokio::test]
async fn an_instance_that_is_killed_in_the_middle_is_not_waited_for() {
    let (old, new) = (Broker::redis().await, Broker::nats().await);
    for had_followed in [true, false] {
        let mut fleet = three(&redis(&old)).await;
        let ports = fleet.ports();
        let load = Load::start("room", &ports, &ports[..2]).await;
        load.everybody_hears(Instant::now()).await;
        fleet.servers[0].reconfigure(&over(&nats(&new)));
        if had_followed {
            fleet.servers[2].reconfigure(&over(&nats(&new)));
        }
        sleep(BETWEEN).await;
        drop(fleet.servers.pop());
        fleet.servers[1].reconfigure(&over(&nats(&new)));
        for server in &fleet.servers {
            gone_over(server, "adapter-nats").await;
        }
        let verdict = load.end().await;
        eprintln!("killed after it had followed: {had_followed}: {verdict:?}");
        assert_eq!(verdict.refused, 0);
    }
}

/// What the old broker took with it is with those who published it.
#[tokio::test]
async fn the_old_broker_dies_in_the_middle_and_nothing_is_lost_in_silence() {
    let (mut old, new) = (Broker::redis().await, Broker::nats().await);
    let fleet = three(&redis(&old)).await;
    let load = Load::over(&fleet).await;
    for server in &fleet.servers[..2] {
        server.reconfigure(&over(&nats(&new)));
    }
    sleep(BETWEEN).await;
    old.kill();
    sleep(BETWEEN).await;
    fleet.servers[2].reconfigure(&over(&nats(&new)));
    for server in &fleet.servers {
        gone_over(server, "adapter-nats").await;
    }
    load.everybody_hears(Instant::now()).await;
    let verdict = load.end().await;
    eprintln!("{verdict:?}");
}

/// The new broker is not there: everything goes on over the old one, the server says why, and goes back when told to.
#[tokio::test]
async fn a_swap_that_cannot_end_says_why_and_is_taken_back() {
    let (old, mut new) = (Broker::redis().await, Broker::nats().await);
    let fleet = three(&redis(&old)).await;
    let load = Load::over(&fleet).await;
    new.kill();
    fleet.servers[0].reconfigure(&over(&nats(&new)));
    within(SWAP, "the server to say what it waits for", async {
        loop {
            let said = adapters(&fleet.servers[0]).await;
            let waits = said["adapters"][1]["down"].is_string();
            if waits
                && said["adapters"][1]["state"] == "used as soon as all are there"
                && said["waits_for"].as_array().map(Vec::len) == Some(2)
            {
                return;
            }
            sleep(GLANCE).await;
        }
    })
    .await;
    // Ten seconds may be an ordinary swap.
    within(SWAP, "the metric to show it", async {
        while fleet.servers[0].metric("jackfield_cluster_degraded").await == 0 {
            sleep(GLANCE).await;
        }
    })
    .await;
    assert_eq!(fleet.servers[0].ready().await.0, 200, "it serves on");
    fleet.servers[0].reconfigure(&over(&redis(&old)));
    gone_over(&fleet.servers[0], "adapter-redis").await;
    fleet.servers[0].reaches("jackfield_cluster_degraded", 0).await;
    without_a_trace(load).await;
}

/// Whoever began alone becomes one of several.
#[tokio::test]
async fn instances_that_were_alone_find_each_other() {
    let broker = Broker::redis().await;
    let alone = "[adapter]\ndriver = \"local\"";
    let fleet = Fleet::of(vec![over(alone), over(alone)]).await;
    let mut clients = Vec::new();
    for server in &fleet.servers {
        let mut client = Client::connect(server.port).await;
        client.subscribe("room").await;
        clients.push(client);
    }
    for server in &fleet.servers {
        server.reconfigure(&over(&redis(&broker)));
    }
    for server in &fleet.servers {
        gone_over(server, "adapter-redis").await;
        server.reaches("jackfield_cluster_peers", 1).await;
    }
    fleet.publisher(0).await.publish("room", "heard", "x").await;
    for client in &mut clients {
        client.expect("heard").await;
    }
}

/// Some beats to hear each other, three more to be sure, and starting on both sides.
const SWAP: Duration = Duration::from_secs(30);

/// So that instances are of different minds for a while.
const BETWEEN: Duration = Duration::from_millis(1_500);

/// Longer than a start takes if nothing is in the way.
const A_WHILE: Duration = Duration::from_secs(10);
