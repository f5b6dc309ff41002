//! What an operator sets for the whole instance takes effect while it runs.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{configure, load, unharmed};
use crate::harness::client::Client;
use crate::harness::http::{Http, Publisher};
use crate::harness::node::Node;
use crate::harness::server::Setup;

const APP: &str = "/app/app-key?protocol=7";

// host/docs/changing-things.md: those who are connected stay, whatever the limit is now.
#[tokio::test]
async fn the_limit_of_connections_holds_for_whoever_comes() {
    let server = Setup::default().with_metrics().start().await;
    let load = load(&server).await;
    let (mut first, _second) = (Client::connect(server.port).await, Client::connect(server.port).await);
    // The load's subscriber is the third.
    configure(&server, "max_connections = 1").await;
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4100);
    first.subscribe("room").await;
    configure(&server, "max_connections = 4").await;
    let _fourth = Client::connect(server.port).await;
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4100);
    unharmed(load).await;
}

#[tokio::test]
async fn times_and_sizes_hold_for_new_connections() {
    let server = Setup::default().with_metrics().start().await;
    let mut old = Client::connect(server.port).await;
    configure(&server, "activity_timeout = 7\nwebsocket_max_payload_kb = 1").await;
    let mut new = Client::open(server.port, APP).await;
    let greeting = new.expect("pusher:connection_established").await;
    assert_eq!(crate::harness::client::data(&greeting)["activity_timeout"], 7);
    let large = || Message::text("x".repeat(2 << 10));
    new.send_frame(large()).await;
    assert_eq!(new.expect_close().await, 1009);
    old.send_frame(large()).await;
    assert_eq!(old.expect("pusher:error").await["data"]["code"], Value::Null);
}

#[tokio::test]
async fn a_rule_for_addresses_comes_and_goes() {
    let server = Setup::default().with_metrics().start().await;
    let _open = Client::connect(server.port).await;
    configure(
        &server,
        "[rate_limiter.websocket_rate_limit]\nmax_requests = 1\nwindow_seconds = 600",
    )
    .await;
    let _counted = Client::connect(server.port).await;
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4100);
    configure(&server, "").await;
    Client::connect(server.port).await;
}

// Whose word counts on where a caller is from: the app's server sees it in what it is charged for.
#[tokio::test]
async fn a_proxy_is_trusted_and_no_longer() {
    let rule = "[rate_limiter.websocket_rate_limit]\nmax_requests = 1\nwindow_seconds = 600";
    let trusting = format!("trusted_proxies = [\"127.0.0.1\"]\n{rule}");
    let server = Setup::default().config(&trusting).with_metrics().start().await;
    let from = async |address: &str| {
        let forwarded = format!("x-forwarded-for: {address}\r\n");
        let mut client = Client::open_with(server.port, &forwarded).await;
        let crate::harness::client::Heard::Text(first) = client.hear().await else {
            panic!("nothing was said");
        };
        first["event"] == "pusher:connection_established"
    };
    assert!(from("192.0.2.1").await && from("192.0.2.2").await);
    assert!(!from("192.0.2.1").await);
    configure(&server, rule).await;
    // Now all of them are this machine, which has not come yet.
    assert!(from("192.0.2.3").await);
    assert!(!from("192.0.2.4").await);
}

// Webhooks are gathered, and let go to private addresses, as it says when they are sent.
#[tokio::test]
async fn webhooks_follow_their_settings() {
    let mut receiver = Node::start("receiver", &["seven", "secret-of-seven"]);
    let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
    let app = format!(
        "[[apps]]\nid = \"7\"\nkey = \"seven\"\nsecret = \"secret-of-seven\"\n\
         [[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/\"\nevent_types = [\"channel_occupied\"]"
    );
    let server = Setup::default().production().config(&app).with_metrics().start().await;
    let mut client = Client::connect_as(server.port, "seven").await;
    client.subscribe("first").await;
    server.reaches("jackfield_webhooks_given_up_total", 1).await;
    configure(&server, &format!("webhooks.allow_private_addresses = true\n{app}")).await;
    client.subscribe("second").await;
    receiver
        .sees(&json!({ "saw": "webhook", "channel": "second", "more": 0 }))
        .await;
    let batching = "webhooks.batching = { enabled = true, duration = 500, size = 2 }";
    configure(
        &server,
        &format!("webhooks.allow_private_addresses = true\n{batching}\n{app}"),
    )
    .await;
    client.subscribe("third").await;
    client.subscribe("fourth").await;
    receiver
        .sees(&json!({ "saw": "webhook", "channel": "third", "more": 1 }))
        .await;
    assert!(!receiver.saw(&json!({ "saw": "webhook", "channel": "first" })));
}

#[tokio::test]
async fn the_grace_period_is_the_one_that_holds_at_the_end() {
    let mut server = Setup::default()
        .config("shutdown_grace_period = 600")
        .with_metrics()
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(Client::connect(server.port).await);
    }
    configure(&server, "shutdown_grace_period = 0").await;
    server.terminate();
    for client in &mut clients {
        assert_eq!(client.expect_close().await, 4200);
    }
    drop(clients);
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn a_prefix_that_a_proxy_takes_away_may_change() {
    let server = Setup::default().with_metrics().start().await;
    let body = json!({ "name": "e", "data": "", "channel": "room" }).to_string();
    let signed = async || {
        let keys = crate::harness::http::DEVELOPMENT;
        let target = keys.signed("/outer/apps/1001/events", &body, crate::harness::http::now());
        let target = target.strip_prefix("/outer").expect("it was just signed");
        let mut http = Http::connect(server.port).await.expect("it listens");
        http.post(target, &body).await.expect("an answer").status
    };
    assert_eq!(signed().await, 401);
    configure(&server, "http_api.external_path_prefix = \"/outer\"").await;
    assert_eq!(signed().await, 200);
    Publisher::new(server.port).await.publish("room", "event", "{}").await;
}

// host/docs/changing-things.md: with the next request, and for whoever comes.
#[tokio::test]
async fn headers_are_shown_to_plugins_from_then_on() {
    let chain = "[auth]\nchain = [\"probe\", \"auth-pusher\"]";
    let setup = Setup::default().guest("probe").config(chain).with_metrics();
    let grants = "grants = [\"counters\", \"sign\"]";
    let server = setup.file("probe.toml", grants).start().await;
    let asked = async || {
        let mut http = Http::connect(server.port).await.expect("it listens");
        let request = "GET /apps/1001/channels?headers HTTP/1.1\r\nhost: x\r\nx-team: blue\r\n\r\n";
        http.send(request).await.expect("an answer").body
    };
    let connect = async || Client::open_with(server.port, "x-team: blue\r\n").await.greeted().await;
    let shaken = async |client: &mut Client| {
        let data = json!({ "channel": "room", "auth": "handshake" });
        client.send(json!({ "event": "pusher:subscribe", "data": data })).await;
        client.expect("pusher:subscription_error").await.to_string()
    };
    let mut old = connect().await;
    assert!(!asked().await.contains("blue") && !shaken(&mut old).await.contains("blue"));
    configure(&server, &format!("{chain}\nheaders = [\"X-Team\"]")).await;
    assert!(asked().await.contains("blue") && shaken(&mut connect().await).await.contains("blue"));
    assert!(!shaken(&mut old).await.contains("blue"));
}
