//! Names in paths: every character that a channel or a user may have, escaped and not.

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::http::{Answer, DEVELOPMENT, Http, Publisher, now};
use crate::harness::scene::Scene;
use crate::harness::server::{Server, Setup};

/// Every character beside letters and digits that a name may have.
const ODD: &str = "a@b,c;d=e.f-g_H9";

/// With every byte escaped that may be, and with those alone that libraries escape.
fn spellings(name: &str) -> [String; 3] {
    let escaped = |must: fn(u8) -> bool| {
        name.bytes()
            .map(|byte| match must(byte) {
                true => format!("%{byte:02X}"),
                false => char::from(byte).to_string(),
            })
            .collect::<String>()
    };
    [
        escaped(|byte| byte == b'#'),
        // As JavaScript's encodeURIComponent does.
        escaped(|byte| !byte.is_ascii_alphanumeric() && !b"-_.".contains(&byte)),
        escaped(|_| true).to_lowercase().replace("%5f", "%5F"),
    ]
}

// Pusher HTTP API, "GET channel", "GET users": a name in a path is escaped like any part of a URL; the signature is over the
// path as it was sent.
#[tokio::test]
async fn channels_are_asked_for_by_escaped_names() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    client.sign_in(ODD).await;
    let (presence, cache) = (format!("presence-{ODD}"), format!("cache-{ODD}"));
    client.join(&presence, ODD).await;
    client.subscribe(&cache).await;
    client.expect("pusher:cache_miss").await;
    let own = format!("#server-to-user-{ODD}");
    client.subscribe(&own).await;
    let mut publisher = Publisher::new(server.port).await;
    publisher.publish(&cache, "kept", "x").await;
    for (name, info, answer) in [
        (&presence, "user_count", json!({ "occupied": true, "user_count": 1 })),
        (
            &own,
            "subscription_count",
            json!({ "occupied": true, "subscription_count": 1 }),
        ),
        (
            &cache,
            "subscription_count",
            json!({ "occupied": true, "subscription_count": 1 }),
        ),
    ] {
        for spelled in spellings(name) {
            let told = publisher.get(&format!("channels/{spelled}"), &[("info", info)]).await;
            assert_eq!((told.status, told.json()), (200, answer.clone()), "{spelled}");
        }
    }
    for spelled in spellings(&presence) {
        let told = publisher.get(&format!("channels/{spelled}/users"), &[]).await;
        assert_eq!(told.json(), json!({ "users": [{ "id": ODD }] }), "{spelled}");
    }
}

// Pusher HTTP API, "Authentication": the values that are signed are not escaped, those in the URL may be.
#[tokio::test]
async fn a_prefix_is_signed_unescaped_and_sent_escaped() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    let channel = format!("presence-{ODD}");
    client.join(&channel, "ann").await;
    let prefix = "presence-a@b,c;d=e";
    let target = DEVELOPMENT.signed_get(
        "/apps/1001/channels",
        &[("filter_by_prefix", prefix), ("info", "user_count")],
    );
    let mut http = Http::connect(server.port).await.expect("it listens");
    let mut expected = json!({ "channels": {} });
    expected["channels"][&channel] = json!({ "user_count": 1 });
    for spelled in spellings(prefix) {
        let answer = http.get(&target.replace(prefix, &spelled)).await.expect("it answers");
        assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{spelled}");
    }
    // `%20` and `+` are both a space, which no channel has.
    let target = DEVELOPMENT.signed_get("/apps/1001/channels", &[("filter_by_prefix", "a b")]);
    for space in ["%20", "+"] {
        let answer = http.get(&target.replace(' ', space)).await.expect("it answers");
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({ "channels": {} })),
            "{space}"
        );
    }
}

fn check_refused(answer: &Answer, path: &str) {
    assert_eq!(answer.status, 400, "{path}: {answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json", "{path}");
    assert!(!answer.error().is_empty(), "{path}");
}

