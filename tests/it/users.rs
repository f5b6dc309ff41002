//! Users who sign in: spoken to by their id, ended by their id, and watched by others.

use serde_json::{Value, json};

use crate::harness::client::{Client, Heard, data};
use crate::harness::http::Publisher;
use crate::harness::scene::Scene;
use crate::harness::server::{Server, Setup};

/// Connects and signs in with pusher-js, as this user.
async fn sign_in(scene: &mut Scene, who: &str, user: &Value) {
    scene.connect(json!({ "who": who, "user": user })).await;
    scene.tell("signin", json!({ "who": who }));
    let signed_in = scene.node.sees(&json!({ "who": who, "saw": "signed in" })).await;
    assert_eq!(&signed_in["user"], user);
    scene.node.sees(&json!({ "who": who, "saw": "reachable" })).await;
}

/// Ann with two tabs, and Bob, all signed in.
async fn scene() -> Scene {
    let mut scene = Scene::on(Setup::default()).await;
    let ann = json!({ "id": "ann", "user_info": { "name": "Ann é\u{1f600} \"quoted\"" } });
    for (who, user) in [("ann", &ann), ("ann's tab", &ann), ("bob", &json!({ "id": "bob" }))] {
        sign_in(&mut scene, who, user).await;
    }
    scene
}

async fn send_to(scene: &mut Scene, user: &str, event: &str) {
    let order = json!({ "user": user, "event": event, "data": { "n": 1 } });
    let answer = scene.answer("send_to_user", order, json!({ "event": event })).await;
    assert_eq!(answer, (200, json!({})));
}

/// Waits for what pusher-js says of its watchlist.
async fn watches(scene: &mut Scene, who: &str, event: &str, users: &[&str]) {
    let line = json!({ "who": who, "saw": format!("watchlist {event}"), "user_ids": users });
    scene.node.sees(&line).await;
}

// Pusher documents, "Sending events to authenticated users": to every connection of the user, and to no other.
#[tokio::test]
async fn a_user_is_spoken_to_on_every_tab() {
    let mut scene = scene().await;
    send_to(&mut scene, "ann", "for ann").await;
    send_to(&mut scene, "bob", "for bob").await;
    send_to(&mut scene, "nobody", "for nobody").await;
    for (who, event) in [("ann", "for ann"), ("ann's tab", "for ann"), ("bob", "for bob")] {
        let line = scene.node.sees(&json!({ "who": who, "saw": event })).await;
        assert_eq!(line["data"], json!({ "n": 1 }));
    }
    // Each one's last message, so that whatever else there was has come.
    for who in ["ann", "ann's tab", "bob"] {
        let user = if who == "bob" { "bob" } else { "ann" };
        let last = format!("last for {who}");
        send_to(&mut scene, user, &last).await;
        scene.node.sees(&json!({ "who": who, "saw": last })).await;
        for event in ["for ann", "for bob", "for nobody"] {
            assert!(!scene.saw(who, event), "{who} saw {event}");
        }
    }
}

// Pusher documents, "Terminating user connections": every connection of the user is closed with 4009, after which
// pusher-js does not come back; 200 for nobody.
#[tokio::test]
async fn a_user_s_connections_are_ended() {
    let mut scene = scene().await;
    let mut raw = Client::connect(scene.server.port).await;
    raw.sign_in("ann").await;
    for user in ["nobody", "ann", "ann"] {
        let order = json!({ "user": user });
        let answer = scene.answer("terminate", order, json!({ "asked": "terminate" })).await;
        assert_eq!(answer, (200, json!({})), "{user}");
    }
    assert_eq!(raw.expect_close().await, 4009);
    for who in ["ann", "ann's tab"] {
        let error = scene.node.sees(&json!({ "who": who, "saw": "error" })).await;
        assert_eq!(error["code"], 4009);
        scene.node.sees(&json!({ "who": who, "state": "disconnected" })).await;
    }
    send_to(&mut scene, "bob", "still there").await;
    scene.node.sees(&json!({ "who": "bob", "saw": "still there" })).await;
    assert!(!scene.node.saw(&json!({ "who": "bob", "state": "disconnected" })));
}

