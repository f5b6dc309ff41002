//! Watchlists where they are switched off, and where a client changes its own.

use serde_json::{Value, json};

use crate::harness::client::{Client, data};
use crate::harness::http::Publisher;
use crate::harness::server::{Server, Setup};

/// Signs in as Ann, who watches for these, and takes the answer.
async fn sign_in(ann: &mut Client, watchlist: Value) {
    ann.ask_to_sign_in(&json!({ "id": "ann", "watchlist": watchlist }))
        .await;
    ann.expect("pusher:signin_success").await;
}

/// A new connection that is signed in as this user.
async fn arrive(server: &Server, user: &str) -> Client {
    let mut client = Client::connect(server.port).await;
    client.sign_in(user).await;
    client
}

/// The next thing that the client hears is of its watchlist.
async fn told(ann: &mut Client, name: &str, users: &[&str]) {
    let events = data(&ann.expect("pusher_internal:watchlist_events").await);
    assert_eq!(events, json!({ "events": [{ "name": name, "user_ids": users }] }));
}

// host/docs/operating.md: `enable_watchlist_events`, off by default. Pusher documents, "Watchlist events": they are for apps
// that have switched them on.
#[tokio::test]
async fn without_the_switch_nobody_is_watched() {
    for switch in ["", "enable_watchlist_events = false"] {
        let settings = format!("enable_user_authentication = true\n{switch}");
        let server = Setup::default().app(&settings).start().await;
        let mut ann = Client::connect(server.port).await;
        // Nor is the list read: one that is too long is no mistake here.
        let ids: Vec<String> = (0..101).map(|number| format!("user-{number}")).collect();
        sign_in(&mut ann, json!(ids)).await;
        ann.subscribe("room").await;
        let bob = arrive(&server, "user-1").await;
        drop(bob);
        arrive(&server, "user-2").await;
        // Events for a connection come in the order in which they were caused.
        Publisher::new(server.port).await.publish("room", "after", "{}").await;
        ann.expect("after").await;
    }
}

// Pusher documents, "Watchlist events": the list is a part of what the app's server says of a user at the signin. So the last
// signin counts: its list takes the place of the one before.
#[tokio::test]
async fn a_new_signin_brings_a_new_watchlist() {
    let server = Server::start().await;
    let mut ann = Client::connect(server.port).await;
    sign_in(&mut ann, json!(["bob", "eve"])).await;
    told(&mut ann, "offline", &["bob", "eve"]).await;
    sign_in(&mut ann, json!(["cleo", "eve"])).await;
    told(&mut ann, "offline", &["cleo", "eve"]).await;
    let _bob = arrive(&server, "bob").await;
    let cleo = arrive(&server, "cleo").await;
    told(&mut ann, "online", &["cleo"]).await;
    let _eve = arrive(&server, "eve").await;
    told(&mut ann, "online", &["eve"]).await;

    // Another user is refused, and changes nothing.
    ann.ask_to_sign_in(&json!({ "id": "dora", "watchlist": ["bob"] })).await;
    assert_eq!(ann.expect("pusher:error").await["data"]["code"], 4009);
    drop(cleo);
    told(&mut ann, "offline", &["cleo"]).await;

    sign_in(&mut ann, json!([])).await;
    let _cleo = arrive(&server, "cleo").await;
    ann.subscribe("#server-to-user-ann").await;
    Publisher::new(server.port)
        .await
        .publish("#server-to-user-ann", "after", "{}")
        .await;
    ann.expect("after").await;
}
