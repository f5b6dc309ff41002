//! A single Redis server, a replica, sentinels, users.

use jackfield_links::broker::{LinkError, LinkEvent, MAX_SUBJECT_BYTES, Outgoing, RedisOptions, Secret};

use super::witness::Witness;
use super::{Kind, carries_everything_in_order, ends_what_it_is_told_to_end, follows_everything_again, redis_link};
use crate::harness::brokers::Broker;
use crate::harness::wait::until;

fn open(options: &RedisOptions) -> Witness {
    Witness::new(|tell| redis_link(options, tell))
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_carries_everything_in_order_and_confirms_every_ticket() {
    let broker = Broker::redis().await;
    carries_everything_in_order(Kind::Redis, &[broker.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_ends_what_it_is_told_to_end() {
    let broker = Broker::redis().await;
    ends_what_it_is_told_to_end(Kind::Redis, &[broker.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_follows_a_hundred_thousand_subjects_again_after_a_restart() {
    let mut broker = Broker::redis().await;
    follows_everything_again(Kind::Redis, &mut broker).await;
}

// Pusher documents, "Channels", "Channel naming conventions": letters, digits and `_-=@,.;`. Their names, and more, can be subjects.
#[tokio::test(flavor = "multi_thread")]
async fn any_text_is_a_channel_of_redis() {
    let broker = Broker::redis().await;
    let mut link = Kind::Redis.up(&[broker.url()]).await;
    for subject in ["presence-A_z0-9=@,.;", "..", "a b*>\r\n{x}", "\u{e4}\u{1f980}"] {
        link.follow(&[subject]);
        link.sees(LinkEvent::Following(subject.to_owned())).await;
        link.publish(&[(subject, b"\r\n\0")]);
        assert_eq!(link.messages(subject, 1).await, [b"\r\n\0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_with_the_rest_of_its_batch() {
    let broker = Broker::redis().await;
    let mut link = Kind::Redis.up(&[broker.url()]).await;
    let too_large = vec![0; (1 << 20) + 1];
    let refused = link.try_publish(&[("fine", b""), ("fine", &too_large)]);
    assert!(matches!(refused, Err(LinkError::Malformed(why)) if why.contains("1048577")));
    let refused = link.try_publish(&[("", b"")]);
    assert!(matches!(refused, Err(LinkError::Malformed(_))));
    let many = (0..100_000).map(|ticket| Outgoing {
        subject: "s".to_owned(),
        payload: bytes::Bytes::new(),
        ticket,
    });
    assert_eq!(link.link.publish(many.collect()), Err(LinkError::Full));
    assert!(link.link.follow(vec!["x".repeat(MAX_SUBJECT_BYTES + 1)]).is_err());
    let stats = link.link.stats();
    assert_eq!((stats.refused, stats.queued, stats.published), (100_000, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_may_publish_to_a_master_and_subscribe_at_its_replica() {
    let master = Broker::redis().await;
    let replica = Broker::redis_with(&format!("replicaof 127.0.0.1 {}", master.port)).await;
    let mut link = open(&RedisOptions {
        publish_url: Secret::new(master.url()),
        subscribe_url: Secret::new(replica.url()),
        ..RedisOptions::default()
    });
    link.sees(LinkEvent::Up).await;
    link.follow(&["s"]);
    link.sees(LinkEvent::Following("s".to_owned())).await;
    link.publish(&[("s", b"by way of the replica")]);
    assert_eq!(link.messages("s", 1).await, [b"by way of the replica"]);
    assert_eq!(replica.cli(&["PUBSUB", "NUMSUB", "s"]), "s\n1");
    assert_eq!(master.cli(&["PUBSUB", "NUMSUB", "s"]), "s\n0");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_redis_are_let_in_or_told_what_is_wrong() {
    let rules = "user default off\nuser me on >right resetchannels &mine* -@all +publish +subscribe +unsubscribe";
    let broker = Broker::redis_with(rules).await;
    let options = |password: &str, prefix: &str| RedisOptions {
        publish_url: Secret::new(format!("redis://me:{password}@127.0.0.1:{}/0", broker.port)),
        canary_prefix: prefix.to_owned(),
        ..RedisOptions::default()
    };
    let mut link = open(&options("right", "mine."));
    link.sees(LinkEvent::Up).await;
    let reason = open(&options("topsecret", "mine.")).goes_down().await;
    assert!(reason.contains("WRONGPASS") && reason.contains("127.0.0.1"), "{reason}");
    assert!(!reason.contains("topsecret"), "{reason}");
    let reason = open(&options("right", "theirs.")).goes_down().await;
    assert!(reason.contains("NOPERM"), "{reason}");
    let nobody = RedisOptions {
        publish_url: Secret::new(broker.url()),
        ..RedisOptions::default()
    };
    assert!(open(&nobody).goes_down().await.contains("NOAUTH"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_without_a_user_is_enough_for_redis() {
    let broker = Broker::redis_with("requirepass p@ss").await;
    let mut link = open(&RedisOptions {
        publish_url: Secret::new(broker.url()),
        password: Secret::new("p@ss"),
        ..RedisOptions::default()
    });
    link.sees(LinkEvent::Up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_say_who_is_the_master_now() {
    let mut master = Broker::redis().await;
    let replica = Broker::redis_with(&format!("replicaof 127.0.0.1 {}", master.port)).await;
    let sentinel = Broker::sentinel(&master).await;
    let mut link = open(&RedisOptions {
        sentinels: vec![Secret::new(format!("127.0.0.1:{}", sentinel.port))],
        master_name: "main".to_owned(),
        ..RedisOptions::default()
    });
    link.sees(LinkEvent::Up).await;
    link.follow(&["s"]);
    link.sees(LinkEvent::Following("s".to_owned())).await;
    until("the sentinel to find the replica", async || {
        let known = sentinel.cli(&["SENTINEL", "REPLICAS", "main"]);
        known.contains("master-link-status\nok").then_some(())
    })
    .await;
    master.kill();
    link.goes_down().await;
    until("the link to be up at the new master", async || {
        link.link.stats().up.then_some(())
    })
    .await;
    until("the subject to be followed there", async || {
        (replica.cli(&["PUBSUB", "NUMSUB", "s"]) == "s\n1").then_some(())
    })
    .await;
}
