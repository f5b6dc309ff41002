//! pusher-js at two instances, and the pusher library at a third: to each of them the three are one server.

use serde_json::{Value, json};

use crate::harness::fleet::{Fleet, learns};
use crate::harness::scene::Scene;

/// Ann and Bob, each at an instance of their own, and the app's server at the third.
pub(super) async fn real_clients_see_one_server(fleet: &Fleet) {
    let mut scene = Scene::before(fleet.port(2)).await;
    let ann = connect(&mut scene, "ann", fleet.port(0)).await;
    connect(&mut scene, "bob", fleet.port(1)).await;
    events_arrive_in_their_order(&mut scene).await;
    whoever_caused_an_event_is_spared(&mut scene, &ann).await;
    clients_hear_each_other(&mut scene).await;
    members_come_and_go(&mut scene, fleet).await;
    users_are_reached_and_sent_away(&mut scene).await;
}

async fn connect(scene: &mut Scene<()>, who: &str, port: u16) -> Value {
    let user = json!({ "id": who, "user_info": { "name": who } });
    let member = json!({ "user_id": who, "user_info": { "name": who } });
    let options = json!({ "wsPort": port });
    let order = json!({ "who": who, "member": member, "user": user, "options": options });
    scene.connect(order).await
}

// Pusher HTTP API, "POST event" and "POST batch events": each event once, in the order in which they were triggered.
async fn events_arrive_in_their_order(scene: &mut Scene<()>) {
    for who in BOTH {
        scene.subscribe(who, "stage").await;
    }
    for number in 0..20 {
        scene.trigger(&["stage"], "numbered", &json!(number), None).await;
    }
    let event = |number: u64| json!({ "channel": "stage", "name": "numbered", "data": number });
    let batch: Vec<Value> = (20..30).map(event).collect();
    let answer = scene.answer("batch", json!({ "batch": batch }), json!({ "asked": "batch" }));
    assert_eq!(answer.await, (200, json!({})));
    for who in BOTH {
        for number in 0..30 {
            assert_eq!(scene.sees(who, "stage", "numbered").await, json!(number), "{who}");
        }
    }
}

// Pusher HTTP API, "POST event": `socket_id` excludes one recipient, wherever it is connected.
async fn whoever_caused_an_event_is_spared(scene: &mut Scene<()>, ann: &Value) {
    scene.trigger(&["stage"], "for others", &json!({}), Some(ann)).await;
    scene.sees("bob", "stage", "for others").await;
    scene.trigger(&["stage"], "for all", &json!({}), None).await;
    for who in BOTH {
        scene.sees(who, "stage", "for all").await;
    }
    assert!(!scene.saw("ann", "for others"));
    assert!(
        !scene.saw("ann", "numbered") && !scene.saw("bob", "numbered"),
        "each once"
    );
}

// Pusher protocol, "Client events": to all others on the channel, never to the sender.
async fn clients_hear_each_other(scene: &mut Scene<()>) {
    for who in BOTH {
        scene.subscribe(who, "private-wings").await;
    }
    for (from, to) in [("ann", "bob"), ("bob", "ann")] {
        let (event, data) = (
            format!("client-{from}"),
            json!({ "from": from, "text": "\u{e9}\u{1f600}" }),
        );
        let order = json!({ "who": from, "channel": "private-wings", "event": event, "data": data });
        scene.tell("send", order);
        assert_eq!(scene.sees(to, "private-wings", &event).await, data);
    }
    scene.trigger(&["private-wings"], "after", &json!({}), None).await;
    for who in BOTH {
        scene.sees(who, "private-wings", "after").await;
        assert!(!scene.saw(who, &format!("client-{who}")));
    }
}

// Pusher documents, "Presence channel events": who comes and goes at one instance does so at all of them.
async fn members_come_and_go(scene: &mut Scene<()>, fleet: &Fleet) {
    const CAST: &str = "presence-cast";
    scene.subscribe("ann", CAST).await;
    // Who comes before Ann is known there finds her a moment later.
    let users = json!({ "users": [{ "id": "ann" }] });
    learns(&mut fleet.publisher(1).await, &format!("channels/{CAST}/users"), &users).await;
    for _ in 0..2 {
        scene.subscribe("bob", CAST).await;
        let added = scene.sees("ann", CAST, "pusher:member_added").await;
        assert_eq!(added, json!({ "id": "bob", "info": { "name": "bob" } }));
        scene.tell("members", json!({ "who": "bob", "channel": CAST }));
        let members = scene.node.sees(&json!({ "who": "bob", "saw": "members" })).await;
        assert_eq!(members["count"], 2);
        assert_eq!(
            members["members"],
            json!({ "ann": { "name": "ann" }, "bob": { "name": "bob" } })
        );
        scene.tell("unsubscribe", json!({ "who": "bob", "channel": CAST }));
        let removed = scene.sees("ann", CAST, "pusher:member_removed").await;
        assert_eq!(removed["id"], "bob");
    }
    assert!(!scene.saw("ann", "pusher:member_added") && !scene.saw("ann", "pusher:member_removed"));
}

// Pusher documents, "User authentication": the app's server reaches a user, and ends all connections of one, at any instance.
async fn users_are_reached_and_sent_away(scene: &mut Scene<()>) {
    for who in BOTH {
        scene.tell("signin", json!({ "who": who }));
        scene.node.sees(&json!({ "who": who, "saw": "reachable" })).await;
    }
    for who in BOTH {
        let order = json!({ "user": who, "event": "for you", "data": { "only": who } });
        let answer = scene.answer("send_to_user", order, json!({ "event": "for you" })).await;
        assert_eq!(answer, (200, json!({})));
        let event = scene.node.sees(&json!({ "who": who, "saw": "for you" })).await;
        assert_eq!(event["data"], json!({ "only": who }));
    }
    for (gone, stays) in [("ann", Some("bob")), ("bob", None)] {
        let answer = scene.answer("terminate", json!({ "user": gone }), json!({ "asked": "terminate" }));
        assert_eq!(answer.await, (200, json!({})));
        let error = scene.node.sees(&json!({ "who": gone, "saw": "error" })).await;
        assert_eq!(error["code"], 4009);
        scene.node.sees(&json!({ "who": gone, "state": "disconnected" })).await;
        if let Some(stays) = stays {
            scene.trigger(&["stage"], "the show goes on", &json!({}), None).await;
            scene.sees(stays, "stage", "the show goes on").await;
        }
    }
}

const BOTH: [&str; 2] = ["ann", "bob"];
