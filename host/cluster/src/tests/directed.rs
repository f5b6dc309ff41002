//! Schedules written by hand, for what random ones hardly ever meet.

use bytes::Bytes;
use jackfield_hub::doors::Reach;

use super::profile::{Profile, named};
use super::without::LOST;
use super::world::{MS, SECOND, World};
use crate::rules::{Rule, Rules};
use crate::{BusId, Cluster, Event, Setup, Topic};

/// Two brokers, and nodes on the first one. Nothing happens by itself, not even the losses that excuse what is closed.
fn world(nodes: usize, without: Option<Rule>) -> World {
    let silent = Profile {
        nodes,
        buses: 2,
        active: 0,
        calm: 100 * SECOND,
        faults: 0,
        loss: 1,
        ..named("split")
    };
    let mut world = World::new(silent, 1, Rules { without });
    world.run_until(9 * SECOND);
    world
}

/// The schedule is good with the rule, and loses a message without it.
fn needs(rule: Rule, schedule: impl Fn(&mut World), nodes: usize) {
    for without in [None, Some(rule)] {
        let mut world = world(nodes, without);
        schedule(&mut world);
        world.run();
        let lost = world.failures.iter().any(|failure| failure.contains(LOST));
        assert_eq!(lost, without.is_some(), "without {without:?}: {:?}", world.failures);
        assert!(lost || world.failures.is_empty(), "{:?}", world.failures);
    }
}

/// A node is cut off. Meanwhile another one starts, is alone, and publishes; it meets the first one, and dies before it has
/// told what there was.
#[test]
fn a_debt_is_not_settled_by_any_beat() {
    let topic = Topic::new("1/a");
    let schedule = |world: &mut World| {
        world.subscribe(1, topic.clone());
        world.run_until(12 * SECOND);
        world.goodbye(0);
        while world.nodes[0].is_some() {
            world.run_until(world.now + MS);
        }
        world.cut(1, BusId(0), 25 * SECOND);
        world.run_until(35 * SECOND);
        world.publish_on(0, topic.clone());
        let met = |world: &World| {
            let node = world.nodes[1].as_ref().expect("it lives");
            node.cluster.peers.live.values().next().and_then(|peer| peer.met)
        };
        let before = met(world);
        while met(world) == before {
            world.run_until(world.now + MS);
        }
        world.crash(0, 3 * SECOND);
    };
    needs(Rule::SettledBeat, schedule, 2);
}

/// Two nodes have left the old bus for good, and a third one comes up there alone and publishes.
#[test]
fn a_bus_that_was_left_is_listened_to() {
    let topic = Topic::new("1/a");
    let schedule = |world: &mut World| {
        world.crash(2, 25 * SECOND);
        world.swap(0);
        world.swap(1);
        world.run_until(42 * SECOND);
        world.subscribe(1, topic.clone());
        world.run_until(45 * SECOND);
        world.publish_on(2, topic.clone());
        world.run_until(55 * SECOND);
        world.check_deliveries();
        world.swap(2);
    };
    needs(Rule::Rejoin, schedule, 3);
}

/// Nobody has come up on the old bus; later it is needed again.
#[test]
fn a_bus_that_was_left_is_given_up_in_the_end_and_can_be_attached_anew() {
    let mut world = world(2, None);
    world.profile.calm = 800 * SECOND;
    let topic = Topic::new("1/a");
    let buses = |world: &World, left: bool| -> Vec<Vec<BusId>> {
        let of = |at: usize| -> Vec<BusId> {
            let node = world.nodes[at].as_ref().expect("it lives");
            let buses = node
                .cluster
                .buses()
                .filter(|bus| bus.left == left && bus.publishes != left);
            buses.map(|bus| bus.id).collect()
        };
        vec![of(0), of(1)]
    };
    let (old, new) = (vec![vec![BusId(0)]; 2], vec![vec![BusId(1)]; 2]);
    assert_eq!(buses(&world, false), old);
    world.swap(0);
    world.swap(1);
    world.run_until(25 * SECOND);
    assert_eq!((buses(&world, true), buses(&world, false)), (old.clone(), new.clone()));
    world.run_until(640 * SECOND);
    assert_eq!(
        (buses(&world, true), buses(&world, false)),
        (vec![Vec::new(); 2], new.clone())
    );
    world.subscribe(1, topic.clone());
    for at in [0, 1] {
        world.attach(at, BusId(0));
    }
    world.run_until(643 * SECOND);
    world.publish_on(0, topic.clone());
    world.run_until(660 * SECOND);
    assert_eq!((buses(&world, true), buses(&world, false)), (new, old));
    world.publish_on(0, topic);
    world.run();
    assert!(world.failures.is_empty(), "{:?}", world.failures);
    assert!(world.tally.delivered >= 2);
}

