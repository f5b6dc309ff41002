//! Links to real brokers: what they promise while all is well, and when it is not.

mod cluster;
mod faults;
mod nats;
mod old_cluster;
mod redis;
mod tls;
mod witness;

use std::fmt::Display;
use std::sync::Arc;

use jackfield_links::broker::{
    Link, LinkEvent, NatsOptions, RedisClusterOptions, RedisOptions, Secret, open_nats, open_redis, open_redis_cluster,
};

use witness::Witness;

/// What is asked of every kind of link. Each kind has its tests in its own file, and these run for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Redis,
    Cluster,
    Nats,
}

impl Kind {
    /// A link to these servers, not yet up.
    fn open(self, urls: &[impl Display]) -> Witness {
        self.open_at_pace(urls, || ())
    }

    /// The same; the receiver calls `pace` before it takes a batch.
    fn open_at_pace(self, urls: &[impl Display], pace: impl Fn() + Send + Sync + 'static) -> Witness {
        let all: Vec<Secret> = urls.iter().map(|url| Secret::new(url.to_string())).collect();
        Witness::new(|tell| {
            let receiver = move |events| {
                pace();
                tell(events);
            };
            match self {
                Self::Redis => redis_link(
                    &RedisOptions {
                        publish_url: all[0].clone(),
                        ..RedisOptions::default()
                    },
                    receiver,
                ),
                Self::Cluster => {
                    let options = RedisClusterOptions {
                        nodes: all,
                        ..RedisClusterOptions::default()
                    };
                    open_redis_cluster(&options, receiver).expect("the options are right")
                }
                Self::Nats => nats_link(
                    &NatsOptions {
                        servers: all,
                        ..NatsOptions::default()
                    },
                    receiver,
                ),
            }
        })
    }

    async fn up(self, urls: &[impl Display]) -> Witness {
        let mut link = self.open(urls);
        link.sees(LinkEvent::Up).await;
        link
    }
}

fn redis_link(options: &RedisOptions, receiver: impl Fn(Vec<LinkEvent>) + Send + Sync + 'static) -> Arc<dyn Link> {
    open_redis(options, receiver).expect("the options are right")
}

fn nats_link(options: &NatsOptions, receiver: impl Fn(Vec<LinkEvent>) + Send + Sync + 'static) -> Arc<dyn Link> {
    open_nats(options, receiver).expect("the options are right")
}

/// In order, every ticket confirmed, whatever the payload and the batches.
async fn carries_everything_in_order(kind: Kind, urls: &[impl Display]) {
    let (mut near, mut far) = (kind.up(urls).await, kind.up(urls).await);
    far.follow(&["s"]);
    far.sees(LinkEvent::Following("s".to_owned())).await;
    let binary: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    near.publish(&[("s", b"")]);
    near.publish(&[("s", &binary)]);
    for turn in 0..100_u32 {
        let payloads: Vec<[u8; 4]> = (0..10).map(|n| (turn * 10 + n).to_be_bytes()).collect();
        let batch: Vec<(&str, &[u8])> = payloads.iter().map(|payload| ("s", payload.as_slice())).collect();
        near.publish(&batch);
    }
    let mut expected = vec![Vec::new(), binary];
    expected.extend((0..1_000_u32).map(|n| n.to_be_bytes().to_vec()));
    assert!(far.messages("s", expected.len()).await == expected, "{kind:?}");
    let tickets: Vec<u64> = (1..=1_002).collect();
    assert_eq!(near.confirmed(tickets.len()).await, tickets, "{kind:?}");
    let (sent, received) = (near.link.stats(), far.link.stats());
    assert_eq!((sent.published, sent.queued, received.received), (1_002, 0, 1_002));
    assert!(sent.up && !sent.round_trip.is_zero(), "{kind:?}");
}

/// What is no longer followed is soon no longer heard, and can be followed again.
async fn ends_what_it_is_told_to_end(kind: Kind, urls: &[impl Display]) {
    let mut link = kind.up(urls).await;
    link.follow(&["a", "b"]);
    link.sees_all_followed(&["a".to_owned(), "b".to_owned()]).await;
    link.unfollow(&["a"]);
    loop {
        link.publish(&[("a", b"1"), ("b", b"2")]);
        // Two slots of a cluster have no common order, hence the round trip.
        let seen = link.until_message("b").await;
        link.confirmed(2).await;
        if !seen.contains(&"a".to_owned()) && kind != Kind::Cluster {
            break;
        }
        if kind == Kind::Cluster && link.quiet_on("a").await {
            break;
        }
    }
    link.follow(&["a"]);
    link.sees(LinkEvent::Following("a".to_owned())).await;
    link.publish(&[("a", b"3")]);
    assert_eq!(link.messages("a", 1).await, [b"3"]);
}

/// Killed and started again: down, nothing taken meanwhile, then everything as before.
async fn follows_everything_again(kind: Kind, broker: &mut crate::harness::brokers::Broker) {
    let mut link = kind.up(&[broker.url()]).await;
    let subjects: Vec<String> = (0..100_000).map(|n| format!("channel-{n}")).collect();
    link.link.follow(subjects.clone()).expect("they are legal");
    link.sees_all_followed(&subjects).await;
    broker.kill();
    let reason = link.goes_down().await;
    assert!(reason.contains("127.0.0.1"), "{reason}");
    assert!(link.refuses(), "{kind:?}");
    broker.restart().await;
    let back = tokio::time::Instant::now();
    link.sees(LinkEvent::Up).await;
    link.sees_all_followed(&subjects).await;
    eprintln!(
        "{kind:?}: up and 100,000 subjects followed {:?} after the broker is back",
        back.elapsed()
    );
    link.publish(&[("channel-99999", b"again")]);
    assert_eq!(link.messages("channel-99999", 1).await, [b"again"]);
    assert_eq!(link.link.stats().reconnects, 1);
}
