//! Presence channels: who is there, who comes and who goes, by users and not by connections.

use serde_json::{Value, json};

use crate::harness::client::{Client, data};
use crate::harness::http::{DEVELOPMENT, Publisher};
use crate::harness::scene::Scene;
use crate::harness::server::{Server, Setup};

const ROOM: &str = "presence-room";

/// Ann with two tabs, and Bob, whose id is a number. Nobody is subscribed.
async fn scene() -> Scene {
    let mut scene = Scene::on(Setup::default()).await;
    let ann = json!({ "user_id": "ann", "user_info": { "name": "Ann \u{1f600}", "tags": [1, null, "\"é\""] } });
    let bob = json!({ "user_id": 10, "user_info": { "name": "Bob" } });
    for (who, member) in [("ann", &ann), ("ann's tab", &ann), ("bob", &bob), ("bob's tab", &bob)] {
        scene.connect(json!({ "who": who, "member": member })).await;
    }
    scene
}

/// Subscribes and gives what pusher-js then holds for the members.
async fn join(scene: &mut Scene, who: &str) -> Value {
    scene.subscribe(who, ROOM).await;
    members(scene, who).await
}

async fn members(scene: &mut Scene, who: &str) -> Value {
    scene.tell("members", json!({ "who": who, "channel": ROOM }));
    scene.node.sees(&json!({ "who": who, "saw": "members" })).await
}

// Pusher documents, "Presence channels": `subscription_succeeded` brings the members, each user once, with their
// `user_info` as the app's server gave it; a `user_id` may be a number.
#[tokio::test]
async fn a_member_finds_the_users_who_are_there() {
    let mut scene = scene().await;
    let ann = json!({ "name": "Ann \u{1f600}", "tags": [1, null, "\"é\""] });
    for who in ["ann", "ann's tab"] {
        let found = join(&mut scene, who).await;
        assert_eq!((&found["count"], &found["my_id"]), (&json!(1), &json!("ann")), "{who}");
        assert_eq!(found["members"], json!({ "ann": ann }));
    }
    let found = join(&mut scene, "bob").await;
    assert_eq!((&found["count"], &found["my_id"]), (&json!(2), &json!(10)));
    assert_eq!(found["members"], json!({ "ann": ann, "10": { "name": "Bob" } }));
    assert_eq!(found["me"]["info"], json!({ "name": "Bob" }));
}

// Pusher documents, "Presence channel events": `member_added` with a user's first connection, `member_removed` with the
// last one, neither of them for the user's own tabs.
#[tokio::test]
async fn a_user_comes_once_and_goes_once() {
    let mut scene = scene().await;
    for who in ["ann", "ann's tab", "bob", "bob's tab"] {
        scene.subscribe(who, ROOM).await;
    }
    for who in ["ann", "ann's tab"] {
        let added = scene.sees(who, ROOM, "pusher:member_added").await;
        assert_eq!((&added["id"], &added["info"]["name"]), (&json!("10"), &json!("Bob")));
    }
    scene.tell("disconnect", json!({ "who": "bob" }));
    let gone = json!({ "who": "bob", "state": "disconnected" });
    scene.node.sees(&gone).await;
    scene.tell("unsubscribe", json!({ "who": "bob's tab", "channel": ROOM }));
    for who in ["ann", "ann's tab"] {
        let removed = scene.sees(who, ROOM, "pusher:member_removed").await;
        assert_eq!(removed["id"], "10");
        let left = members(&mut scene, who).await;
        assert_eq!(left["count"], 1, "{left}");
    }
    // Events of one channel keep their order: what else there was to hear is heard by now.
    scene.trigger(&[ROOM], "after", &json!({}), None).await;
    for who in ["ann", "ann's tab"] {
        scene.sees(who, ROOM, "after").await;
        assert!(!scene.saw(who, "pusher:member_added") && !scene.saw(who, "pusher:member_removed"));
    }
    assert!(
        !scene.saw("bob's tab", "pusher:member_added"),
        "bob was told of himself"
    );
}