// Pusher HTTP API: 400 for a name that none can have, in JSON like every refusal.
#[tokio::test]
async fn a_name_that_cannot_be_is_refused() {
    let server = Server::start().await;
    let mut publisher = Publisher::new(server.port).await;
    let long = "x".repeat(201);
    for name in ["a%20b", "%23news", "a%2Fb", "%00", "%C3%A9", "%ff", &long] {
        for path in [format!("channels/{name}"), format!("channels/{name}/users")] {
            check_refused(&publisher.get(&path, &[]).await, &path);
        }
        let path = format!("users/{name}/terminate_connections");
        check_refused(&publisher.post_to(&path, "{}").await, &path);
    }
}

// Pusher documents, "Terminating user connections" and "Sending events to authenticated users", for ids of every character;
// the library puts them into the path as they are, other libraries escape them.
#[tokio::test]
async fn a_user_with_an_odd_id_is_spoken_to_and_ended() {
    let mut scene = Scene::on(Setup::default()).await;
    scene.connect(json!({ "who": "ann", "user": { "id": ODD } })).await;
    scene.tell("signin", json!({ "who": "ann" }));
    scene.node.sees(&json!({ "who": "ann", "saw": "reachable" })).await;
    let order = json!({ "user": ODD, "event": "hello", "data": {} });
    let answer = scene.answer("send_to_user", order, json!({ "event": "hello" })).await;
    assert_eq!(answer, (200, json!({})));
    scene.node.sees(&json!({ "who": "ann", "saw": "hello" })).await;
    let answer = scene
        .answer("terminate", json!({ "user": ODD }), json!({ "asked": "terminate" }))
        .await;
    assert_eq!(answer, (200, json!({})));
    let error = scene.node.sees(&json!({ "who": "ann", "saw": "error" })).await;
    assert_eq!(error["code"], 4009);

    for spelled in spellings(ODD) {
        let mut client = Client::connect(scene.server.port).await;
        client.sign_in(ODD).await;
        let path = format!("users/{spelled}/terminate_connections");
        let answer = Publisher::new(scene.server.port).await.post_to(&path, "{}").await;
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{spelled}");
        assert_eq!(client.expect_close().await, 4009, "{spelled}");
    }
}

// Pusher protocol, "Channel naming conventions": up to 200 characters, as the libraries have it, of this alphabet.
#[tokio::test]
async fn a_channel_may_have_a_long_and_odd_name() {
    let (mut scene, _) = Scene::with(&["ann"]).await;
    for name in [
        ODD.to_owned(),
        "x".repeat(200),
        "=".to_owned(),
        ".".to_owned(),
        "private-".to_owned(),
    ] {
        scene.subscribe("ann", &name).await;
        scene.trigger(&[&name], "hello", &json!({}), None).await;
        scene.sees("ann", &name, "hello").await;
    }
    let mut client = Client::connect(scene.server.port).await;
    for name in [
        "x".repeat(201),
        "a b".to_owned(),
        "#news".to_owned(),
        "é".to_owned(),
        String::new(),
    ] {
        client
            .send(json!({ "event": "pusher:subscribe", "data": { "channel": name } }))
            .await;
        let error = client.expect("pusher:error").await;
        assert_eq!(error["data"]["code"], Value::Null, "{name}: {error}");
    }
}

// Balancers in front of the server may say `Connection: upgrade` on every request and drop the empty `Upgrade`: without one it
// is ordinary HTTP (RFC 9110 §7.8: Connection only names the field that would have come along).
#[tokio::test]
async fn a_request_with_a_stray_connection_header_is_an_ordinary_one() {
    let server = Server::start().await;
    let mut http = Http::connect(server.port).await.expect("it listens");
    let body = r#"{"name":"greeting","channel":"room","data":"{}"}"#;
    for _ in 0..2 {
        let target = DEVELOPMENT.signed(&DEVELOPMENT.events_path(), body, now());
        let post = format!(
            "POST {target} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let get = DEVELOPMENT.signed_get("/apps/1001/channels", &[]);
        for request in [
            post,
            format!("GET {get} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\r\n"),
        ] {
            let answer = http.send(&request).await.expect("it answers");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}
