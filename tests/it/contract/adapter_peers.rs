//! What the adapter door asks of adapters that reach other instances, put to those of the house as they are: each one's component,
//! on its real broker, at two doors that stand for two instances.

use std::collections::BTreeSet;
use std::slice::from_ref;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::given::Given;
use super::side::{Side, channel};
use crate::harness::brokers::{Broker, RedisCluster};
use crate::harness::server::place;

#[test]
fn an_adapter_over_redis_keeps_the_contract() {
    let runtime = runtime();
    let mut servers = [runtime.block_on(Broker::redis())];
    let config = json!({ "url": servers[0].url() });
    keep("adapter-redis", &config, &runtime, &mut servers);
}

#[test]
fn an_adapter_over_a_redis_cluster_keeps_the_contract() {
    let runtime = runtime();
    let mut cluster = runtime.block_on(RedisCluster::start());
    let config = json!({ "nodes": cluster.urls() });
    a_topic_that_the_broker_ends_is_lost_and_followed_again(&cluster, &config);
    keep("adapter-redis-cluster", &config, &runtime, &mut cluster.nodes);
}

#[test]
fn an_adapter_over_an_old_redis_cluster_keeps_the_contract() {
    let runtime = runtime();
    let mut cluster = runtime.block_on(RedisCluster::old());
    let config = json!({ "nodes": cluster.urls() });
    keep("adapter-redis-cluster", &config, &runtime, &mut cluster.nodes);
}

#[test]
fn an_adapter_over_nats_keeps_the_contract() {
    let runtime = runtime();
    let mut servers = [runtime.block_on(Broker::nats())];
    let config = json!({ "servers": [servers[0].url()] });
    keep("adapter-nats", &config, &runtime, &mut servers);
}

/// The whole contract, put to a default plugin on these servers: also what takes servers that one may kill.
fn keep(name: &str, config: &Value, runtime: &Runtime, servers: &mut [Broker]) {
    let given = of_the_house(name, config, "");
    super::adapter::keep(&given);
    a_link_outlives_the_instance_that_opened_it(&of_the_house(
        name,
        config,
        "[limits]\nhost_call_kb = 100\npause_after = 0",
    ));
    an_outage_is_told_and_got_over(&given, runtime, servers);
}

fn of_the_house(name: &str, config: &Value, limits: &str) -> Given {
    let folder = place("JACKFIELD_PLUGINS_BUILT");
    Given::new("adapter", &folder, name).with(&format!("grants = [\"links\"]\n{limits}"), &config.to_string())
}

/// What holds while the broker does, of any adapter that reaches others.
pub(super) fn between_two_instances(given: &Given) {
    let (near, far) = (Side::of(given, "node-1"), Side::of(given, "node-2"));
    what_is_published_arrives_as_it_was(&near, &far);
    what_one_publishes_itself_comes_back(&near, &far);
    everybody_hears_each_sender_in_order(&near, &far);
    nothing_comes_that_is_not_followed(&near, &far);
    what_is_let_go_falls_silent_and_can_be_followed_again(&near, &far);
    for side in [&near, &far] {
        let failed = side.every_ticket_comes_back_once();
        assert_eq!(failed, BTreeSet::new(), "{}", given.name);
        assert_eq!(side.stand.report(&given.name).traps, 0, "{} trapped", given.name);
    }
    drop(far);
    a_door_that_is_opened_anew_goes_on(&near, given);
}

// wit/deps/adapter/adapter.wit: "Where to: `APP/CHANNEL`, or one of the cluster's own, which begin with a slash. At most 400 bytes."
// wit/deps/adapter/adapter.wit: "What: opaque bytes, to arrive unchanged."
// wit/deps/host/host.wit: "Messages have come on topics that are followed, in this order."
// wit/deps/host/host.wit: "Every live peer that follows the topics of these envelopes will see them, as far as this adapter can know."
fn what_is_published_arrives_as_it_was(near: &Side, far: &Side) {
    let topics = [
        channel("room"),
        channel("a=b@c,d.e;f-g_h"),
        channel(".a..b."),
        channel("#server-to-user-7 a*b>c%20?\u{e9}\u{1f600}"),
        "/a/topic/of/the/cluster".to_owned(),
        "x".repeat(400),
        format!("{}/{}", "a".repeat(64), ".".repeat(335)),
    ];
    far.follow(&topics);
    let frames: [Bytes; 3] = [
        Bytes::new(),
        (0..=255).collect(),
        (0..=255).cycle().take(64 << 10).collect(),
    ];
    let mut sent = Vec::new();
    for topic in &topics {
        for frame in &frames {
            near.publish(topic, frame.clone());
            sent.push((topic.clone(), frame.clone()));
        }
    }
    // Topics have no common order: at a Redis Cluster each goes its own way.
    let mut heard = far.hears(&[near]);
    heard.sort_by_key(|(topic, _)| topics.iter().position(|known| known == topic));
    assert!(
        heard == sent,
        "{:?}",
        heard
            .iter()
            .map(|(topic, frame)| (topic, frame.len()))
            .collect::<Vec<_>>()
    );
    far.unfollow(&topics);
}

