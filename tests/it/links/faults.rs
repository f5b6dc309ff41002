//! What brokers, networks and receivers do to links when they are bad.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jackfield_links::broker::LinkEvent;
use tokio::time::Instant;

use super::Kind;
use crate::harness::brokers::Broker;
use crate::harness::fault_proxy::{Fault, FaultProxy};
use crate::harness::wait::until;

/// How soon a link must say that it is down, whatever happened.
const NOTICED: Duration = Duration::from_secs(5);
/// How soon it must be up again once nothing is in its way.
const BACK: Duration = Duration::from_secs(2);

async fn broker(kind: Kind) -> Broker {
    match kind {
        Kind::Nats => Broker::nats().await,
        Kind::Redis | Kind::Cluster => Broker::redis().await,
    }
}

async fn a_killed_broker(kind: Kind) {
    let mut broker = broker(kind).await;
    let mut link = kind.up(&[broker.url()]).await;
    link.follow(&["s"]);
    link.sees(LinkEvent::Following("s".to_owned())).await;
    broker.kill();
    let killed = Instant::now();
    link.goes_down().await;
    assert!(killed.elapsed() < NOTICED, "{kind:?}: {:?}", killed.elapsed());
    assert!(link.refuses());
    // Long enough for the pauses between attempts to reach their limit.
    let asleep = Instant::now() + BACK;
    tokio::time::sleep_until(asleep).await;
    assert!(link.refuses());
    broker.restart().await;
    let back = Instant::now();
    link.sees(LinkEvent::Up).await;
    link.sees(LinkEvent::Following("s".to_owned())).await;
    assert!(back.elapsed() < BACK, "{kind:?}: {:?}", back.elapsed());
    link.publish(&[("s", b"after")]);
    // Nothing that was refused comes late.
    assert_eq!(link.messages("s", 1).await, [b"after"]);
    assert_eq!(link.link.stats().received, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_is_noticed_and_found_again() {
    a_killed_broker(Kind::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_nats_is_noticed_and_found_again() {
    a_killed_broker(Kind::Nats).await;
}

async fn a_black_hole(kind: Kind) {
    let broker = broker(kind).await;
    let proxy = FaultProxy::to(broker.port).await;
    let other = kind.up(&[broker.url()]).await;
    let mut link = kind.up(&[format!("127.0.0.1:{}", proxy.port)]).await;
    link.follow(&["s"]);
    link.sees(LinkEvent::Following("s".to_owned())).await;
    proxy.make(Fault::BlackHole);
    let silent = Instant::now();
    link.publish(&[("s", b"1"), ("s", b"2")]);
    let reason = link.goes_down().await;
    assert!(silent.elapsed() < NOTICED, "{kind:?}: {:?}", silent.elapsed());
    assert!(reason.contains("no answer") || reason.contains("no canary"), "{reason}");
    assert_eq!(link.outcomes(2).await, (0, 2));
    assert!(link.refuses());
    assert!(other.link.stats().up, "others are not concerned");
    proxy.make(Fault::None);
    until("the link to be up again", async || link.link.stats().up.then_some(())).await;
    link.publish(&[("s", b"3")]);
    assert_eq!(link.messages("s", 1).await, [b"3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_behind_a_black_hole_is_noticed() {
    a_black_hole(Kind::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_behind_a_black_hole_is_noticed() {
    a_black_hole(Kind::Nats).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anything_under_way_the_canary_notices_a_black_hole() {
    let broker = Broker::redis().await;
    let proxy = FaultProxy::to(broker.port).await;
    let mut link = Kind::Redis.up(&[format!("127.0.0.1:{}", proxy.port)]).await;
    proxy.make(Fault::BlackHole);
    let silent = Instant::now();
    link.goes_down().await;
    assert!(silent.elapsed() < NOTICED, "{:?}", silent.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_network_is_no_fault_and_a_reset_is_survived() {
    let broker = Broker::redis().await;
    let proxy = FaultProxy::to(broker.port).await;
    let mut link = Kind::Redis.up(&[format!("127.0.0.1:{}", proxy.port)]).await;
    link.follow(&["s"]);
    link.sees(LinkEvent::Following("s".to_owned())).await;
    let late = Duration::from_millis(200);
    proxy.make(Fault::Delay(late));
    until("a late canary", async || {
        (link.link.stats().round_trip >= late).then_some(())
    })
    .await;
    link.publish(&[("s", b"late")]);
    assert_eq!(link.messages("s", 1).await, [b"late"]);
    assert_eq!(link.link.stats().reconnects, 0);
    proxy.make(Fault::Reset);
    link.goes_down().await;
    assert!(link.refuses());
    proxy.make(Fault::None);
    link.sees(LinkEvent::Up).await;
    link.sees(LinkEvent::Following("s".to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_around_a_kill_are_each_confirmed_or_failed_and_never_kept() {
    let mut broker = Broker::redis().await;
    let mut link = Kind::Redis.up(&[broker.url()]).await;
    let mut taken = 0;
    while link.try_publish(&[("s", b"x")]).is_ok() {
        taken += 1;
        if taken >= 1_000 && link.link.stats().published > 0 {
            broker.kill();
        }
        tokio::task::yield_now().await;
    }
    let (confirmed, failed) = link.outcomes(taken).await;
    assert_eq!(confirmed + failed, usize::try_from(taken).unwrap());
    assert!(confirmed > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_is_waited_for_without_growing_and_without_loss() {
    let broker = Broker::redis().await;
    let (go, gate) = sync_channel::<()>(0);
    let gate = Mutex::new(gate);
    let mut slow = Kind::Redis.open_at_pace(&[broker.url()], move || {
        // Fails, and holds nobody up any more, once the other end is gone.
        let _ = gate.lock().unwrap().recv();
    });
    let mut fast = Kind::Redis.up(&[broker.url()]).await;
    slow.follow(&["s"]);
    while broker.cli(&["PUBSUB", "NUMSUB", "s"]) != "s\n1" {
        // Lets it up: the first batch may be any.
        let _ = go.try_send(());
        tokio::task::yield_now().await;
    }
    let payload = vec![7; 64 << 10];
    for _ in 0..400 {
        fast.publish(&[("s", &payload)]);
        fast.confirmed(1).await;
    }
    // More than a canary's limit: nobody is to blame while the receiver thinks.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let held = slow.link.stats().received;
    assert!(held < 200, "{held} messages are held of at most 8 MiB and a read");
    drop(go);
    assert_eq!(slow.messages("s", 400).await.len(), 400);
    let stats = slow.link.stats();
    assert_eq!((stats.up, stats.reconnects, stats.received), (true, 0, 400));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_nats_cuts_as_slow_says_that_it_was_down() {
    let broker = Broker::nats_with("max_pending: 2MB\nwrite_deadline: \"500ms\"").await;
    let blocked = Arc::new(Mutex::new(()));
    let pace = blocked.clone();
    let mut slow = Kind::Nats.open_at_pace(&[broker.url()], move || drop(pace.lock().unwrap()));
    slow.sees(LinkEvent::Up).await;
    slow.follow(&["s"]);
    slow.sees(LinkEvent::Following("s".to_owned())).await;
    let mut fast = Kind::Nats.up(&[broker.url()]).await;
    let payload = vec![7; 512 << 10];
    {
        let _held = blocked.lock().unwrap();
        let flood = async {
            for _ in 0..80 {
                fast.publish(&[("s", &payload)]);
                fast.confirmed(1).await;
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(flood));
    }
    let reason = slow.goes_down().await;
    eprintln!("cut: {reason}");
    slow.sees(LinkEvent::Up).await;
    slow.sees(LinkEvent::Following("s".to_owned())).await;
}
