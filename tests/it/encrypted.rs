//! Encrypted channels, end to end: the app's server and its clients share a key that this server never sees.

use serde_json::json;

use crate::harness::client::{Client, data};
use crate::harness::scene::Scene;
use crate::harness::server::{Server, Setup};

const PLAIN: &str = "private-encrypted-room";
const CACHE: &str = "private-encrypted-cache-room";

/// Connects Eve, to whom the app's server gives another key than the channel's.
async fn connect_eve(scene: &mut Scene) {
    // 32 bytes of zeros.
    let wrong = format!("{}=", "A".repeat(43));
    scene.connect(json!({ "who": "eve", "shared_secret": wrong })).await;
}

/// Waits until Eve has asked for the key once more, which is what pusher-js does with an event that it cannot read.
async fn eve_asks_for_the_key(scene: &mut Scene, channel: &str) {
    scene
        .node
        .sees(&json!({ "who": "eve", "saw": "asked", "channel": channel }))
        .await;
}

// Pusher documents, "Encrypted channels": subscribers that have the shared secret read the event, this server and all others
// do not; what it relays is `{nonce, ciphertext}`.
#[tokio::test]
async fn only_who_has_the_key_reads_the_event() {
    let (mut scene, _) = Scene::with(&["ann", "bob"]).await;
    connect_eve(&mut scene).await;
    for who in ["ann", "bob", "eve"] {
        scene.subscribe(who, PLAIN).await;
        scene.subscribe(who, "open").await;
    }
    eve_asks_for_the_key(&mut scene, PLAIN).await;
    let mut raw = Client::connect(scene.server.port).await;
    raw.subscribe(PLAIN).await;
    for (event, secret) in [
        ("object", json!({ "text": "é\u{1f600} \"quoted\"", "list": [1, null] })),
        ("text", json!("a secret that is no JSON")),
    ] {
        scene.trigger(&[PLAIN], event, &secret, None).await;
        for who in ["ann", "bob"] {
            assert_eq!(scene.sees(who, PLAIN, event).await, secret);
        }
        eve_asks_for_the_key(&mut scene, PLAIN).await;
        let relayed = data(&raw.expect(event).await);
        let keys: Vec<&String> = relayed.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["ciphertext", "nonce"]);
        assert!(!relayed.to_string().contains("secret") && !relayed.to_string().contains("quoted"));
    }
    scene.trigger(&["open"], "after", &json!({}), None).await;
    scene.sees("eve", "open", "after").await;
    assert!(!scene.saw("eve", "object") && !scene.saw("eve", "text"));
}

// Pusher documents, "Encrypted channels" and "Cache channels": the event that is kept is ciphertext, which who comes later
// reads with the same key; batches carry encrypted events too.
#[tokio::test]
async fn the_kept_event_is_read_by_who_comes_later() {
    let (mut scene, _) = Scene::with(&["ann", "bob"]).await;
    connect_eve(&mut scene).await;
    scene.subscribe("ann", CACHE).await;
    scene.sees("ann", CACHE, "pusher:cache_miss").await;
    let (first, last) = (json!({ "n": 1 }), json!({ "n": 2, "text": "é\u{1f600}" }));
    scene.trigger(&[CACHE], "first", &first, None).await;
    assert_eq!(scene.sees("ann", CACHE, "first").await, first);
    let batch = json!({ "batch": [{ "channel": CACHE, "name": "last", "data": last }] });
    let answer = scene.answer("batch", batch, json!({ "asked": "batch" })).await;
    assert_eq!(answer, (200, json!({})));
    assert_eq!(scene.sees("ann", CACHE, "last").await, last);

    scene.subscribe("bob", CACHE).await;
    assert_eq!(scene.sees("bob", CACHE, "last").await, last);
    scene.subscribe("eve", CACHE).await;
    // Once to subscribe and once because of the kept event.
    for _ in 0..2 {
        eve_asks_for_the_key(&mut scene, CACHE).await;
    }
    scene.subscribe("eve", "open").await;
    scene.trigger(&["open"], "after", &json!({}), None).await;
    scene.sees("eve", "open", "after").await;
    assert!(!scene.saw("eve", "last") && !scene.saw("eve", "first") && !scene.saw("bob", "first"));
}

// Pusher protocol, "Client events": private channels are all that it asks for; that libraries do not send them on encrypted
// ones is their own choice, and what others send there is relayed like anywhere.
#[tokio::test]
async fn client_events_pass_on_encrypted_channels() {
    let server = Server::start().await;
    for channel in [PLAIN, CACHE] {
        let mut clients = [Client::connect(server.port).await, Client::connect(server.port).await];
        for client in &mut clients {
            client.subscribe(channel).await;
            if channel == CACHE {
                client.expect("pusher:cache_miss").await;
            }
        }
        let [ann, bob] = &mut clients;
        let event = json!({ "event": "client-say", "channel": channel, "data": { "nonce": "n", "ciphertext": "c" } });
        ann.send(event.clone()).await;
        assert_eq!(bob.expect("client-say").await, event);
        ann.ping().await;
        ann.expect("pusher:pong").await;
    }
}

// Pusher documents, "Encrypted channels": they are private. A right key is no right to subscribe.
#[tokio::test]
async fn an_encrypted_channel_opens_for_the_right_signature_alone() {
    let mut scene = Scene::on(Setup::default()).await;
    scene.connect(json!({ "who": "ann" })).await;
    let channel = "private-encrypted-forged";
    scene.tell("subscribe", json!({ "who": "ann", "channel": channel }));
    let refusal = scene.sees("ann", channel, "pusher:subscription_error").await;
    assert_eq!(
        (&refusal["type"], &refusal["status"]),
        (&json!("AuthError"), &json!(401))
    );
}
