//! Presence channels and signed-in users: who is told of whom, and how often.

use super::{HOLD_MS, House, JoinError, OutboxLimits, topic};
use crate::users::Place;
use jackfield_protocol::names::SocketId;

fn house() -> House {
    House::new(OutboxLimits::default())
}

// Pusher documents, "Presence channels": `member_added` once per user, and not to the one who comes; `member_removed` with the
// last connection.
#[test]
fn members_come_and_go_once_per_user() {
    let mut house = house();
    let (a, b, c) = (house.add(0, 1), house.add(1, 2), house.add(0, 3));
    for (shard, slot, user) in [(0, a, "1"), (1, b, "2"), (0, c, "2")] {
        house
            .join_as(shard, slot, "presence-x", Some(user))
            .expect("there is room");
    }
    let heard = house.hears(0, a);
    assert_eq!(
        (
            heard.matches("member_added").count(),
            heard.matches("\\\"2\\\"").count()
        ),
        (1, 1),
        "{heard}"
    );
    assert!(!house.hears(1, b).contains("member_added"));
    assert_eq!(house.hub.members(&topic("presence-x")), ["1", "2"]);
    house.leave(1, b, "presence-x");
    assert_eq!(house.hears(0, a), "");
    house.leave(0, c, "presence-x");
    assert!(house.hears(0, a).contains("member_removed"));
}

// The list in the welcome and the events after it are the whole truth: nobody twice, nobody left out.
#[test]
fn a_welcome_and_what_follows_leave_no_hole() {
    let mut house = house();
    let (a, b, c) = (house.add(0, 1), house.add(0, 2), house.add(0, 3));
    house.join_as(0, a, "presence-x", Some("1")).expect("there is room");
    house.join_as(0, b, "presence-x", Some("2")).expect("there is room");
    house.join_as(0, c, "presence-x", Some("3")).expect("there is room");
    house.leave(0, a, "presence-x");
    let heard = house.hears(0, b);
    assert!(heard.starts_with("+"));
    let order = ["\"count\\\":2", "member_added", "member_removed"]
        .map(|part| heard.find(&part.replace("\"count", "\\\"count")));
    assert!(order.is_sorted() && order[0].is_some(), "{order:?} {heard}");
}

#[test]
fn a_full_channel_refuses_new_users_alone() {
    let mut house = house();
    for (id, user) in [(1, "1"), (2, "2"), (3, "3"), (4, "3")] {
        let slot = house.add(0, id);
        house
            .join_as(0, slot, "presence-x", Some(user))
            .expect("three users may come in");
    }
    let slot = house.add(0, 5);
    let refused = house.join_as(0, slot, "presence-x", Some("4"));
    assert!(matches!(refused, Err(JoinError::Full(3))), "{refused:?}");
    assert_eq!(house.hub.occupancy(&topic("presence-x")).subscriptions, 4);
}

// Pusher documents, "Webhooks": a user who comes back within 3 s was never gone.
#[test]
fn the_apps_server_is_told_when_a_user_stays_away() {
    let mut house = house();
    let (a, b) = (house.add(0, 1), house.add(0, 2));
    house.join_as(0, a, "presence-x", Some("1")).expect("there is room");
    house.join_as(0, b, "presence-x", Some("2")).expect("there is room");
    house.now_ms = 1_000;
    house.leave(0, b, "presence-x");
    house.now_ms = 2_000;
    house.join_as(0, b, "presence-x", Some("2")).expect("there is room");
    house.hub.sweep(1_000 + HOLD_MS);
    house.now_ms = 10_000;
    house.leave(0, b, "presence-x");
    house.hub.sweep(10_000 + HOLD_MS);
    let told =
        ["channel_occupied", "member_added", "member_added", "member_removed"].map(|name| format!("{name} presence-x"));
    assert_eq!(*house.notices.0.lock(), told);
}

// Pusher documents, "Webhooks": `member_removed` for everybody who has left. A channel that was made in the very millisecond in
// which it emptied is let go before it is time to look at those who left, so they are told of with it, and once.
#[test]
fn who_left_in_the_moment_in_which_the_channel_emptied_is_told_of() {
    let mut house = house();
    let (a, b) = (house.add(0, 1), house.add(1, 2));
    house.join_as(0, a, "presence-x", Some("1")).expect("there is room");
    house.join_as(1, b, "presence-x", Some("2")).expect("there is room");
    house.leave(1, b, "presence-x");
    house.leave(0, a, "presence-x");
    house.hub.sweep(HOLD_MS - 1);
    let mut told = ["channel_occupied", "member_added", "member_added"]
        .map(|name| format!("{name} presence-x"))
        .to_vec();
    assert_eq!(*house.notices.0.lock(), told);
    house.hub.sweep(HOLD_MS);
    told.extend(["member_removed", "member_removed", "channel_vacated"].map(|name| format!("{name} presence-x")));
    assert_eq!(*house.notices.0.lock(), told);
    house.hub.sweep(10 * HOLD_MS);
    assert_eq!(*house.notices.0.lock(), told, "nobody leaves twice");
    assert_eq!(house.hub.channel_count(), 0);
}

// The same when the last of them leaves a moment later: each is told of at the own time, the channel at the end.
#[test]
fn who_left_moments_before_the_channel_emptied_is_told_of() {
    let mut house = house();
    let (a, b) = (house.add(0, 1), house.add(0, 2));
    house.join_as(0, a, "presence-x", Some("1")).expect("there is room");
    house.join_as(0, b, "presence-x", Some("2")).expect("there is room");
    house.leave(0, b, "presence-x");
    house.now_ms = 1;
    house.leave(0, a, "presence-x");
    let removed = |house: &House| {
        let told = house.notices.0.lock();
        ["member_removed", "channel_vacated"].map(|name| told.iter().filter(|line| line.starts_with(name)).count())
    };
    house.hub.sweep(HOLD_MS);
    assert_eq!(removed(&house), [1, 0]);
    house.hub.sweep(HOLD_MS + 1);
    assert_eq!(removed(&house), [2, 1]);
    house.hub.sweep(10 * HOLD_MS);
    assert_eq!(removed(&house), [2, 1]);
}

#[test]
fn watchers_hear_of_users_and_terminated_users_are_closed() {
    let mut house = house();
    let (a, b) = (house.add(0, 1), house.add(1, 2));
    let place = |shard, slot, id| Place {
        shard,
        slot,
        socket: SocketId { high: id, low: id },
    };
    let state = house
        .hub
        .sign_in("1", "ann", place(0, a, 1), &["bob".to_owned()])
        .expect("bob is offline");
    assert!(state.contains("offline") && !state.contains("online"), "{state}");
    assert_eq!(house.hub.sign_in("1", "bob", place(1, b, 2), &[]), None);
    assert!(house.hears(0, a).contains("online"));
    house.hub.terminate("1", "bob");
    house.hub.terminate("1", "nobody");
    // RFC 6455 §5.5.1: 4009 is 0x0fa9.
    assert!(house.hears(1, b).contains('\u{f}'));
    assert!(house.shards[1].is_closing(b) && !house.shards[0].is_closing(a));
    house.hub.sign_out("1", "bob", place(1, b, 2), &[]);
    assert!(house.hears(0, a).contains("offline"));
}
