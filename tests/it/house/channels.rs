//! Events and subscriptions: who hears what, in which order, and what is let go.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Counted, Event, HOLD_MS, House, Late, OutboxLimits, topic};

#[test]
fn an_event_reaches_every_subscriber_but_the_one_excepted() {
    let mut house = House::new(OutboxLimits::default());
    let (a, b, c, d) = (house.add(0, 1), house.add(0, 2), house.add(1, 3), house.add(1, 4));
    for (shard, slot, channel) in [(0, a, "x"), (0, b, "x"), (1, c, "x"), (1, d, "y")] {
        house.join(shard, slot, channel);
    }
    assert!(house.publish("x", "hello", Some(2)).expect("published"));
    let heard = [(0, a), (0, b), (1, c), (1, d)].map(|(shard, slot)| house.hears(shard, slot));
    assert_eq!(heard, ["+hello", "+", "+hello", "+"]);
}

#[test]
fn a_subscription_waits_until_the_adapter_follows() {
    let mut house = House::new(OutboxLimits::default());
    let (a, b) = (house.add(0, 1), house.add(1, 2));
    house.line.silent.store(true, Ordering::Relaxed);
    house.join(0, a, "x");
    house.join(1, b, "x");
    house.leave(1, b, "x");
    assert_eq!(house.hears(0, a), "");
    house.line.silent.store(false, Ordering::Relaxed);
    house.hub.drive();
    house.publish("x", "now", None).expect("published");
    assert_eq!(
        (house.hears(0, a), house.hears(1, b)),
        ("+now".to_owned(), String::new())
    );
}

#[test]
fn a_subscription_that_is_not_confirmed_is_given_up() {
    let mut house = House::new(OutboxLimits::default());
    let a = house.add(0, 1);
    house.line.silent.store(true, Ordering::Relaxed);
    house.join(0, a, "x");
    assert_eq!(house.shards[0].expire(4_999), []);
    assert_eq!(
        house.shards[0].expire(5_000),
        [Late {
            slot: a,
            topic: topic("x"),
            ticket: 1
        }]
    );
    assert_eq!(house.shards[0].expire(9_999), []);
    house.line.silent.store(false, Ordering::Relaxed);
    house.hub.drive();
    assert_eq!(house.hears(0, a), "", "it was given up, and is not confirmed later");
}

#[test]
fn who_leaves_and_comes_again_at_once_comes_in_once() {
    let mut house = House::new(OutboxLimits::default());
    let a = house.add(0, 1);
    house.join(0, a, "x");
    house.leave(0, a, "x");
    house.join(0, a, "x");
    house.publish("x", "e", None).expect("published");
    assert_eq!(house.hears(0, a), "+e");
}

#[test]
fn nothing_is_delivered_while_the_adapter_is_degraded() {
    let mut house = House::new(OutboxLimits::default());
    let a = house.add(0, 1);
    house.join(0, a, "x");
    *house.line.state.lock() = Some(Some("the line is cut".to_owned()));
    house.hub.drive();
    let error = house.publish("x", "lost", None).expect_err("refused");
    assert_eq!(error.to_string(), "nothing was delivered: the line is cut");
    assert_eq!(house.hears(0, a), "+");
    assert_eq!(house.hub.open_tickets(), 0);
}

#[test]
fn an_unconfirmed_publish_is_open_until_its_receipt_is_dropped() {
    let mut house = House::new(OutboxLimits::default());
    let a = house.add(0, 1);
    house.join(0, a, "x");
    house.line.silent.store(true, Ordering::Relaxed);
    let event = Event {
        topic: topic("x"),
        frame: Bytes::from_static(b"e"),
        except: None,
        kept: false,
    };
    let mut receipt = house.hub.publish(&house.pass(), vec![event]).expect("accepted");
    assert!(receipt.settled().is_none());
    assert_eq!(house.hub.open_tickets(), 1);
    drop(receipt);
    assert_eq!(house.hub.open_tickets(), 0);
    assert_eq!(house.hears(0, a), "+e", "local subscribers had it at once");
}

