//! Redis Cluster under load: the slot of a live channel moves, and the primary that serves it dies.

use std::time::Instant;

use crate::harness::brokers::{Broker, RedisCluster};
use crate::harness::fleet::{Fleet, Way};
use crate::harness::load::Load;
use crate::harness::server::Setup;

/// Over all nodes of this cluster.
pub(super) fn way(cluster: &RedisCluster) -> Way {
    Way::new(
        "adapter-redis-cluster",
        "REDIS_CLUSTER_NODES",
        &cluster.urls().join(","),
    )
}

#[tokio::test]
async fn a_moved_slot_and_a_dead_primary_lose_nothing_in_silence() {
    let mut cluster = RedisCluster::start().await;
    let way = way(&cluster);
    let setup = || way.setup(Setup::default().with_metrics());
    let fleet = Fleet::of(vec![setup(), setup(), setup()]).await;
    let load = Load::over(&fleet).await;

    let slot = slot_of_the_room(&cluster);
    let elsewhere = cluster.serving(if slot < 8_192 { 16_000 } else { 100 }).0;
    cluster.migrate(slot, elsewhere);
    let moved = Instant::now();
    let acknowledged = load.everybody_is_acknowledged(moved).await;
    let heard = load.everybody_hears(moved).await;
    eprintln!("slot moved: acknowledged again after {acknowledged:?}, heard after {heard:?}");

    let port = cluster.serving(slot).0.port;
    let primary = cluster.nodes.iter_mut().find(|node| node.port == port);
    primary.expect("it is one of ours").kill();
    survived(fleet, load).await;
}

/// The primary that was in use has died just now: everybody goes on, and nothing is lost in silence.
pub(super) async fn survived(mut fleet: Fleet, load: Load) {
    let died = Instant::now();
    let acknowledged = load.everybody_is_acknowledged(died).await;
    let heard = load.everybody_hears(died).await;
    let verdict = load.end().await;
    eprintln!("primary died: acknowledged again after {acknowledged:?}, heard after {heard:?}; {verdict:?}");
    for server in &mut fleet.servers {
        assert!(server.runs());
        assert_eq!(server.metric("jackfield_cluster_peers_expired_total").await, 0);
    }
}

/// The slot of the one channel that is followed, whatever stands in front of its name.
fn slot_of_the_room(cluster: &RedisCluster) -> u16 {
    let rooms = |node: &Broker| node.cli(&["PUBSUB", "SHARDCHANNELS", "*room"]);
    let rooms: Vec<String> = cluster
        .nodes
        .iter()
        .map(rooms)
        .filter(|said| !said.is_empty())
        .collect();
    assert_eq!(rooms.len(), 1, "{rooms:?}");
    cluster.nodes[0]
        .cli(&["CLUSTER", "KEYSLOT", &rooms[0]])
        .parse()
        .expect("a number")
}
