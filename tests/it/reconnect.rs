//! How pusher-js comes back by itself after the server has closed its connection.

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::scene::Scene;
use crate::harness::server::Setup;
use crate::harness::wait::until;

const PRIVATE: &str = "private-room";
const PRESENCE: &str = "presence-room";

/// A setup whose server ends at once.
fn hasty() -> Setup {
    Setup::default().config("shutdown_grace_period = 0")
}

/// Connects and gets the client everything that it has to get again after a reconnect.
async fn settle(scene: &mut Scene) -> Value {
    let order = json!({
        "who": "ann",
        "member": { "user_id": "ann", "user_info": { "name": "Ann" } },
        "user": { "id": "ann" },
    });
    let socket_id = scene.connect(order).await;
    for channel in ["room", PRIVATE, PRESENCE] {
        scene.subscribe("ann", channel).await;
    }
    scene.tell("signin", json!({ "who": "ann" }));
    scene.node.sees(&json!({ "who": "ann", "saw": "signed in" })).await;
    scene.node.sees(&json!({ "who": "ann", "saw": "reachable" })).await;
    // What was asked of the app's server so far: two channels and the signin.
    for channel in [json!(PRIVATE), json!(PRESENCE), Value::Null] {
        scene
            .node
            .sees(&json!({ "who": "ann", "saw": "asked", "channel": channel }))
            .await;
    }
    socket_id
}

// Pusher protocol, "Connection closure": after 4200 to 4299 a client reconnects at once. pusher-js subscribes to everything
// again, with new signatures, and signs in again.
#[tokio::test]
async fn after_4200_a_client_comes_back_with_all_that_it_had() {
    let mut scene = Scene::on(hasty()).await;
    let before = settle(&mut scene).await;
    let Scene { node, server } = scene;
    let server = hasty().start_in_place_of(server).await;
    let mut scene = Scene { node, server };

    let state = scene.node.sees(&json!({ "who": "ann", "state": "connected" })).await;
    assert_ne!(state["socket_id"], before);
    for channel in [json!(PRIVATE), json!(PRESENCE), Value::Null] {
        scene
            .node
            .sees(&json!({ "who": "ann", "saw": "asked", "channel": channel }))
            .await;
    }
    for channel in ["room", PRIVATE, PRESENCE] {
        scene.sees("ann", channel, "pusher:subscription_succeeded").await;
        scene
            .trigger(&[channel], "again", &json!({ "in": channel }), None)
            .await;
        assert_eq!(scene.sees("ann", channel, "again").await, json!({ "in": channel }));
    }
    scene.tell("members", json!({ "who": "ann", "channel": PRESENCE }));
    let found = scene.node.sees(&json!({ "who": "ann", "saw": "members" })).await;
    assert_eq!(
        (&found["my_id"], &found["members"]),
        (&json!("ann"), &json!({ "ann": { "name": "Ann" } }))
    );
    until("the user to be reachable", async || {
        let order = json!({ "user": "ann", "event": "for ann", "data": {} });
        let answer = scene.answer("send_to_user", order, json!({ "event": "for ann" })).await;
        assert_eq!(answer, (200, json!({})));
        scene.saw("ann", "for ann").then_some(())
    })
    .await;
}

// Pusher protocol, "Connection closure": after 4100 to 4199 a client waits for at least a second.
#[tokio::test]
async fn after_4100_a_client_comes_back_a_second_later() {
    let rule = "[rate_limiter.websocket_rate_limit]\nmax_requests = 1\nwindow_seconds = 3";
    let mut scene = Scene::on(Setup::default().config(rule)).await;
    let _first = Client::connect(scene.server.port).await;
    scene.tell("connect", json!({ "who": "ann" }));
    let mut times = Vec::new();
    for _ in 0..2 {
        let error = scene.node.sees(&json!({ "who": "ann", "saw": "error" })).await;
        assert_eq!(error["code"], 4100);
        times.push(error["at_ms"].as_f64().expect("a number"));
    }
    assert!(times[1] - times[0] > 990.0, "{times:?} ms");
    scene.node.sees(&json!({ "who": "ann", "state": "connected" })).await;
    scene.subscribe("ann", "room").await;
}