// Pusher protocol, "Client events": on presence channels with the sender's `user_id`, which is the server's own knowledge.
#[tokio::test]
async fn a_client_event_says_whose_it_is() {
    let mut scene = scene().await;
    for who in ["ann", "bob"] {
        scene.subscribe(who, ROOM).await;
    }
    scene.tell(
        "bind",
        json!({ "who": "ann", "channel": ROOM, "event": "client-typing" }),
    );
    let data = json!({ "user_id": "somebody else", "typing": true });
    let order = json!({ "who": "bob", "channel": ROOM, "event": "client-typing", "data": data });
    scene.tell("send", order);
    assert_eq!(scene.sees("ann", ROOM, "client-typing").await, data);
    let metadata = scene.node.sees(&json!({ "who": "ann", "saw": "metadata" })).await;
    assert_eq!(metadata["metadata"], json!({ "user_id": "10" }));
}

// The same from a client that names another user beside the event: what it names is not relayed.
#[tokio::test]
async fn a_client_cannot_speak_in_the_name_of_another() {
    let server = Server::start().await;
    let (mut ann, mut eve) = (Client::connect(server.port).await, Client::connect(server.port).await);
    ann.join(ROOM, "ann").await;
    eve.join(ROOM, "eve").await;
    ann.expect("pusher_internal:member_added").await;
    eve.send(json!({ "event": "client-say", "channel": ROOM, "data": "hi", "user_id": "ann" }))
        .await;
    let heard = ann.expect("client-say").await;
    let expected = json!({ "event": "client-say", "channel": ROOM, "data": "hi", "user_id": "eve" });
    assert_eq!(heard, expected);
}

// Pusher protocol, "Presence channels": `socket_id:channel:channel_data`, the string as sent, byte for byte. The same
// JSON in other bytes was not signed.
#[tokio::test]
async fn a_signature_is_over_the_bytes_that_are_sent() {
    let mut scene = scene().await;
    for channel in ["presence-altered", "presence-forged", "presence-cache-altered"] {
        scene.tell("subscribe", json!({ "who": "ann", "channel": channel }));
        let refusal = scene.sees("ann", channel, "pusher:subscription_error").await;
        assert_eq!(
            (&refusal["type"], &refusal["status"]),
            (&json!("AuthError"), &json!(401))
        );
    }
    let mut client = Client::connect(scene.server.port).await;
    let spelled = "{ \"user_id\" :\"\\u0061nn\",\n\"user_info\":{\"b\":1.50, \"a\" : [ ] } }";
    client.ask_as(ROOM, spelled).await;
    let answer = client.expect("pusher_internal:subscription_succeeded").await;
    let expected = json!({ "presence": { "ids": ["ann"], "hash": { "ann": { "b": 1.5, "a": [] } }, "count": 1 } });
    assert_eq!(data(&answer), expected);
}

// Pusher protocol, "Presence channels": the signature covers `channel_data`; `user_id` at most 128 characters, `user_info`
// at most 1 kB.
#[tokio::test]
async fn a_member_that_cannot_be_is_refused() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    for (channel_data, part) in [
        ("{}".to_owned(), "user_id"),
        ("[]".to_owned(), "user_id"),
        (json!({ "user_id": "" }).to_string(), "channel_data"),
        (json!({ "user_id": null }).to_string(), "user_id"),
        (json!({ "user_id": "x".repeat(129) }).to_string(), "128"),
        (
            json!({ "user_id": "ann", "user_info": "x".repeat(1_024) }).to_string(),
            "1024",
        ),
    ] {
        client.ask_as(ROOM, &channel_data).await;
        let refusal = client.expect("pusher:subscription_error").await;
        let error = refusal["data"]["error"].as_str().unwrap_or_default();
        assert!(error.contains(part), "{refusal} does not say {part}");
    }
    // A signature for the channel alone, as for a private one.
    let auth = DEVELOPMENT.auth(&client.socket_id, ROOM);
    for channel_data in [json!("{\"user_id\":\"ann\"}"), Value::Null] {
        let data = json!({ "channel": ROOM, "auth": auth, "channel_data": channel_data });
        client.send(json!({ "event": "pusher:subscribe", "data": data })).await;
        let refusal = client.expect("pusher:subscription_error").await;
        assert_eq!(refusal["data"]["status"], 401);
    }
    for user in ["x".repeat(128), "ann".to_owned()] {
        client.join(&format!("presence-{}", user.len()), &user).await;
    }
}

