//! A Redis Cluster as before 7.0, without sharded Pub/Sub: every server hears everything.

use jackfield_links::broker::LinkEvent;

use super::{Kind, carries_everything_in_order, ends_what_it_is_told_to_end};
use crate::harness::redis_cluster::RedisCluster;
use crate::harness::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn an_old_redis_cluster_carries_everything_and_survives_a_dead_server() {
    let mut cluster = RedisCluster::old().await;
    let urls = cluster.urls();
    carries_everything_in_order(Kind::Cluster, &urls).await;
    ends_what_it_is_told_to_end(Kind::Cluster, &urls).await;
    // Whoever finds it through another server uses the same one.
    let mut near = Kind::Cluster.up(&urls[..1]).await;
    let mut far = Kind::Cluster.up(&urls[4..]).await;
    far.follow(&["s"]);
    far.sees(LinkEvent::Following("s".to_owned())).await;
    let used = cluster
        .nodes
        .iter_mut()
        .filter(|node| node.cli(&["PUBSUB", "NUMSUB", "s"]) == "s\n1");
    let mut used: Vec<_> = used.collect();
    assert_eq!(used.len(), 1);
    let port = used[0].port.to_string();
    used[0].kill();
    for link in [&mut near, &mut far] {
        let reason = link.goes_down().await;
        assert!(reason.contains(&port), "{reason}");
    }
    // No replica needs to take over first: any other server will do.
    near.sees(LinkEvent::Up).await;
    far.sees(LinkEvent::Up).await;
    far.sees(LinkEvent::Following("s".to_owned())).await;
    near.publish(&[("s", b"elsewhere")]);
    assert_eq!(far.messages("s", 1).await, [b"elsewhere"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_to_an_old_cluster_go_over_to_sharded_channels_when_its_last_server_is_new() {
    let mut cluster = RedisCluster::old().await;
    let urls = cluster.urls();
    let mut far = Kind::Cluster.up(&urls).await;
    far.follow(&["s"]);
    far.sees(LinkEvent::Following("s".to_owned())).await;
    cluster.upgrade().await;
    until("every server to have none but sharded channels", async || {
        let all = cluster
            .nodes
            .iter()
            .all(|node| node.cli(&["PUBSUB", "CHANNELS"]).is_empty());
        let sharded = cluster
            .nodes
            .iter()
            .any(|node| node.cli(&["PUBSUB", "SHARDNUMSUB", "s"]) == "s\n1");
        (all && sharded).then_some(())
    })
    .await;
    // Who comes now decides as those did that were there.
    let mut near = Kind::Cluster.up(&urls).await;
    near.publish(&[("s", b"sharded")]);
    assert_eq!(far.messages("s", 1).await, [b"sharded"]);
}