// Pusher protocol, "User authentication": a signature over `socket_id::user::user_data`; failures are 4009 and leave the
// connection open; `user_data` comes back as signed; a second signin as another user fails, as the same one does not.
#[tokio::test]
async fn a_connection_has_one_user() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    for (auth, user_data) in [
        ("app-key:00".to_owned(), json!("{\"id\":\"ann\"}")),
        (String::new(), json!("{\"id\":\"ann\"}")),
        ("app-key:00".to_owned(), json!("{\"id\":10}")),
        ("app-key:00".to_owned(), json!("{\"id\":\"\"}")),
        ("app-key:00".to_owned(), json!("{}")),
    ] {
        let data = json!({ "auth": auth, "user_data": user_data });
        client.send(json!({ "event": "pusher:signin", "data": data })).await;
        assert_eq!(client.expect("pusher:error").await["data"]["code"], 4009, "{user_data}");
    }
    let ann = json!({ "id": "ann", "user_info": { "name": "Ann" } });
    for _ in 0..2 {
        client.ask_to_sign_in(&ann).await;
        let success = client.expect("pusher:signin_success").await;
        assert_eq!(data(&success)["user_data"], ann.to_string());
    }
    client.ask_to_sign_in(&json!({ "id": "bob" })).await;
    assert_eq!(client.expect("pusher:error").await["data"]["code"], 4009);
    // It is Ann's still, and hers once, however often she has signed in.
    let channel = json!({ "channel": "#server-to-user-ann" });
    client
        .send(json!({ "event": "pusher:subscribe", "data": channel }))
        .await;
    client.expect("pusher_internal:subscription_succeeded").await;
    let mut publisher = Publisher::new(server.port).await;
    publisher.publish("#server-to-user-ann", "once", "{}").await;
    client.expect("once").await;
    client.ping().await;
    client.expect("pusher:pong").await;
}

// Pusher protocol, "User authentication": only a connection signed in as the user may hear `#server-to-user-ID`.
#[tokio::test]
async fn what_is_said_to_a_user_is_for_nobody_else() {
    let server = Server::start().await;
    let (mut stranger, mut bob) = (Client::connect(server.port).await, Client::connect(server.port).await);
    bob.sign_in("bob").await;
    for client in [&mut stranger, &mut bob] {
        for channel in ["#server-to-user-ann", "#server-to-user-"] {
            // Rightly signed as for a private channel, which is no help.
            client.ask(channel).await;
            let Heard::Text(refusal) = client.hear().await else {
                panic!("no answer on {channel}");
            };
            let known = ["pusher:subscription_error", "pusher:error"];
            assert!(known.iter().any(|name| refusal["event"] == *name), "{refusal}");
        }
    }
    Publisher::new(server.port)
        .await
        .publish("#server-to-user-ann", "secret", "{}")
        .await;
    for client in [&mut stranger, &mut bob] {
        client.ping().await;
        client.expect("pusher:pong").await;
    }
}

// Pusher protocol, "Channel types": only the server speaks on `#server-to-user-ID`.
#[tokio::test]
async fn a_user_s_channel_is_the_server_s_alone() {
    let server = Server::start().await;
    let mut tabs = [Client::connect(server.port).await, Client::connect(server.port).await];
    let channel = "#server-to-user-ann";
    for tab in &mut tabs {
        tab.sign_in("ann").await;
        tab.subscribe(channel).await;
    }
    let [first, second] = &mut tabs;
    first
        .send(json!({ "event": "client-say", "channel": channel, "data": {} }))
        .await;
    first.expect("pusher:error").await;
    second.ping().await;
    second.expect("pusher:pong").await;
}