// Pusher documents, "Presence channels": a limited number of members; a user is one, whatever the tabs.
#[tokio::test]
async fn a_full_channel_takes_nobody_but_its_own() {
    let setup = Setup::default().app("max_presence_members_per_channel = 2");
    let server = setup.start().await;
    let (mut ann, mut bob) = (Client::connect(server.port).await, Client::connect(server.port).await);
    ann.join(ROOM, "ann").await;
    bob.join(ROOM, "bob").await;
    let mut cleo = Client::connect(server.port).await;
    let asks = json!({ "user_id": "cleo" }).to_string();
    cleo.ask_as(ROOM, &asks).await;
    let refusal = cleo.expect("pusher:subscription_error").await;
    assert_eq!(
        (&refusal["channel"], &refusal["data"]["status"]),
        (&json!(ROOM), &json!(413))
    );
    let mut tab = Client::connect(server.port).await;
    assert_eq!(tab.join(ROOM, "ann").await["count"], 2);

    bob.unsubscribe(ROOM).await;
    ann.expect("pusher_internal:member_added").await;
    ann.expect("pusher_internal:member_removed").await;
    assert_eq!(cleo.join(ROOM, "cleo").await["ids"], json!(["ann", "cleo"]));
    let added = ann.expect("pusher_internal:member_added").await;
    assert_eq!(data(&added), json!({ "user_id": "cleo" }));
}

// Pusher documents, "Presence channels": without `channel_data` the signed-in user is the member.
#[tokio::test]
async fn a_signed_in_user_needs_no_channel_data() {
    let mut scene = Scene::on(Setup::default()).await;
    let user = json!({ "id": "ann", "user_info": { "name": "Ann" } });
    scene.connect(json!({ "who": "ann", "user": user })).await;
    scene.tell("signin", json!({ "who": "ann" }));
    scene.node.sees(&json!({ "who": "ann", "saw": "signed in" })).await;
    let found = join(&mut scene, "ann").await;
    assert_eq!(
        (&found["my_id"], &found["members"]),
        (&json!("ann"), &json!({ "ann": { "name": "Ann" } }))
    );
}

// Pusher documents, "Presence channels": `user_id` may be a number or a string; either names the same user.
#[tokio::test]
async fn a_number_and_its_text_are_one_user() {
    let server = Server::start().await;
    let (mut number, mut text) = (Client::connect(server.port).await, Client::connect(server.port).await);
    number.ask_as(ROOM, "{\"user_id\":1}").await;
    number.expect("pusher_internal:subscription_succeeded").await;
    let found = text.join(ROOM, "1").await;
    assert_eq!((&found["ids"], &found["count"]), (&json!(["1"]), &json!(1)));
    number.unsubscribe(ROOM).await;
    number.ask_as(ROOM, "{\"user_id\":1}").await;
    number.expect("pusher_internal:subscription_succeeded").await;
    // Nothing was said of coming or going, to either of them.
    for client in [&mut number, &mut text] {
        client.ping().await;
        client.expect("pusher:pong").await;
    }
    let mut publisher = Publisher::new(server.port).await;
    let users = publisher.get("channels/presence-room/users", &[]).await;
    assert_eq!(users.json(), json!({ "users": [{ "id": "1" }] }));
}

// Pusher documents, "Presence channels": at most 100 members, unless the operator says otherwise.
#[tokio::test]
async fn a_presence_channel_has_a_hundred_members() {
    let server = Server::start().await;
    let mut members = Vec::new();
    for user in 1..=100 {
        let mut client = Client::connect(server.port).await;
        assert_eq!(client.join(ROOM, &user.to_string()).await["count"], user);
        members.push(client);
    }
    let mut late = Client::connect(server.port).await;
    late.ask_as(ROOM, "{\"user_id\":\"101\"}").await;
    assert_eq!(late.expect("pusher:subscription_error").await["data"]["status"], 413);
    assert_eq!(late.join(ROOM, "100").await["count"], 100);
}