// Pusher documents, "Webhooks": whoever comes back within 3 s causes nothing.
#[test]
fn a_channel_lingers_before_it_is_let_go() {
    let mut house = House::new(OutboxLimits::default());
    let a = house.add(0, 1);
    house.join(0, a, "x");
    house.at(1_000);
    house.leave(0, a, "x");
    house.at(2_500);
    house.join(0, a, "x");
    house.leave(0, a, "x");
    house.at(4_400);
    assert_eq!(*house.line.asked.lock(), ["follow 1/x"]);
    assert_eq!(*house.notices.0.lock(), ["channel_occupied x"]);
    house.at(2_500 + HOLD_MS + 1_000);
    assert_eq!(*house.line.asked.lock(), ["follow 1/x", "unfollow 1/x"]);
    assert_eq!(house.hub.channel_count(), 0);
    house.join(0, a, "x");
    assert_eq!(
        *house.notices.0.lock(),
        ["channel_occupied x", "channel_vacated x", "channel_occupied x"]
    );
}

#[test]
fn an_adapter_that_comes_back_follows_what_was_followed() {
    let mut house = House::new(OutboxLimits::default());
    let (a, b) = (house.add(0, 1), house.add(1, 2));
    house.join(0, a, "x");
    for state in [Some("the line is cut".to_owned()), None] {
        *house.line.state.lock() = Some(state);
        house.hub.drive();
    }
    assert_eq!(*house.line.asked.lock(), ["follow 1/x", "follow 1/x"]);
    house.join(1, b, "x");
    assert!(house.publish("x", "hello", None).expect("published"));
    assert_eq!(
        (house.hears(0, a), house.hears(1, b)),
        ("+hello".to_owned(), "+hello".to_owned())
    );
}

#[test]
fn a_slow_consumer_is_cut_and_nobody_else() {
    let mut house = House::new(OutboxLimits { bytes: 10, frames: 100 });
    let (slow, quick) = (house.add(0, 1), house.add(0, 2));
    house.join(0, slow, "x");
    house.join(0, quick, "x");
    assert_eq!(
        (house.hears(0, slow), house.hears(0, quick)),
        ("+".to_owned(), "+".to_owned())
    );
    for _ in 0..3 {
        house.publish("x", "12345", None).expect("published");
        assert_eq!(house.hears(0, quick), "12345");
    }
    assert!(house.shards[0].is_closing(slow) && !house.shards[0].is_closing(quick));
    assert_eq!(house.shards[0].cut, 1);
    // RFC 6455 §5.5.1: 0x88 is a close frame; 4100 is 0x1004.
    let farewell = house.shards[0].outbox(slow);
    let mut slices = [std::io::IoSlice::new(&[]); 2];
    assert_eq!(farewell.fill(&mut slices), 1);
    assert_eq!((slices[0][0], slices[0][2], slices[0][3]), (0x88, 0x10, 0x04));
}

/// Random joins, leaves and departures against a plain model of who is in which channel.
#[test]
fn membership_agrees_with_a_plain_model() {
    let mut house = House::new(OutboxLimits::default());
    let channels = ["a", "b", "c"];
    let mut members: Vec<(usize, Vec<bool>)> = (0..12).map(|id| (house.add(0, id), vec![false; 3])).collect();
    let mut seed: u64 = 7;
    for round in 0..3_000u32 {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (who, channel) = ((seed >> 33) as usize % 12, (seed >> 40) as usize % 3);
        let slot = members[who].0;
        if seed >> 60 == 0 {
            house.shards[0].remove(slot, 0);
            members[who] = (house.add(0, 1_000 + round), vec![false; 3]);
        } else if members[who].1[channel] {
            house.leave(0, slot, channels[channel]);
            members[who].1[channel] = false;
        } else {
            house.join(0, slot, channels[channel]);
            members[who].1[channel] = true;
            assert_eq!(house.hears(0, slot), "+", "round {round}");
        }
        house.publish(channels[channel], "e", None).expect("published");
        for (slot, joined) in &members {
            let expected = if joined[channel] { "e" } else { "" };
            assert_eq!(house.hears(0, *slot), expected, "round {round}");
        }
    }
}

