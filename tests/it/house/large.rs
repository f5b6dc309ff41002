//! Events of a large channel come to its subscribers in pieces; nobody notices but those who would have had to wait.

use jackfield_hub::OutboxLimits;
use jackfield_protocol::close::Close;

use super::{House, topic};

/// More than are told in two turns.
const MANY: usize = 3_000;

/// As an event.
const KILOBYTE: &str = match str::from_utf8(&[b'x'; 1_024]) {
    Ok(text) => text,
    Err(_) => unreachable!(),
};

/// A shard with a large channel, and the slots of its subscribers.
fn crowd() -> (House, Vec<usize>) {
    let mut house = House::new(OutboxLimits::default());
    let slots: Vec<usize> = (0..MANY).map(|number| house.add(0, number as u32 + 1)).collect();
    for slot in &slots {
        house.join(0, *slot, "large");
    }
    hear(&mut house, &slots);
    (house, slots)
}

/// Takes turns until there is nothing to do, as whoever writes does. Says what has come to each.
fn hear(house: &mut House, slots: &[usize]) -> Vec<String> {
    while house.turn(0) | house.shards[0].next_dirty().is_some() {}
    slots.iter().map(|slot| house.waits(0, *slot)).collect()
}

fn publish(house: &House, channel: &str, text: &'static str) {
    house.publish(channel, text, None).expect("published");
}

#[test]
fn a_small_channel_does_not_wait_for_a_large_one() {
    let (mut house, slots) = crowd();
    let quiet = house.add(0, 9_999);
    house.join(0, quiet, "small");
    hear(&mut house, &[quiet]);
    publish(&house, "large", "flood");
    assert!(house.turn(0), "not all have got it");
    publish(&house, "small", "note");
    assert!(house.turn(0), "not all have got it");
    assert_eq!(house.waits(0, quiet), "note");
    assert_eq!(house.shards[0].next_dirty(), Some(quiet));
    assert_eq!(
        house.shards[0].next_dirty(),
        None,
        "for the others more is gathered first"
    );
    let heard = hear(&mut house, &slots);
    assert!(heard.iter().all(|heard| heard == "flood"));
}

#[test]
fn events_of_a_large_channel_come_in_order() {
    let (mut house, slots) = crowd();
    publish(&house, "large", "1");
    house.turn(0);
    house.publish("large", "2", Some(7)).expect("published");
    publish(&house, "large", "3");
    let heard = hear(&mut house, &slots);
    assert_eq!(heard[6], "13");
    assert_eq!(heard.iter().filter(|heard| *heard == "123").count(), MANY - 1);
}

#[test]
fn who_comes_or_goes_in_between_changes_nothing_for_the_others() {
    let (mut house, slots) = crowd();
    publish(&house, "large", "1");
    house.turn(0);
    // Had the last one only taken its place, that one would have been passed over.
    house.leave(0, slots[0], "large");
    let late = house.add(0, 9_999);
    house.join(0, late, "large");
    publish(&house, "large", "2");
    let heard = hear(&mut house, &slots);
    assert_eq!(heard[0], "1");
    assert!(heard[1..].iter().all(|heard| heard == "12"));
    assert_eq!(house.waits(0, late), "+2", "the first one was published before it came");
}

#[test]
fn what_was_published_before_a_close_comes_before_it() {
    let (mut house, slots) = crowd();
    publish(&house, "large", "1");
    house.turn(0);
    let last = slots[MANY - 1];
    house.shards[0].close(last, Close::Reconnect);
    assert!(house.waits(0, last).starts_with('1'));
}

#[test]
fn no_more_is_gathered_than_fits_into_an_outbox() {
    let (mut house, slots) = crowd();
    let last = slots[MANY - 1];
    for _ in 0..64 {
        publish(&house, "large", KILOBYTE);
    }
    while house.shards[0].outbox(last).bytes() < 16 * 1_024 {
        assert!(house.turn(0));
    }
    assert!(house.shards[0].next_dirty().is_some(), "enough has gathered");
    for _ in 0..64 {
        assert!(house.turn(0), "the others are to be written to first");
    }
    assert_eq!(house.shards[0].outbox(last).bytes(), 16 * 1_024);
    hear(&mut house, &[]);
    assert_eq!(house.shards[0].outbox(last).bytes(), 64 * 1_024);
}

#[test]
fn whoever_publishes_faster_than_is_delivered_is_to_wait_and_nothing_grows_without_bound() {
    let (mut house, slots) = crowd();
    for _ in 0..1_000 {
        publish(&house, "large", "x");
    }
    assert!(!house.shards[0].is_behind(&topic("large")));
    house.turn(0);
    assert!(house.shards[0].is_behind(&topic("large")));
    assert!(!house.shards[0].is_behind(&topic("small")));
    let last = slots[MANY - 1];
    let waits = |house: &mut House| house.shards[0].outbox(last).bytes();
    assert_eq!(waits(&mut house), 1_000 - 256, "the oldest were delivered at once");
    hear(&mut house, &[]);
    assert_eq!(waits(&mut house), 1_000);
    assert!(!house.shards[0].is_behind(&topic("large")));
}
