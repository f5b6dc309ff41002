//! Redis Cluster: slots that move, primaries that die. One cluster serves all tests of this file in turn.

use std::time::Duration;

use jackfield_links::broker::LinkEvent;
use tokio::time::Instant;

use super::{Kind, carries_everything_in_order, ends_what_it_is_told_to_end};
use crate::harness::brokers::RedisCluster;
use crate::harness::wait::until;

/// Of "s" and "foo", as CLUSTER KEYSLOT says.
fn slot(cluster: &RedisCluster, subject: &str) -> u16 {
    let said = cluster.nodes[0].cli(&["CLUSTER", "KEYSLOT", subject]);
    said.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_carries_everything_and_survives_moved_slots_and_dead_primaries() {
    let mut cluster = RedisCluster::start().await;
    let urls = cluster.urls();
    carries_everything_in_order(Kind::Cluster, &urls).await;
    ends_what_it_is_told_to_end(Kind::Cluster, &urls).await;
    subjects_of_all_slots(&urls).await;
    a_slot_that_moves(&cluster, &urls).await;
    slots_that_move_while_much_is_asked_for(&cluster, &urls).await;
    a_primary_that_dies(&mut cluster, &urls).await;
}

async fn subjects_of_all_slots(urls: &[String]) {
    let mut link = Kind::Cluster.up(&urls[..1]).await;
    let subjects: Vec<String> = (0..20_000).map(|n| format!("channel-{n}")).collect();
    link.link.follow(subjects.clone()).expect("they are legal");
    link.sees_all_followed(&subjects).await;
    let batch: Vec<(&str, &[u8])> = subjects[..100]
        .iter()
        .map(|subject| (subject.as_str(), b"x".as_slice()))
        .collect();
    link.publish(&batch);
    for subject in &subjects[..100] {
        assert_eq!(link.messages(subject, 1).await, [b"x"]);
    }
}

async fn a_slot_that_moves(cluster: &RedisCluster, urls: &[String]) {
    let (mut near, mut far) = (Kind::Cluster.up(urls).await, Kind::Cluster.up(urls).await);
    far.follow(&["moving"]);
    far.sees(LinkEvent::Following("moving".to_owned())).await;
    let slot = slot(cluster, "moving");
    let (from, _) = cluster.serving(slot);
    let (elsewhere, _) = cluster.serving(if slot < 8_192 { 16_000 } else { 100 });
    assert_ne!(from.port, elsewhere.port);
    cluster.migrate(slot, elsewhere);
    let moved = Instant::now();
    far.sees(LinkEvent::Lost("moving".to_owned())).await;
    far.sees(LinkEvent::Following("moving".to_owned())).await;
    eprintln!("cluster: followed again {:?} after the slot moved", moved.elapsed());
    until("a message in the new place", async || {
        let sent = near.try_publish(&[("moving", b"new")]);
        sent.ok()?;
        tokio::time::sleep(Duration::from_millis(20)).await;
        (far.link.stats().received > 0).then_some(())
    })
    .await;
    assert!(moved.elapsed() < Duration::from_secs(3), "{:?}", moved.elapsed());
    assert_eq!(far.messages("moving", 1).await, [b"new"]);
}

/// The client counts an unasked `sunsubscribe` among the answers that it waits for; the link must not.
async fn slots_that_move_while_much_is_asked_for(cluster: &RedisCluster, urls: &[String]) {
    let mut link = Kind::Cluster.up(urls).await;
    let early: Vec<String> = (0..100).map(|n| format!("early-{n}")).collect();
    link.link.follow(early.clone()).expect("they are legal");
    link.sees_all_followed(&early).await;
    let late: Vec<String> = (0..5_000).map(|n| format!("late-{n}")).collect();
    for (some, subject) in late.chunks(500).zip(&early) {
        link.link.follow(some.to_vec()).expect("they are legal");
        let slot = slot(cluster, subject);
        let elsewhere = cluster.serving(if slot < 8_192 { 16_000 } else { 100 }).0;
        cluster.migrate(slot, elsewhere);
    }
    for subject in &early[..10] {
        link.sees(LinkEvent::Lost(subject.clone())).await;
    }
    link.sees_all_followed(&late).await;
    link.sees_all_followed(&early[..10]).await;
    for subject in early.iter().chain(late.iter().step_by(50)) {
        until("a message in the new place", async || {
            link.try_publish(&[(subject, b"x")]).ok()?;
            tokio::time::sleep(Duration::from_millis(2)).await;
            (!link.quiet_on(subject).await).then_some(())
        })
        .await;
    }
    assert_eq!(link.link.stats().reconnects, 0);
}

async fn a_primary_that_dies(cluster: &mut RedisCluster, urls: &[String]) {
    let mut link = Kind::Cluster.up(urls).await;
    link.follow(&["s"]);
    link.sees(LinkEvent::Following("s".to_owned())).await;
    let port = cluster.serving(slot(cluster, "s")).0.port;
    let dying = cluster.nodes.iter_mut().find(|node| node.port == port);
    dying.expect("it is one of ours").kill();
    let died = Instant::now();
    let reason = link.goes_down().await;
    assert!(reason.contains(&port.to_string()), "{reason}");
    assert!(link.refuses());
    link.sees(LinkEvent::Following("s".to_owned())).await;
    until("the link to be up again", async || link.link.stats().up.then_some(())).await;
    eprintln!("cluster: up again {:?} after a primary died", died.elapsed());
    link.publish(&[("s", b"at its replica")]);
    assert_eq!(link.messages("s", 1).await, [b"at its replica"]);
}
