//! Instances over a Redis Cluster as before 7.0, without sharded Pub/Sub.

use std::time::Instant;

use super::are_one;
use crate::harness::fleet::{Fleet, Way};
use crate::harness::load::Load;
use crate::harness::redis_cluster::RedisCluster;
use crate::harness::server::Setup;

fn way(cluster: &RedisCluster) -> Way {
    Way::new(
        "adapter-redis-cluster",
        "REDIS_CLUSTER_NODES",
        &cluster.urls().join(","),
    )
}

#[tokio::test]
async fn over_an_old_redis_cluster_instances_are_one() {
    let cluster = RedisCluster::old().await;
    are_one(&way(&cluster)).await;
}

#[tokio::test]
async fn the_death_of_a_primary_of_an_old_cluster_loses_nothing_in_silence() {
    let mut cluster = RedisCluster::old().await;
    let way = way(&cluster);
    let setup = || way.setup(Setup::default().with_metrics());
    let mut fleet = Fleet::of(vec![setup(), setup(), setup()]).await;
    let load = Load::over(&fleet).await;

    let used = cluster
        .nodes
        .iter_mut()
        .find(|node| !node.cli(&["PUBSUB", "CHANNELS", "*room"]).is_empty());
    used.expect("somebody follows the room").kill();
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