/// All have left the old bus a moment ago, and one goes back to it: the others listen there no more, whatever their last beats
/// said. What is published is heard over the new bus, at once.
#[test]
fn who_goes_back_at_once_is_heard_at_once() {
    let mut world = world(3, None);
    let topic = Topic::new("1/a");
    for at in [0, 1, 2] {
        world.subscribe(at, topic.clone());
        world.swap(at);
    }
    let has_left = |world: &World, at: usize| {
        let node = world.nodes[at].as_ref().expect("it lives");
        node.cluster.buses().any(|bus| bus.left)
    };
    while !(0..3).all(|at| has_left(&world, at)) {
        world.run_until(world.now + MS);
    }
    world.tell(1, Event::Target(BusId(0)));
    // The way over brokers takes milliseconds, and all topics are followed again by then.
    for _ in 0..20 {
        world.run_until(world.now + 100 * MS);
        world.publish_on(1, topic.clone());
    }
    world.tell(1, Event::Target(BusId(1)));
    world.run();
    assert!(world.failures.is_empty(), "{:?}", world.failures);
    assert!(world.tally.delivered >= 60);
    for node in world.nodes.iter().flatten() {
        assert_eq!(node.cluster.stats().needs, 0, "nothing had to be asked for");
    }
}

/// A node is cut off for so long that its peers expire it. Nobody else has died, and nothing was published.
#[test]
fn who_was_expired_itself_closes_nobody_for_that() {
    let mut world = world(3, None);
    world.subscribe(1, Topic::new("1/a"));
    world.run_until(12 * SECOND);
    world.cut(1, BusId(0), 15 * SECOND);
    world.run();
    assert_eq!((world.tally.closed, &world.failures), (0, &Vec::new()));
}

/// While a node is cut off another one starts, publishes and dies. The third one, who knows of that, is heard again before it hears the
/// first one, or afterwards.
#[test]
fn a_death_in_ones_absence_is_not_forgotten_over_the_first_beat() {
    let topic = Topic::new("1/a");
    for offset in (0..1_000).step_by(125) {
        let mut world = world(3, None);
        world.subscribe(1, topic.clone());
        world.run_until(10 * SECOND);
        world.goodbye(2);
        while world.nodes[2].is_some() {
            world.run_until(world.now + MS);
        }
        world.cut(1, BusId(0), 34 * SECOND + offset * MS);
        world.run_until(30 * SECOND);
        world.publish_on(2, topic.clone());
        world.run_until(31 * SECOND);
        assert_eq!(world.tally.confirmed, 1, "the third one hears it");
        world.crash(2, 60 * SECOND);
        world.run();
        assert_eq!(world.failures, Vec::<String>::new(), "cut off for {offset} ms more");
        assert_eq!(world.tally.closed, 1);
    }
}

#[test]
fn a_rush_of_subscribers_is_told_once() {
    let mut world = world(2, None);
    let topic = Topic::new("1/a");
    world.subscribe(0, topic.clone());
    world.run_until(10 * SECOND);
    let told = |world: &World| world.nodes[0].as_ref().map(|node| node.cluster.roster.seq());
    let before = told(&world);
    for _ in 0..1_000 {
        world.subscribe(0, topic.clone());
    }
    // The first one goes out at once, all others together.
    assert_eq!(told(&world), before.map(|seq| seq + 2));
    world.run();
    assert!(world.failures.is_empty(), "{:?}", world.failures);
}

#[test]
fn a_kind_of_a_later_version_is_counted_and_ignored() {
    let mut cluster = Cluster::new(&Setup::new("node-1", 1, 1));
    let mut effects = Vec::new();
    cluster.handle(Event::Attach(BusId(0), Reach::Shared), 0, &mut effects);
    cluster.handle(Event::LinkUp(BusId(0)), 0, &mut effects);
    effects.clear();
    let all = Topic::all();
    let bytes = Bytes::from(
        [
            &[jackfield_envelope::VERSION, 200][..],
            &7_u64.to_le_bytes(),
            b"whatever",
        ]
        .concat(),
    );
    let (bus, topic) = (BusId(0), all.as_str());
    cluster.handle(Event::Message { bus, topic, bytes }, 0, &mut effects);
    assert_eq!((cluster.stats().unknown_kinds, cluster.stats().malformed), (1, 0));
    assert_eq!(effects, [], "and nobody is told of anything");
    assert_eq!(cluster.peers().count(), 0);
}
