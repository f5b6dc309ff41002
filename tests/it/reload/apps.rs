//! Apps come, go and change while the server runs; nobody else's connections notice.

use serde_json::{Value, json};

use super::{configure, load, unharmed};
use crate::harness::client::{Client, Heard};
use crate::harness::http::{Keys, Publisher};
use crate::harness::node::Node;
use crate::harness::server::{Server, Setup};
use crate::harness::wait::until;

const DEV: &str = "[[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"app-secret\"\n";

const SEVEN: Keys = Keys {
    id: "7",
    key: "seven",
    secret: "secret of seven",
};

/// The development app, on which the load is, and another one with these settings.
fn both(settings: &str) -> String {
    let Keys { id, key, secret } = SEVEN;
    format!("{DEV}[[apps]]\nid = \"{id}\"\nkey = \"{key}\"\nsecret = \"{secret}\"\n{settings}")
}

async fn server(settings: &str) -> Server {
    Setup::default().config(&both(settings)).with_metrics().start().await
}

/// Asks for a channel with a signature of these keys.
async fn ask(client: &mut Client, keys: Keys, channel: &str) -> Value {
    let auth = keys.auth(&client.socket_id, channel);
    let data = json!({ "channel": channel, "auth": auth });
    client.send(json!({ "event": "pusher:subscribe", "data": data })).await;
    match client.hear().await {
        Heard::Text(answer) => answer["event"].clone(),
        other => panic!("heard {other:?}"),
    }
}

async fn status(server: &Server, keys: Keys) -> u16 {
    let mut publisher = Publisher::of(keys, server.port).await;
    publisher.try_publish("room", "event", "{}").await.status
}

/// An error with the code of the close frame behind it.
async fn is_closed(client: &mut Client) -> u16 {
    let error = client.expect("pusher:error").await;
    let code = client.expect_close().await;
    assert_eq!(error["data"]["code"], code);
    code
}

const IN: &str = "pusher_internal:subscription_succeeded";
const OUT: &str = "pusher:subscription_error";
const APP: &str = "/app/seven?protocol=7";

// Pusher protocol, "Error codes": 4001, "Application does not exist"; clients do not come back.
#[tokio::test]
async fn an_app_comes_and_goes() {
    let server = Setup::default().config(DEV).with_metrics().start().await;
    let load = load(&server).await;
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4001);
    assert_eq!(status(&server, SEVEN).await, 404);
    configure(&server, &both("")).await;
    let mut client = Client::connect_as(server.port, SEVEN.key).await;
    assert_eq!(ask(&mut client, SEVEN, "private-room").await, IN);
    assert_eq!(status(&server, SEVEN).await, 200);
    let mut other = Client::connect(server.port).await;
    other.subscribe("private-room").await;
    configure(&server, DEV).await;
    assert_eq!(is_closed(&mut client).await, 4001);
    assert_eq!(status(&server, SEVEN).await, 404);
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4001);
    other.ping().await;
    other.expect("pusher:pong").await;
    unharmed(load).await;
}

// Pusher protocol, "Error codes": 4003, "Application disabled".
#[tokio::test]
async fn an_app_is_disabled_and_enabled_again() {
    let server = server("").await;
    let load = load(&server).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(Client::connect_as(server.port, SEVEN.key).await);
    }
    configure(&server, &both("enabled = false")).await;
    for client in &mut clients {
        assert_eq!(is_closed(client).await, 4003);
    }
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4003);
    assert_eq!(status(&server, SEVEN).await, 403);
    configure(&server, &both("")).await;
    Client::connect_as(server.port, SEVEN.key).await;
    assert_eq!(status(&server, SEVEN).await, 200);
    unharmed(load).await;
}