// wit/deps/host/host.wit: "What this instance published itself is to come back like everything else: it proves that messages arrive."
// wit/deps/adapter/adapter.wit: "Offers envelopes to every instance that follows their topics, this one included, in the order given per topic."
fn what_one_publishes_itself_comes_back(near: &Side, far: &Side) {
    let topic = channel("echo");
    near.publish(&topic, "before it is followed");
    assert_eq!(near.hears(&[near]), [], "to publish is not to follow");
    near.follow(from_ref(&topic));
    near.publish(&topic, "mine");
    assert_eq!(near.hears(&[near]), [(topic.clone(), Bytes::from("mine"))]);
    assert_eq!(far.hears(&[near]), [], "who does not follow it hears nothing of it");
    near.unfollow(&[topic]);
}

// wit/deps/adapter/adapter.wit: "in the order given per topic"
fn everybody_hears_each_sender_in_order(near: &Side, far: &Side) {
    let topics = [channel("one"), channel("two")];
    for side in [near, far] {
        side.follow(&topics);
    }
    for number in 0..ROW {
        for (side, name) in [(near, "near"), (far, "far")] {
            for topic in &topics {
                side.queue(topic, format!("{name} {number}"));
            }
        }
        // Now one by one, now as many as have gathered.
        if number % 100 < 10 {
            near.drive();
            far.drive();
        }
    }
    for side in [near, far] {
        let heard = side.hears(&[near, far]);
        assert_eq!(heard.len(), ROW * 4);
        for topic in &topics {
            for name in ["near", "far"] {
                let frames = heard.iter().filter(|(on, _)| on == topic).map(|(_, frame)| frame);
                let own = frames.filter(|frame| frame.starts_with(name.as_bytes()));
                let expected = (0..ROW).map(|number| Bytes::from(format!("{name} {number}")));
                assert!(own.eq(expected.collect::<Vec<_>>().iter()), "{topic} by {name}");
            }
        }
        side.unfollow(&topics);
    }
}

// wit/deps/adapter/adapter.wit: "Starts following topics: the first local subscriber came."
// wit/deps/host/host.wit: "From now on messages of peers on these topics arrive here."
fn nothing_comes_that_is_not_followed(near: &Side, far: &Side) {
    far.follow(&[channel("news.*"), channel("news.>"), channel("news")]);
    let others = [
        "news.sport",
        "New",
        "NEWS",
        "new",
        "newsroom",
        "news%",
        "news.%2A",
        "other",
    ]
    .map(channel);
    for topic in others.iter().chain([&"1002/news".to_owned(), &"/news".to_owned()]) {
        for _ in 0..100 {
            near.publish(topic, "nobody follows this");
        }
    }
    assert_eq!(far.hears(&[near]), []);
    near.publish(&channel("news"), "somebody follows this");
    assert_eq!(far.hears(&[near]).len(), 1);
}

// wit/deps/adapter/adapter.wit: "Stops following topics: the last local subscriber has been gone for a while. Best effort."
fn what_is_let_go_falls_silent_and_can_be_followed_again(near: &Side, far: &Side) {
    let (gone, kept) = (channel("gone"), channel("kept"));
    far.follow(&[gone.clone(), kept.clone()]);
    far.unfollow(from_ref(&gone));
    far.falls_silent(near, &gone);
    for _ in 0..100 {
        near.publish(&gone, "too late");
        near.publish(&kept, "in time");
    }
    let heard = far.hears(&[near]);
    assert_eq!(heard.len(), 100);
    assert!(heard.iter().all(|(topic, _)| *topic == kept));
    far.follow(from_ref(&gone));
    near.publish(&gone, "again");
    assert_eq!(far.hears(&[near]), [(gone, Bytes::from("again"))]);
}

// wit/deps/adapter/adapter.wit: "Called once, last. Nothing is expected of it but to let go."
fn a_door_that_is_opened_anew_goes_on(near: &Side, given: &Given) {
    let anew = Side::of(given, "node-2");
    near.publish(&channel("kept"), "what the last one followed is not this one's");
    assert_eq!(anew.hears(&[near]), []);
    anew.follow(&[channel("kept")]);
    near.follow(&[channel("back")]);
    near.publish(&channel("kept"), "there");
    anew.publish(&channel("back"), "and back");
    assert_eq!(anew.hears(&[near]), [(channel("kept"), Bytes::from("there"))]);
    assert_eq!(near.hears(&[&anew]), [(channel("back"), Bytes::from("and back"))]);
}