// Pusher documents, "Cache channels": the last event follows the welcome, or a miss does.
#[test]
fn a_cache_channel_keeps_its_last_event() {
    let mut house = House::new(OutboxLimits::default());
    let (a, b, c) = (house.add(0, 1), house.add(0, 2), house.add(1, 3));
    house.join(0, a, "cache-x");
    house.join(0, b, "cache-x");
    assert_eq!(
        (house.hears(0, a), house.hears(0, b)),
        ("+miss".to_owned(), "+miss".to_owned())
    );
    house.publish("cache-x", "one", None).expect("published");
    house.publish("cache-x", "two", None).expect("published");
    house.join(1, c, "cache-x");
    house.publish("cache-x", "three", None).expect("published");
    let heard = house.hears(1, c);
    assert!(heard.starts_with("+two") && heard.contains("\"three\""), "{heard}");
    assert_eq!(&*house.hub.cached(&topic("cache-x"), 0).expect("kept").data, "three");
    assert_eq!(
        *house.notices.0.lock(),
        ["channel_occupied cache-x", "cache_miss cache-x"],
        "one miss is told once"
    );
}

// Pusher documents, "Cache channels": an event is kept for 30 minutes. Afterwards it is missed, and that is told.
#[test]
fn a_kept_event_is_forgotten_in_time() {
    const HALF_AN_HOUR_MS: u64 = 30 * 60 * 1_000;
    let mut house = House::new(OutboxLimits::default());
    let (a, b, c) = (house.add(0, 1), house.add(0, 2), house.add(1, 3));
    house.at(1_000);
    house.publish("cache-x", "kept", None).expect("published");
    house.at(1_000 + HALF_AN_HOUR_MS - 1);
    house.join(0, a, "cache-x");
    assert_eq!(house.hears(0, a), "+kept");
    house.now_ms += 1;
    house.join(0, b, "cache-x");
    assert_eq!(house.hears(0, b), "+miss", "also before anything was swept");
    assert!(house.hub.cached(&topic("cache-x"), house.now_ms).is_none());
    house.hub.sweep(house.now_ms);
    house.publish("cache-x", "new", None).expect("published");
    house.join(1, c, "cache-x");
    assert_eq!(house.hears(1, c), "+new");
    assert_eq!(
        *house.notices.0.lock(),
        ["channel_occupied cache-x", "cache_miss cache-x"]
    );
}

#[test]
fn an_event_is_kept_for_a_channel_in_which_nobody_is() {
    let mut house = House::new(OutboxLimits::default());
    house.publish("cache-x", "early", None).expect("published");
    house.at(HOLD_MS);
    assert_eq!(house.hub.channel_count(), 0);
    let a = house.add(0, 1);
    house.join(0, a, "cache-x");
    assert_eq!(house.hears(0, a), "+early");
    assert_eq!(*house.notices.0.lock(), ["channel_occupied cache-x"]);
}

// Pusher documents, "Subscription count events": at once in a small channel.
#[test]
fn subscribers_are_told_how_many_they_are() {
    let mut house = House::of(OutboxLimits::default(), Counted::Yes);
    let (a, b) = (house.add(0, 1), house.add(0, 2));
    house.join(0, a, "x");
    house.join(0, b, "x");
    house.leave(0, b, "x");
    let heard = house.hears(0, a);
    let counts: Vec<&str> = heard
        .split("subscription_count\\\":")
        .skip(1)
        .map(|rest| &rest[..1])
        .collect();
    assert_eq!(counts, ["1", "2", "1"]);
}

// … and above 100 subscribers at most once in five seconds.
#[test]
fn a_large_channel_is_counted_now_and_then() {
    let mut house = House::of(OutboxLimits::default(), Counted::Yes);
    let slots: Vec<usize> = (0..110).map(|id| house.add(0, id)).collect();
    for slot in &slots {
        house.join(0, *slot, "x");
    }
    house.hears(0, slots[0]);
    house.at(4_999);
    assert_eq!(house.hears(0, slots[0]), "");
    house.at(5_000);
    assert!(house.hears(0, slots[0]).contains("subscription_count\\\":110"));
    house.at(20_000);
    assert_eq!(house.hears(0, slots[0]), "", "nothing has changed since");
}
