//! What the adapter door asks of a plugin, and what it promises.

use std::collections::BTreeSet;
use std::{fs, thread};

use bytes::Bytes;
use jackfield_hub::doors::{AdapterRequest, Envelope, Reach};

use super::adapter_peers::between_two_instances;
use super::given::{self, Given};
use crate::harness::heard::Heard;
use crate::harness::stand::{Layout, NODE, Stand, envelope, guest, topic};
use crate::reload::another;

#[test]
fn the_plugins_of_the_house_keep_the_contract() {
    for given in given::at("adapter") {
        keep(&given);
    }
}

/// The whole contract of the adapter door, put to one plugin.
pub(super) fn keep(given: &Given) {
    given.keep();
    let (stand, heard) = (given.stand(), Heard::default());
    it_comes_up(&stand, &heard);
    every_ticket_is_confirmed(&stand, &heard);
    topics_are_followed(&stand, &heard);
    any_topic_and_frame_will_do(&stand, &heard);
    let told = heard.told();
    assert_eq!(told.failed, [], "{}", given.name);
    assert!(told.is_up(), "{}: {:?}", given.name, told.states);
    assert_eq!(stand.report(&given.name).traps, 0, "{} trapped", given.name);
    if stand.adapter().reach() == Reach::Shared {
        between_two_instances(given);
    }
}

// wit/deps/host/host.wit: "Tells a change of state. An adapter that never says `up` keeps its instance from being ready."
fn it_comes_up(stand: &Stand, heard: &Heard) {
    stand.drive_until("the adapter to be up", heard, || heard.told().is_up());
}

// wit/deps/adapter/adapter.wit: "Confirm each ticket by `cluster.confirmed`, now or in a later call."
// wit/deps/adapter/adapter.wit: "Called for every publish, with as many envelopes as have gathered (at most 1,024)."
fn every_ticket_is_confirmed(stand: &Stand, heard: &Heard) {
    for ticket in 0..3_000 {
        stand.queue(AdapterRequest::Publish(envelope(
            &format!("room-{}", ticket % 7),
            ticket,
        )));
    }
    stand.drive(heard);
    stand.drive_until("3,000 tickets", heard, || heard.told().confirmed.len() >= 3_000);
    let confirmed = heard.told().confirmed;
    assert_eq!(confirmed.len(), 3_000, "each once");
    assert_eq!(BTreeSet::from_iter(confirmed), BTreeSet::from_iter(0..3_000));
}

// wit/deps/adapter/adapter.wit: "Starts following topics: the first local subscriber came. Repeating a topic is harmless. Tell
// `cluster.following` when it holds." wit/deps/adapter/adapter.wit: "Stops following topics: the last local subscriber has been gone for
// a while. Best effort."
fn topics_are_followed(stand: &Stand, heard: &Heard) {
    let known = || {
        let following = heard.told().following;
        following.iter().filter(|known| *known == &*topic("followed")).count()
    };
    let follow = || {
        let before = known();
        stand.submit(heard, AdapterRequest::Follow(vec![topic("followed")]));
        stand.drive_until("the topic to be followed", heard, || known() > before);
    };
    follow();
    stand.submit(heard, AdapterRequest::Follow(vec![topic("followed")]));
    stand.submit(heard, AdapterRequest::Unfollow(vec![topic("followed")]));
    stand.submit(heard, AdapterRequest::Unfollow(vec![topic("never-followed")]));
    follow();
}

// wit/deps/adapter/adapter.wit: "Where to: `APP/CHANNEL`, or one of the cluster's own, which begin with a slash. At most 400 bytes."
// wit/deps/adapter/adapter.wit: "What: opaque bytes, to arrive unchanged."
fn any_topic_and_frame_will_do(stand: &Stand, heard: &Heard) {
    let channels = ["#server-to-user-7", "a=b@c,d.e;f-g_h", "..a..", &"x".repeat(200)];
    let frames = [Bytes::new(), (0..=255).collect(), Bytes::from(vec![0xff; 300 << 10])];
    let mut ticket = 1_000_000;
    for channel in channels {
        for frame in &frames {
            ticket += 1;
            let envelope = Envelope {
                topic: format!("{}/{channel}", "a".repeat(64)).into(),
                frame: frame.clone(),
                ticket: Some(ticket),
            };
            stand.submit(heard, AdapterRequest::Publish(envelope));
            stand.drive_until("a ticket", heard, || heard.told().confirmed.contains(&ticket));
        }
    }
}

