//! Presence channels and signed-in users: who is told of whom, and how often.

use super::{HOLD_MS, House, JoinError, OutboxLimits, topic};
use jackfield_hub::Place;
use jackfield_hub::cluster::Signed;
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
    let members: Vec<String> = house
        .hub
        .members(&topic("presence-x"))
        .iter()
        .map(|id| id.to_string())
        .collect();
    assert_eq!(members, ["1", "2"]);
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
    house.at(1_000);
    house.leave(0, b, "presence-x");
    house.at(2_000);
    house.join_as(0, b, "presence-x", Some("2")).expect("there is room");
    house.at(1_000 + HOLD_MS);
    house.at(10_000);
    house.leave(0, b, "presence-x");
    house.at(10_000 + HOLD_MS);
    let told =
        ["channel_occupied", "member_added", "member_added", "member_removed"].map(|name| format!("{name} presence-x"));
    assert_eq!(*house.notices.0.lock(), told);
}

// Pusher documents, "Webhooks": `member_removed` for everybody who has left, also when the channel empties in the same moment.
#[test]
fn who_left_in_the_moment_in_which_the_channel_emptied_is_told_of() {
    let mut house = house();
    let (a, b) = (house.add(0, 1), house.add(1, 2));
    house.join_as(0, a, "presence-x", Some("1")).expect("there is room");
    house.join_as(1, b, "presence-x", Some("2")).expect("there is room");
    house.leave(1, b, "presence-x");
    house.leave(0, a, "presence-x");
    house.at(HOLD_MS - 1);
    let mut told = ["channel_occupied", "member_added", "member_added"]
        .map(|name| format!("{name} presence-x"))
        .to_vec();
    assert_eq!(*house.notices.0.lock(), told);
    house.at(HOLD_MS + 1_000);
    told.extend(["member_removed", "member_removed", "channel_vacated"].map(|name| format!("{name} presence-x")));
    assert_eq!(*house.notices.0.lock(), told);
    house.at(10 * HOLD_MS);
    assert_eq!(*house.notices.0.lock(), told, "nobody leaves twice");
    assert_eq!(house.hub.channel_count(), 0);
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
    let user = |user: &str| Signed {
        app: "1".into(),
        user: user.into(),
    };
    house.hub.sign_in(user("ann"), place(0, a, 1), vec!["bob".to_owned()]);
    let state = house.hears(0, a);
    assert!(state.contains("offline") && !state.contains("online"), "{state}");
    house.hub.sign_in(user("bob"), place(1, b, 2), Vec::new());
    assert_eq!(house.hears(1, b), "", "nobody is watched");
    assert!(house.hears(0, a).contains("online"));
    house.hub.terminate("1", "bob").expect("others can be told");
    house.hub.terminate("1", "nobody").expect("others can be told");
    // RFC 6455 §5.5.1: 4009 is 0x0fa9.
    assert!(house.hears(1, b).contains('\u{f}'));
    assert!(house.shards[1].is_closing(b) && !house.shards[0].is_closing(a));
    house.hub.sign_out(user("bob"), place(1, b, 2), Vec::new());
    assert!(house.hears(0, a).contains("offline"));
}