// host/docs/changing-things.md: "old signatures are refused at once, open subscriptions stay".
#[tokio::test]
async fn a_secret_is_rotated_under_open_subscriptions() {
    let server = server("").await;
    let load = load(&server).await;
    let mut client = Client::connect_as(server.port, SEVEN.key).await;
    assert_eq!(ask(&mut client, SEVEN, "private-room").await, IN);
    let rotated = Keys {
        secret: "another one",
        ..SEVEN
    };
    configure(&server, &both("").replace(SEVEN.secret, rotated.secret)).await;
    assert_eq!(status(&server, SEVEN).await, 401);
    assert_eq!(ask(&mut client, SEVEN, "private-next").await, OUT);
    assert_eq!(ask(&mut client, rotated, "private-next").await, IN);
    let mut publisher = Publisher::of(rotated, server.port).await;
    publisher.publish("private-room", "told", "{}").await;
    client.expect("told").await;
    unharmed(load).await;
}

#[tokio::test]
async fn a_key_is_changed_under_open_connections() {
    let server = server("").await;
    let mut client = Client::connect_as(server.port, SEVEN.key).await;
    let renamed = Keys { key: "eight", ..SEVEN };
    configure(&server, &both("").replace("\"seven\"", "\"eight\"")).await;
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4001);
    Client::connect_as(server.port, renamed.key).await;
    assert_eq!(status(&server, SEVEN).await, 401);
    assert_eq!(status(&server, renamed).await, 200);
    assert_eq!(ask(&mut client, SEVEN, "private-room").await, OUT);
    assert_eq!(ask(&mut client, renamed, "private-room").await, IN);
}

// host/docs/changing-things.md: switches and limits hold at once for those who are connected.
#[tokio::test]
async fn switches_and_limits_hold_for_open_connections() {
    let server = server("").await;
    let load = load(&server).await;
    let mut ann = Client::connect_as(server.port, SEVEN.key).await;
    let mut bob = Client::connect_as(server.port, SEVEN.key).await;
    for client in [&mut ann, &mut bob] {
        assert_eq!(ask(client, SEVEN, "private-room").await, IN);
    }
    let say = || json!({ "event": "client-say", "channel": "private-room", "data": {} });
    ann.send(say()).await;
    ann.expect("pusher:error").await;
    configure(
        &server,
        &both("enable_client_messages = true\nmax_channels_per_connection = 2"),
    )
    .await;
    ann.send(say()).await;
    bob.expect("client-say").await;
    assert_eq!(ask(&mut ann, SEVEN, "private-two").await, IN);
    assert_eq!(ask(&mut ann, SEVEN, "private-three").await, OUT);
    configure(
        &server,
        &both("max_channel_name_length = 12\nmax_event_payload_in_kb = 1"),
    )
    .await;
    ann.send(say()).await;
    ann.expect("pusher:error").await;
    assert_eq!(ask(&mut bob, SEVEN, "private-thirteen").await, "pusher:error");
    let mut publisher = Publisher::of(SEVEN, server.port).await;
    let answer = publisher.try_publish("room", "event", &"x".repeat(2_000)).await;
    assert_eq!(answer.status, 413);
    unharmed(load).await;
}

#[tokio::test]
async fn counts_are_told_from_then_on() {
    let server = server("").await;
    let mut ann = Client::connect_as(server.port, SEVEN.key).await;
    let mut bob = Client::connect_as(server.port, SEVEN.key).await;
    assert_eq!(ask(&mut ann, SEVEN, "room").await, IN);
    configure(&server, &both("enable_subscription_count = true")).await;
    assert_eq!(ask(&mut bob, SEVEN, "room").await, IN);
    ann.ping().await;
    ann.expect("pusher:pong").await;
    assert_eq!(ann.counts, [("room".to_owned(), 2)]);
    configure(&server, &both("")).await;
    bob.unsubscribe("room").await;
    assert_eq!(ask(&mut bob, SEVEN, "room").await, IN);
    ann.ping().await;
    ann.expect("pusher:pong").await;
    assert_eq!(ann.counts, [("room".to_owned(), 2)]);
}