fn probe(config: &str) -> Stand {
    counting("probe-adapter", config).ready()
}

fn counting(name: &str, config: &str) -> Layout {
    let layout = Layout::new().at("adapter", name, guest(name)).config(name, config);
    layout.file(
        &format!("{name}.toml"),
        "grants = [\"counters\"]\n[limits]\npause_after = 0",
    )
}

/// What the probe was asked so far, in its own words.
fn journal(stand: &Stand, heard: &Heard) -> String {
    stand.publish(heard, "report", 999);
    let states = heard.told().states;
    states.into_iter().flatten().last().expect("it reports")
}

// wit/deps/adapter/adapter.wit: "Called once, after `lifecycle.init` and before everything else. `node` is this instance's name in
// the cluster."
#[test]
fn it_is_started_before_everything_else() {
    let (stand, heard) = (probe("{}"), Heard::default());
    stand.submit(&heard, AdapterRequest::Follow(vec![topic("room")]));
    stand.publish(&heard, "room", 1);
    stand.submit(&heard, AdapterRequest::Unfollow(vec![topic("room")]));
    let journal = journal(&stand, &heard);
    assert!(
        journal.starts_with(&format!("start {NODE}, follow 1001/room, publish 1, ")),
        "{journal}"
    );
    assert_eq!(journal.matches("start").count(), 1, "{journal}");
    assert!(journal.contains("unfollow 1001/room"), "{journal}");
}