// Pusher documents, "Watchlist events": first the present state, then a user's first connection and the last one's end.
#[tokio::test]
async fn a_watchlist_tells_who_comes_and_goes() {
    let mut scene = Scene::on(Setup::default()).await;
    let ann = json!({ "id": "ann", "watchlist": ["bob", "cleo"] });
    let (bob, dora) = (
        json!({ "id": "bob" }),
        json!({ "id": "dora", "watchlist": ["ann", "bob", "eve"] }),
    );
    sign_in(&mut scene, "ann", &ann).await;
    watches(&mut scene, "ann", "offline", &["bob", "cleo"]).await;
    for who in ["bob", "bob's tab"] {
        sign_in(&mut scene, who, &bob).await;
    }
    watches(&mut scene, "ann", "online", &["bob"]).await;
    sign_in(&mut scene, "dora", &dora).await;
    watches(&mut scene, "dora", "online", &["ann", "bob"]).await;
    watches(&mut scene, "dora", "offline", &["eve"]).await;

    for who in ["bob", "bob's tab"] {
        assert!(!scene.saw("ann", "watchlist offline"), "before {who} left");
        scene.tell("disconnect", json!({ "who": who }));
    }
    for who in ["ann", "dora"] {
        watches(&mut scene, who, "offline", &["bob"]).await;
    }
    sign_in(&mut scene, "cleo", &json!({ "id": "cleo" })).await;
    watches(&mut scene, "ann", "online", &["cleo"]).await;
    for who in ["ann", "dora", "cleo"] {
        send_to(&mut scene, who, "last").await;
        scene.node.sees(&json!({ "who": who, "saw": "last" })).await;
        for event in ["watchlist online", "watchlist offline"] {
            assert!(!scene.saw(who, event), "{who} saw {event} once more");
        }
    }
}

// Pusher documents, "Watchlist events": of over 100 ids the first 100 count, and 4302 is sent beside the success.
#[tokio::test]
async fn a_watchlist_that_is_too_long_is_cut() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    let ids: Vec<String> = (0..101).map(|number| format!("user-{number}")).collect();
    client.ask_to_sign_in(&json!({ "id": "ann", "watchlist": ids })).await;
    client.expect("pusher:signin_success").await;
    assert_eq!(client.expect("pusher:error").await["data"]["code"], 4302);
    let told = data(&client.expect("pusher_internal:watchlist_events").await);
    assert_eq!(
        told,
        json!({ "events": [{ "name": "offline", "user_ids": ids[..100] }] })
    );
    for (user, watched) in [("user-100", false), ("user-99", true)] {
        let mut other = Client::connect(server.port).await;
        other.sign_in(user).await;
        if watched {
            let told = data(&client.expect("pusher_internal:watchlist_events").await);
            assert_eq!(told, json!({ "events": [{ "name": "online", "user_ids": [user] }] }));
        }
    }
}

// Pusher documents, "Authorized connections": without a signin or an authorised subscription in time, 4009.
#[tokio::test]
async fn who_does_not_say_who_it_is_is_closed_in_time() {
    let settings = "enable_user_authentication = true\nuser_authentication_timeout = 1";
    let server = Setup::default().app(settings).start().await;
    let mut known = Vec::new();
    for channel in ["", "private-room", "presence-room"] {
        let mut client = Client::connect(server.port).await;
        match channel {
            "" => client.sign_in("ann").await,
            "presence-room" => drop(client.join(channel, "ann").await),
            _ => client.subscribe(channel).await,
        }
        known.push(client);
    }
    // Twice, so that whatever looks at the connections has looked at all of them after their second.
    for _ in 0..2 {
        let mut stranger = Client::connect(server.port).await;
        stranger.subscribe("room").await;
        assert_eq!(stranger.expect_close().await, 4009);
    }
    for client in &mut known {
        client.ping().await;
        client.expect("pusher:pong").await;
    }
}