// wit/deps/host/host.wit: "A link outlives the instance that opened it: the next version of the adapter opens the same one and finds it as it was."
// wit/deps/host/host.wit: "A link that is open with the same options stays as it is, and its state is told again"
fn a_link_outlives_the_instance_that_opened_it(given: &Given) {
    let (near, far) = (Side::of(given, "node-1"), Side::of(given, "node-2"));
    let topic = channel("followed before");
    far.follow(from_ref(&topic));
    // More than it may hand over in one call.
    let ticket = far.publish(&topic, vec![0; 200 << 10]);
    assert!(!far.heard.told().is_up(), "it trapped");
    far.until("the next instance to be up", || far.heard.told().is_up());
    assert_eq!(far.stand.report(&given.name).traps, 1);
    near.publish(&topic, "nobody has asked again to follow this");
    assert_eq!(far.hears(&[&near]).len(), 1);
    assert_eq!(far.every_ticket_comes_back_once(), BTreeSet::from([ticket]));
}

// wit/deps/host/host.wit: "Nothing arrives on these topics any more, although nobody asked for that."
// wit/deps/adapter/adapter.wit: "The broker has ended these without being asked. Messages may be missed until they are `following` again, which the
// host sees to."
fn a_topic_that_the_broker_ends_is_lost_and_followed_again(cluster: &RedisCluster, config: &Value) {
    let given = of_the_house("adapter-redis-cluster", config, "");
    let (near, far) = (Side::of(&given, "node-1"), Side::of(&given, "node-2"));
    let topic = channel("moving");
    far.follow(from_ref(&topic));
    let slot = cluster.nodes[0].cli(&["CLUSTER", "KEYSLOT", &format!("jackfield_cluster:{topic}")]);
    let slot = slot.parse().expect("a number");
    let elsewhere = cluster.serving(if slot < 8_192 { 16_000 } else { 100 }).0;
    cluster.migrate(slot, elsewhere);
    far.until("the topic to be lost", || far.heard.told().lost.contains(&topic));
    far.until("the topic to be followed again", || {
        far.heard
            .told()
            .following
            .iter()
            .filter(|known| **known == topic)
            .count()
            == 2
    });
    assert_eq!(far.heard.told().lost, from_ref(&topic), "and no other");
    // Who has not noticed yet that it moved asks in the old place first.
    let arrived = || far.heard.told().received.iter().any(|(on, _)| *on == topic);
    far.until("a message in the new place", || {
        near.publish(&topic, "here");
        arrived()
    });
}

// wit/deps/adapter/adapter.wit: "Not to be relied on, and why, in words for the operator. What was in flight is `failed`; what was followed will be
// followed again by the host."
// wit/deps/adapter/adapter.wit: "Tell `peers.failed` of those of which nobody knows. An error means that none was sent: their publishers are answered 503."
// wit/deps/adapter/adapter.wit: "Told again after a reconnect, and when one asks again."
fn an_outage_is_told_and_got_over(given: &Given, runtime: &Runtime, servers: &mut [Broker]) {
    let (near, far) = (Side::of(given, "node-1"), Side::of(given, "node-2"));
    let (early, late) = (channel("early"), channel("late"));
    far.follow(from_ref(&early));
    servers.iter().for_each(Broker::suspend);
    let mut failed: BTreeSet<u64> = (0..100).map(|_| near.publish(&early, "in flight")).collect();
    for side in [&near, &far] {
        side.until("the outage to be told", || side.heard.told().is_down());
        let reason = side.heard.told().states.into_iter().flatten().last();
        assert!(
            reason.is_some_and(|reason| reason.contains("127.0.0.1")),
            "{:?}",
            side.heard.told().states
        );
    }
    near.until("what was in flight to fail", || {
        near.heard.told().failed.len() == failed.len()
    });
    servers.iter_mut().for_each(Broker::kill);
    // Nobody waits for anything: what is asked now is answered within the call.
    let refused = near.publish(&early, "refused");
    let told = near.heard.told().failed;
    assert_eq!(told.last().map(|(ticket, _)| *ticket), Some(refused));
    failed.insert(refused);
    far.ask_to_follow(from_ref(&late));
    for server in servers {
        runtime.block_on(server.restart());
    }
    for side in [&near, &far] {
        side.until("the broker to be found again", || side.heard.told().is_up());
    }
    far.until("everything to be followed again", || {
        let following = far.heard.told().following;
        let times = |topic: &String| following.iter().filter(|known| *known == topic).count();
        times(&early) >= 2 && times(&late) >= 1 && far.follows_its_marks(2)
    });
    near.publish(&early, "after");
    near.publish(&late, "after");
    let mut heard = far.hears(&[&near]);
    heard.sort();
    assert_eq!(
        heard,
        [(early, Bytes::from("after")), (late, Bytes::from("after"))],
        "nothing that failed comes late"
    );
    assert_eq!(near.every_ticket_comes_back_once(), failed);
    assert_eq!(near.stand.report(&given.name).traps, 0);
}

/// For brokers; doors have their own.
fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be started")
}

/// Envelopes of each sender on each topic.
const ROW: usize = 1_000;
