//! How many subscribers there are, told to the subscribers.

use crate::harness::client::Client;
use crate::harness::server::Setup;
use crate::harness::wait::until;

// host/docs/operating.md: counts are for apps that want them. Pusher protocol: every kind of channel but presence.
#[tokio::test]
async fn subscribers_are_counted_where_it_is_asked_for() {
    for (settings, counts) in [
        ("", vec![]),
        (
            "enable_subscription_count = true",
            vec![
                ("room", 1),
                ("private-room", 1),
                ("cache-room", 1),
                ("room", 2),
                ("room", 1),
            ],
        ),
    ] {
        let server = Setup::default().app(settings).start().await;
        let (mut ann, mut bob) = (Client::connect(server.port).await, Client::connect(server.port).await);
        ann.join("presence-room", "ann").await;
        for channel in ["room", "private-room", "cache-room"] {
            ann.subscribe(channel).await;
        }
        ann.expect("pusher:cache_miss").await;
        bob.subscribe("room").await;
        bob.unsubscribe("room").await;
        bob.join("presence-room", "bob").await;
        // Behind what Bob did before, since it comes from the same queue.
        ann.expect("pusher_internal:member_added").await;
        ann.ping().await;
        ann.expect("pusher:pong").await;
        let expected: Vec<(String, u64)> = counts
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count))
            .collect();
        assert_eq!(ann.counts, expected, "{settings}");
    }
}

// Pusher documents, "Subscription count events": above 100 subscribers at most one in five seconds, and the last one counts.
#[tokio::test]
async fn a_large_channel_is_counted_now_and_then() {
    let server = Setup::default().app("enable_subscription_count = true").start().await;
    let mut first = Client::connect(server.port).await;
    let mut others = Vec::new();
    for _ in 0..103 {
        others.push(Client::connect(server.port).await);
    }
    first.subscribe("room").await;
    for client in &mut others {
        client.subscribe("room").await;
    }
    until("the count", async || {
        first.ping().await;
        first.expect("pusher:pong").await;
        first.counts.iter().any(|(_, count)| *count == 104).then_some(())
    })
    .await;
    let counts: Vec<u64> = first.counts.iter().map(|(_, count)| *count).collect();
    let all: Vec<u64> = (1..=100).collect();
    assert_eq!(counts[..100], all);
    assert!(counts.len() < 104, "each was told: {:?}", &counts[100..]);
}