// wit/deps/adapter/adapter.wit: "An error keeps the adapter from going live; the text is for the operator."
#[test]
fn an_adapter_that_does_not_start_carries_nothing() {
    let (stand, heard) = (probe(r#"{"refuse":"no broker"}"#), Heard::default());
    stand.publish(&heard, "room", 1);
    let told = heard.take();
    assert!(
        told.states.iter().flatten().any(|state| state.contains("no broker")),
        "{told:?}"
    );
    assert!(!told.is_up(), "{told:?}");
    let [(1, reason)] = &told.failed[..] else {
        panic!("{told:?}")
    };
    assert!(reason.contains("probe-adapter"), "{reason}");
    // It is tried again, and says so again.
    stand.drive_until("another try", &heard, || {
        stand.report("probe-adapter").counters["started"] >= 3
    });
}

// wit/deps/adapter/adapter.wit: "Offers envelopes to every instance that follows their topics, this one included, in the order given per topic.
// Called for every publish, with as many envelopes as have gathered (at most 1,024)."
#[test]
fn what_has_gathered_goes_in_one_call_and_in_order() {
    let (stand, heard) = (probe("{}"), Heard::default());
    for ticket in 0..2_500 {
        stand.queue(AdapterRequest::Publish(envelope("room", ticket)));
    }
    stand.drive(&heard);
    assert_eq!(heard.told().confirmed, Vec::from_iter(0..2_500));
    let journal = journal(&stand, &heard);
    let batches: Vec<&str> = journal.split(", ").filter(|line| line.starts_with("publish")).collect();
    assert_eq!(batches, ["publish 1024", "publish 1024", "publish 452", "publish 1"]);
}

// wit/deps/adapter/adapter.wit: "What: opaque bytes, to arrive unchanged."
#[test]
fn a_frame_reaches_the_adapter_as_it_is() {
    let (stand, heard) = (probe("{}"), Heard::default());
    let frame: Bytes = (0..=255).collect();
    let digest = jackfield_protocol::signature::md5_hex(&frame);
    let envelope = Envelope {
        frame,
        ..envelope("digest", 1)
    };
    stand.submit(&heard, AdapterRequest::Publish(envelope));
    let journal = journal(&stand, &heard);
    assert!(journal.contains(&digest), "{journal}");
}

// wit/deps/adapter/adapter.wit: "Confirm each ticket by `cluster.confirmed`, now or in a later call."
#[test]
fn a_ticket_may_be_confirmed_by_a_later_call() {
    let (stand, heard) = (probe("{}"), Heard::default());
    stand.publish(&heard, "later", 7);
    assert_eq!(heard.take().confirmed, Vec::<u64>::new());
    stand.publish(&heard, "silent", 8);
    let told = heard.take();
    assert_eq!((told.confirmed, told.failed), (vec![7], vec![]));
}

// wit/deps/adapter/adapter.wit: "An error means that none was sent: their publishers are answered 503."
#[test]
fn an_error_fails_the_whole_batch() {
    let (stand, heard) = (probe("{}"), Heard::default());
    for (ticket, channel) in [(1, "silent"), (2, "error"), (3, "silent")] {
        stand.queue(AdapterRequest::Publish(envelope(channel, ticket)));
    }
    stand.drive(&heard);
    let told = heard.take();
    let failed: Vec<u64> = told.failed.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(
        (failed, told.is_up()),
        (vec![1, 2, 3], true),
        "an error is no trap: it stays up"
    );
    assert!(told.failed[0].1.contains("ordered to fail"), "{told:?}");
    stand.publish(&heard, "room", 4);
    assert_eq!(heard.told().confirmed, [4]);
}

// wit/deps/host/host.wit: "None of these waits; what is told during a call takes effect when the call has returned, and not at all
// if it trapped."
#[test]
fn what_is_told_in_a_call_that_traps_has_no_effect() {
    let (stand, heard) = (probe("{}"), Heard::default());
    stand.publish(&heard, "trap", 1);
    let told = heard.take();
    assert_eq!(told.confirmed, Vec::<u64>::new(), "the probe had confirmed it");
    assert_eq!(told.failed.len(), 1, "{told:?}");
    stand.drive_until("the adapter to be started again", &heard, || heard.told().is_up());
    heard.take();
    stand.submit(&heard, AdapterRequest::Follow(vec![topic("trap")]));
    assert_eq!(heard.take().following, Vec::<String>::new());
}

// host/docs/misbehaving-plugins.md: "publishes are refused (503), the adapter is started again, the instance reports itself as degraded"
#[test]
fn after_a_trap_a_fresh_instance_is_started() {
    let (stand, heard) = (probe("{}"), Heard::default());
    stand.publish(&heard, "loop", 1);
    let told = heard.take();
    assert!(told.states.last().is_some_and(Option::is_some), "degraded: {told:?}");
    // While it is down publishers are told why, by the plugin's name.
    stand.publish(&heard, "room", 2);
    let told = heard.take();
    assert!(told.failed[0].1.contains("`probe-adapter`"), "{told:?}");
    stand.drive_until("the adapter to be started again", &heard, || heard.told().is_up());
    heard.take();
    stand.submit(&heard, AdapterRequest::Follow(vec![topic("room")]));
    assert_eq!(heard.take().following, ["1001/room"]);
    stand.publish(&heard, "room", 3);
    assert_eq!(heard.told().confirmed, [3]);
}

// host/docs/misbehaving-plugins.md: "Ten traps within ten seconds, or three calls that took too long, *pause* the plugin"
#[test]
fn an_adapter_that_fails_too_often_is_paused_like_any_other() {
    let name = "probe-adapter";
    let layout = Layout::new().at("adapter", name, guest(name));
    let layout = layout.file(
        "probe-adapter.toml",
        "grants = [\"counters\"]\n[limits]\npause_after = 2",
    );
    let (stand, heard) = (layout.ready(), Heard::default());
    for ticket in 1..=2 {
        stand.drive_until("the adapter to be up", &heard, || heard.told().is_up());
        heard.take();
        stand.publish(&heard, "trap", ticket);
    }
    assert!(stand.report(name).paused);
    let started = stand.report(name).counters["started"];
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..100).for_each(|ticket| stand.publish(&heard, "room", ticket)));
        }
    });
    assert_eq!(stand.report(name).counters["started"], started, "nobody calls it");
    stand.drive_until("the pause to end", &heard, || heard.told().is_up());
    assert!(!stand.report(name).paused, "it did well");
}

// wit/deps/adapter/adapter.wit: "Called once, last. Nothing is expected of it but to let go."
#[test]
fn it_is_told_to_stop() {
    let (name, heard) = ("probe-adapter", Heard::default());
    let layout = counting(name, "{}");
    let file = layout.folder().join("probe-adapter.wasm");
    let stand = layout.ready();
    stand.publish(&heard, "room", 1);
    fs::write(file, another(&guest(name), 2)).expect("the folder is ours");
    stand.run(stand.registry.reload(None));
    stand.publish(&heard, "room", 2);
    assert_eq!(stand.report(name).generation, 2);
    stand.run(stand.registry.roll_back(name.to_owned()));
    stand.publish(&heard, "room", 3);
    // The counters of the first one come back with it.
    let report = stand.report(name);
    assert_eq!((report.generation, report.counters["stopped"]), (1, 1));
}
