//! NATS, alone and as a cluster.

use jackfield_links::broker::{LinkError, LinkEvent, NatsOptions, Secret};

use super::witness::Witness;
use super::{Kind, carries_everything_in_order, ends_what_it_is_told_to_end, follows_everything_again, nats_link};
use crate::harness::brokers::{Broker, NatsCluster};
use crate::harness::wait::until;

fn open(options: &NatsOptions) -> Witness {
    Witness::new(|tell| nats_link(options, tell))
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_carries_everything_in_order_and_confirms_every_ticket() {
    let broker = Broker::nats().await;
    carries_everything_in_order(Kind::Nats, &[broker.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_ends_what_it_is_told_to_end() {
    let broker = Broker::nats().await;
    ends_what_it_is_told_to_end(Kind::Nats, &[broker.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_follows_a_hundred_thousand_subjects_again_after_a_restart() {
    let mut broker = Broker::nats().await;
    follows_everything_again(Kind::Nats, &mut broker).await;
}

// Pusher documents, "Channels", "Channel naming conventions": letters, digits and `_-=@,.;`. Their names, and more, can be subjects.
#[tokio::test(flavor = "multi_thread")]
async fn nats_takes_channel_names_but_no_empty_tokens_blanks_and_wildcards() {
    let broker = Broker::nats().await;
    let mut link = Kind::Nats.up(&[broker.url()]).await;
    for subject in ["presence-A_z0-9=@,.;", "$\u{e4}\u{1f980}{x}"] {
        link.follow(&[subject]);
        link.sees(LinkEvent::Following(subject.to_owned())).await;
        link.publish(&[(subject, b"\r\n\0")]);
        assert_eq!(link.messages(subject, 1).await, [b"\r\n\0"]);
    }
    for subject in ["a..b", ".a", "a.", "a b", "a.*", "a.>", "a\r\nPUB b 0"] {
        let refused = link.try_publish(&[("fine", b""), (subject, b"")]);
        assert!(
            matches!(refused, Err(LinkError::Malformed(why)) if why.contains("NATS")),
            "{subject:?}"
        );
        assert!(link.link.follow(vec![subject.to_owned()]).is_err(), "{subject:?}");
    }
    assert_eq!(link.link.stats().published, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_tokens_of_nats_are_let_in_or_told_what_is_wrong() {
    let broker = Broker::nats_with("authorization { user: me, password: right }").await;
    let options = |password: &str| NatsOptions {
        servers: vec![Secret::new(broker.url())],
        username: "me".to_owned(),
        password: Secret::new(password),
        ..NatsOptions::default()
    };
    open(&options("right")).sees(LinkEvent::Up).await;
    let reason = open(&options("topsecret")).goes_down().await;
    assert!(reason.contains("Authorization Violation"), "{reason}");
    assert!(!reason.contains("topsecret"), "{reason}");

    let broker = Broker::nats_with("authorization { token: right }").await;
    let options = |token: &str| NatsOptions {
        servers: vec![Secret::new(broker.url())],
        token: Secret::new(token),
        ..NatsOptions::default()
    };
    open(&options("right")).sees(LinkEvent::Up).await;
    assert!(
        open(&options("wrong"))
            .goes_down()
            .await
            .contains("Authorization Violation")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_a_user_of_nats_may_not_use_takes_the_link_down_and_says_so() {
    let rules = "authorization { users: [{ user: me, password: p, \
                 permissions: { publish: [\"mine.>\"], subscribe: [\"mine.>\"] } }] }";
    let broker = Broker::nats_with(rules).await;
    let mut link = open(&NatsOptions {
        servers: vec![Secret::new(format!("nats://me:p@127.0.0.1:{}", broker.port))],
        canary_prefix: "mine.canary.".to_owned(),
        ..NatsOptions::default()
    });
    link.sees(LinkEvent::Up).await;
    link.publish(&[("theirs", b"")]);
    link.sees(LinkEvent::Failed(1)).await;
    let reason = link.goes_down().await;
    assert!(reason.contains("Permissions Violation for Publish"), "{reason}");
    link.sees(LinkEvent::Up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_at_different_servers_of_nats_hear_each_other_and_survive_one_of_them() {
    let mut cluster = NatsCluster::start().await;
    let urls = cluster.urls();
    let (mut near, mut far) = (Kind::Nats.up(&urls[..1]).await, Kind::Nats.up(&urls[2..]).await);
    let mut roaming = Kind::Nats.up(&urls[1..]).await;
    for link in [&mut far, &mut roaming] {
        link.follow(&["s"]);
        link.sees(LinkEvent::Following("s".to_owned())).await;
    }
    // Servers tell each other of a subscription a moment after they confirm it.
    until("both to hear it", async || {
        near.publish(&[("s", b"1")]);
        let heard = [&far, &roaming].map(|link| link.link.stats().received);
        (!heard.contains(&0)).then_some(())
    })
    .await;
    cluster.servers[1].kill();
    cluster.servers[2].kill();
    far.goes_down().await;
    assert!(far.refuses());
    cluster.servers[2].restart().await;
    far.sees(LinkEvent::Up).await;
    far.sees(LinkEvent::Following("s".to_owned())).await;
    until("the roaming link at a server that is there", async || {
        roaming.link.stats().up.then_some(())
    })
    .await;
}
