//! Instances over a Redis Cluster as before 7.0, without sharded Pub/Sub.

use super::are_one;
use super::moves::{survived, way};
use crate::harness::fleet::Fleet;
use crate::harness::load::Load;
use crate::harness::redis_cluster::RedisCluster;
use crate::harness::server::Setup;

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
    let fleet = Fleet::of(vec![setup(), setup(), setup()]).await;
    let load = Load::over(&fleet).await;

    let used = cluster
        .nodes
        .iter_mut()
        .find(|node| !node.cli(&["PUBSUB", "CHANNELS", "*room"]).is_empty());
    used.expect("somebody follows the room").kill();
    survived(fleet, load).await;
}