// What was counted goes on counting: connections, and what the limiter knows of them.
#[tokio::test]
async fn an_app_that_changes_keeps_its_counts() {
    let limits = |connections: u32, events: u32| {
        both(&format!(
            "enable_client_messages = true\nmax_connections = {connections}\n\
             max_client_events_per_second = {events}\ndecay_seconds = 3600"
        ))
    };
    let server = Setup::default().config(&limits(2, 3)).with_metrics().start().await;
    let mut ann = Client::connect_as(server.port, SEVEN.key).await;
    let bob = Client::connect_as(server.port, SEVEN.key).await;
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4004);
    assert_eq!(ask(&mut ann, SEVEN, "private-room").await, IN);
    let say = json!({ "event": "client-say", "channel": "private-room", "data": {} });
    for _ in 0..2 {
        ann.send(say.clone()).await;
    }
    configure(&server, &limits(3, 3)).await;
    let carol = Client::connect_as(server.port, SEVEN.key).await;
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4004);
    drop((bob, carol));
    ann.send(say.clone()).await;
    ann.ping().await;
    ann.expect("pusher:pong").await;
    ann.send(say.clone()).await;
    assert_eq!(ann.expect("pusher:error").await["data"]["code"], 4301);
    server.reaches("jackfield_connected", 1).await;
    configure(&server, &limits(1, 3)).await;
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4004);
    // Three a second, so that there is one soon; by the rule before it would be twenty minutes.
    configure(
        &server,
        &limits(1, 3).replace("decay_seconds = 3600", "decay_seconds = 1"),
    )
    .await;
    until("room in the new rule", async || {
        ann.send(say.clone()).await;
        ann.ping().await;
        let Heard::Text(answer) = ann.hear().await else {
            panic!("the connection was ended");
        };
        if answer["event"] == "pusher:error" {
            ann.expect("pusher:pong").await;
            return None;
        }
        Some(())
    })
    .await;
}

// A webhook that waits to be repeated is signed with the secret that holds when it is sent.
#[tokio::test]
async fn webhooks_go_where_the_app_says_now() {
    let mut receivers = [
        Node::start("receiver", &["seven", SEVEN.secret]),
        Node::start("receiver", &["seven", "another one", "500"]),
    ];
    let mut ports = Vec::new();
    for receiver in &mut receivers {
        ports.push(receiver.sees(&json!({ "saw": "listening" })).await["port"].clone());
    }
    let hooks = |port: &Value| both(&format!("[[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/\""));
    let server = Setup::default().config(&hooks(&ports[0])).with_metrics().start().await;
    let mut client = Client::connect_as(server.port, SEVEN.key).await;
    client.subscribe("first").await;
    let [old, new] = &mut receivers;
    old.sees(&json!({ "saw": "webhook", "channel": "first", "valid": true }))
        .await;
    configure(&server, &hooks(&ports[1])).await;
    client.subscribe("second").await;
    new.sees(&json!({ "saw": "webhook", "valid": false })).await;
    configure(&server, &hooks(&ports[1]).replace(SEVEN.secret, "another one")).await;
    new.sees(&json!({ "saw": "webhook", "channel": "second", "valid": true }))
        .await;
    assert!(!old.saw(&json!({ "saw": "webhook", "channel": "second" })));
}

// host/docs/changing-things.md: what a handshake is asked for is asked of whoever comes.
#[tokio::test]
async fn handshakes_are_looked_at_anew() {
    let server = Setup::default().config(DEV).with_metrics().start().await;
    let mut old = Client::connect(server.port).await;
    configure(&server, &format!("{DEV}force_tls = true")).await;
    let open = async || Client::open(server.port, "/app/app-key?protocol=7").await;
    assert_eq!(open().await.turned_away().await, 4000);
    configure(&server, &format!("{DEV}allowed_origins = [\"https://example.com\"]")).await;
    let page = async |origin: &str| Client::open_with(server.port, &format!("origin: https://{origin}\r\n")).await;
    assert_eq!(page("example.org").await.turned_away().await, 4009);
    page("example.com").await.greeted().await;
    let signed_in = "enable_user_authentication = true\nuser_authentication_timeout = 1";
    configure(&server, &format!("{DEV}{signed_in}")).await;
    let mut stranger = Client::connect(server.port).await;
    assert_eq!(stranger.expect_close().await, 4009);
    old.ping().await;
    old.expect("pusher:pong").await;
}
