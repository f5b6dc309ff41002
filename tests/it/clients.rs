//! The real clients, as they are: pusher-js 8 in Node.js, and the pusher library 5 as an app's server.

use serde_json::{Value, json};

use crate::harness::scene::Scene;

// Pusher protocol: "the publisher's string untouched; it need not be JSON, may be empty". pusher-js parses what
// can be parsed, and hands out the string otherwise.
#[tokio::test]
async fn a_triggered_event_arrives_with_the_same_data() {
    let (mut scene, _) = Scene::with(&["ann", "bob"]).await;
    for who in ["ann", "bob"] {
        scene.subscribe(who, "room").await;
    }
    let long = "é\"\\".repeat(2_560);
    assert_eq!(long.len(), 10 << 10);
    for (number, data) in [
        json!({ "text": "hello", "nested": [1, 2.5, null, { "deep": true }] }),
        json!("plain text that is no JSON"),
        json!("ünïcödé, \u{1f600}\u{1f469}\u{200d}\u{1f680}, \"quotes\" and \\ back\\slashes, \u{2028} \u{0} \t\r\n"),
        json!({ "text": "\u{1f600} \"quoted\" \u{0}\u{1f} </script>" }),
        json!(long),
        json!({}),
    ]
    .iter()
    .enumerate()
    {
        let event = format!("event-{number}");
        scene.trigger(&["room"], &event, data, None).await;
        for who in ["ann", "bob"] {
            assert_eq!(&scene.sees(who, "room", &event).await, data);
        }
    }
}

// Pusher protocol, "Private channels": the auth endpoint signs, the server checks; a refusal is a subscription_error.
#[tokio::test]
async fn a_private_channel_opens_for_the_right_signature_alone() {
    let (mut scene, _) = Scene::with(&["ann"]).await;
    scene.subscribe("ann", "private-room").await;
    let channel = "private-forged-room";
    scene
        .node
        .tell(&json!({ "do": "subscribe", "who": "ann", "channel": channel }));
    let refusal = scene.sees("ann", channel, "pusher:subscription_error").await;
    assert_eq!(
        (&refusal["type"], &refusal["status"]),
        (&json!("AuthError"), &json!(401))
    );

    scene.trigger(&[channel], "secret", &json!({}), None).await;
    scene.trigger(&["private-room"], "open", &json!({}), None).await;
    scene.sees("ann", "private-room", "open").await;
    assert!(!scene.saw("ann", "secret"));
}

// Pusher protocol, "Client events": to all others on the channel, never to the sender; data in the type in which it came.
#[tokio::test]
async fn client_events_reach_the_others_and_not_the_sender() {
    let (mut scene, _) = Scene::with(&["ann", "bob", "cleo"]).await;
    for who in ["ann", "bob", "cleo"] {
        scene.subscribe(who, "private-room").await;
    }
    let data = json!({ "typing": true, "text": "é\u{1f600}\"" });
    scene.node.tell(
        &json!({ "do": "send", "who": "ann", "channel": "private-room", "event": "client-typing", "data": data }),
    );
    for who in ["bob", "cleo"] {
        assert_eq!(scene.sees(who, "private-room", "client-typing").await, data);
    }
    // Events of one channel keep their order: what was sent to ann before would be there by now.
    scene.trigger(&["private-room"], "after", &json!({}), None).await;
    scene.sees("ann", "private-room", "after").await;
    assert!(!scene.saw("ann", "client-typing"));
}

// Pusher HTTP API, "POST event": `socket_id` excludes one recipient; `channels` names several channels.
#[tokio::test]
async fn a_trigger_goes_to_several_channels_and_spares_its_cause() {
    let (mut scene, ids) = Scene::with(&["ann", "bob"]).await;
    for (who, channel) in [("ann", "one"), ("ann", "two"), ("bob", "two"), ("bob", "three")] {
        scene.subscribe(who, channel).await;
    }
    let data = json!({ "n": 1 });
    scene
        .trigger(&["one", "two", "three", "empty"], "all", &data, None)
        .await;
    for (who, channel) in [("ann", "one"), ("ann", "two"), ("bob", "two"), ("bob", "three")] {
        assert_eq!(scene.sees(who, channel, "all").await, data);
    }
    scene.trigger(&["one", "two"], "others", &data, Some(&ids[0])).await;
    scene.sees("bob", "two", "others").await;
    scene.trigger(&["one", "two"], "after", &data, None).await;
    for channel in ["one", "two"] {
        scene.sees("ann", channel, "after").await;
    }
    assert!(!scene.saw("ann", "others"));
}

// Pusher HTTP API, "Authentication": 401 for a wrong secret.
#[tokio::test]
async fn a_trigger_under_a_wrong_secret_is_refused() {
    let (mut scene, _) = Scene::with(&["ann"]).await;
    scene.subscribe("ann", "room").await;
    scene
        .node
        .tell(&json!({ "do": "trigger", "who": "stranger", "channels": ["room"], "event": "forged", "data": {} }));
    let answer = scene.node.sees(&json!({ "who": "stranger", "saw": "answer" })).await;
    assert_eq!(answer["status"], 401);
    scene.trigger(&["room"], "right", &json!({}), None).await;
    scene.sees("ann", "room", "right").await;
    assert!(!scene.saw("ann", "forged"));
}

#[tokio::test]
async fn who_leaves_a_channel_hears_no_more_of_it() {
    let (mut scene, _) = Scene::with(&["ann"]).await;
    for channel in ["one", "two", "three"] {
        scene.subscribe("ann", channel).await;
    }
    scene
        .node
        .tell(&json!({ "do": "unsubscribe", "who": "ann", "channel": "one" }));
    scene
        .node
        .tell(&json!({ "do": "unbind", "who": "ann", "channel": "two" }));
    // The subscription is answered behind the unsubscription.
    scene.subscribe("ann", "four").await;
    scene.trigger(&["one", "two"], "unheard", &json!({}), None).await;
    scene.trigger(&["three"], "heard", &json!({}), None).await;
    scene.sees("ann", "three", "heard").await;
    assert!(!scene.saw("ann", "unheard"));
    scene.subscribe("ann", "one").await;
    scene.trigger(&["one"], "again", &json!({}), None).await;
    scene.sees("ann", "one", "again").await;
}

// Pusher protocol, "Connection closure": 4000 to 4099 are final, so pusher-js gives up and does not try again.
#[tokio::test]
async fn a_client_with_an_unknown_key_gives_up() {
    let (mut scene, _) = Scene::with(&[]).await;
    scene
        .node
        .tell(&json!({ "do": "connect", "who": "lost", "key": "no-such-key" }));
    let error = scene.node.sees(&json!({ "who": "lost", "saw": "error" })).await;
    assert_eq!(error["code"], 4001);
    let end = scene
        .node
        .sees(&json!({ "who": "lost", "state": "disconnected" }))
        .await;
    assert_eq!(end["socket_id"], Value::Null);
}
