//! Webhooks at a real receiver, judged by the pusher library's own `webhook`.

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::http::Keys;
use crate::harness::node::Node;
use crate::harness::server::{Server, Setup};
use crate::harness::wait::until;

/// A receiver that answers with these statuses first, and a server that tells it.
async fn scene(statuses: &[&str], secret: &str) -> (Node, Server) {
    let mut receiver = Node::start("receiver", &[&["app-key", secret], statuses].concat());
    let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
    let app = format!(
        "[[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"app-secret\"\n\
         [[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/hooks?a=b\"\nheaders = {{ X-Extra = \"yes\" }}"
    );
    (receiver, Setup::default().config(&app).with_metrics().start().await)
}

async fn told(receiver: &mut Node, channel: &str) -> Value {
    receiver.sees(&json!({ "saw": "webhook", "channel": channel })).await
}

// Pusher, "Webhooks": POST, X-Pusher-Key, X-Pusher-Signature, content type exactly application/json (the library compares
// the whole value; receivers compare it whole), one event a request.
#[tokio::test]
async fn an_occupied_channel_is_told_once() {
    let (mut receiver, server) = scene(&[], "app-secret").await;
    let mut first = Client::connect(server.port).await;
    let mut second = Client::connect(server.port).await;
    first.subscribe("room").await;
    let webhook = told(&mut receiver, "room").await;
    for (key, value) in [
        ("valid", json!(true)),
        ("method", json!("POST")),
        ("path", json!("/hooks?a=b")),
        ("content_type", json!("application/json")),
        ("extra", json!("yes")),
        ("name", json!("channel_occupied")),
        ("more", json!(0)),
    ] {
        assert_eq!(webhook[key], value, "{key}");
    }
    assert!(
        webhook["time_ms"].as_u64().is_some_and(|ms| ms > 1_700_000_000_000),
        "{webhook}"
    );

    // It is occupied already, and stays so when one of two leaves.
    second.subscribe("room").await;
    first.unsubscribe("room").await;
    first.subscribe("room").await;
    first.subscribe("next").await;
    told(&mut receiver, "next").await;
    assert!(
        !receiver.saw(&json!({ "saw": "webhook", "channel": "room" })),
        "told twice"
    );
}

// Pusher, "Webhooks": whatever is not a 2xx is repeated, after a pause. The first pause is one second.
#[tokio::test]
async fn a_receiver_that_fails_is_told_again() {
    let (mut receiver, server) = scene(&["500", "302"], "app-secret").await;
    // Kept, so that the channel is not vacated in the middle.
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    let (mut tries, mut times) = (Vec::new(), Vec::new());
    for status in [500, 302, 200] {
        let webhook = told(&mut receiver, "room").await;
        assert_eq!((&webhook["status"], &webhook["valid"]), (&json!(status), &json!(true)));
        tries.push(webhook["digest"].clone());
        times.push(webhook["at_ms"].as_f64().expect("a number"));
    }
    assert!(
        tries.iter().all(|digest| *digest == tries[0]),
        "the same body each time: {tries:?}"
    );
    let pauses: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        pauses[0] > 990.0 && pauses[1] > 1_980.0,
        "each pause is twice the last: {pauses:?} ms"
    );
}

// The signature is made with the app's secret and no other.
#[tokio::test]
async fn a_receiver_with_another_secret_does_not_believe_it() {
    let (mut receiver, server) = scene(&[], "another secret").await;
    Client::connect(server.port).await.subscribe("room").await;
    let webhook = receiver.sees(&json!({ "saw": "webhook" })).await;
    assert_eq!(webhook["valid"], false);
}

// One receiver that does not answer well must not hold up the notices of other channels.
#[tokio::test]
async fn many_channels_are_each_told_once() {
    let (mut receiver, server) = scene(&["500"], "app-secret").await;
    let mut client = Client::connect(server.port).await;
    let channels: Vec<String> = (0..100).map(|number| format!("room-{number}")).collect();
    for channel in &channels {
        client.subscribe(channel).await;
    }
    for channel in &channels {
        let webhook = json!({ "saw": "webhook", "channel": channel, "status": 200, "valid": true });
        receiver.sees(&webhook).await;
    }
    for channel in &channels {
        assert!(
            !receiver.saw(&json!({ "channel": channel, "status": 200 })),
            "{channel} was told twice"
        );
    }
    assert_eq!(server.metric("jackfield_notices_dropped_total").await, 0);
}

/// What one endpoint is told: the event's name and its channel.
async fn told_at(receiver: &mut Node, path: &str, extra: &str, told: &[(&str, &str)]) {
    let extra = (!extra.is_empty()).then_some(extra);
    for (name, channel) in told {
        let webhook = json!({
            "saw": "webhook", "valid": true, "path": path, "extra": extra, "name": name, "channel": channel,
        });
        receiver.sees(&webhook).await;
    }
}

// Pusher, "Webhooks": an app may have several, each with its own events. host/docs/operating.md: filters and headers of each.
#[tokio::test]
async fn each_endpoint_is_told_its_own() {
    let mut receiver = Node::start("receiver", &["app-key", "app-secret"]);
    let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
    let endpoint = |path: &str, settings: &str| {
        format!("[[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/{path}\"\n{settings}\n")
    };
    let endpoints = [
        endpoint("all", ""),
        endpoint(
            "rooms",
            "event_types = [\"channel_occupied\"]\nfilter.channel_name_starts_with = \"room-\"\n\
             headers = { x-extra = \"rooms\" }",
        ),
        endpoint(
            "members",
            "event_types = [\"member_added\", \"cache_miss\"]\nheaders = { X-EXTRA = \"members\" }",
        ),
        endpoint("logs", "filter.channel_name_ends_with = \"-log\""),
        endpoint(
            "both",
            "filter.channel_name_starts_with = \"room-\"\nfilter.channel_name_ends_with = \"-log\"",
        ),
    ];
    let server = Setup::default().app(&endpoints.concat()).start().await;
    let mut client = Client::connect(server.port).await;
    for channel in ["room-1", "room-2-log", "cache-log", "hall"] {
        client.subscribe(channel).await;
        if channel == "cache-log" {
            client.expect("pusher:cache_miss").await;
        }
    }
    client.join("presence-room", "ann").await;

    let occupied = |channel| ("channel_occupied", channel);
    let (miss, added) = (("cache_miss", "cache-log"), ("member_added", "presence-room"));
    let logs = [occupied("room-2-log"), occupied("cache-log"), miss];
    let all = [
        &logs[..],
        &[occupied("room-1"), occupied("hall"), occupied("presence-room"), added],
    ]
    .concat();
    told_at(&mut receiver, "/all", "", &all).await;
    told_at(
        &mut receiver,
        "/rooms",
        "rooms",
        &[occupied("room-1"), occupied("room-2-log")],
    )
    .await;
    told_at(&mut receiver, "/members", "members", &[miss, added]).await;
    told_at(&mut receiver, "/logs", "", &logs).await;
    told_at(&mut receiver, "/both", "", &[occupied("room-2-log")]).await;

    // One more that all but the members' endpoint are told, and behind it nothing is left.
    client.subscribe("room-last-log").await;
    for path in ["/all", "/rooms", "/logs", "/both"] {
        receiver
            .sees(&json!({ "saw": "webhook", "path": path, "channel": "room-last-log" }))
            .await;
    }
    assert!(!receiver.saw(&json!({ "saw": "webhook" })), "somebody was told more");
}

// SECURITY.md: an app's webhooks are no way into the operator's own network. In development mode the receiver is on the same
// machine, so this is about production.
#[tokio::test]
async fn a_private_receiver_is_told_only_where_the_operator_says_so() {
    let Keys { id, key, secret } = APP;
    for host in ["127.0.0.1", "localhost", "0x7f.1"] {
        let mut receiver = Node::start("receiver", &[key, secret]);
        let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
        let setup = |text: &str| {
            Setup::default().production().config(text).config(&format!(
                "[[apps]]\nid = \"{id}\"\nkey = \"{key}\"\nsecret = \"{secret}\"\n\
                 [[apps.webhooks]]\nurl = \"http://{host}:{port}/hooks?token=hidden\""
            ))
        };
        let guarded = setup("").with_metrics().start().await;
        let mut client = Client::connect_as(guarded.port, key).await;
        client.subscribe("room").await;
        let errors = until("the log to say what to set", async || {
            let errors = guarded.errors();
            errors
                .contains("`webhooks.allow_private_addresses = true`")
                .then_some(errors)
        })
        .await;
        // What is meant by a name may change; what is meant by an address does not.
        let (verdict, given_up) = if host == "localhost" {
            ("sent again", 0)
        } else {
            ("given up", 1)
        };
        guarded.reaches("jackfield_webhooks_given_up_total", given_up).await;
        assert!(
            errors.contains(verdict) && errors.contains(&format!("{port}")),
            "{errors}"
        );
        assert!(!errors.contains("hidden"), "a token stays where it was: {errors}");

        let open = setup("webhooks.allow_private_addresses = true").start().await;
        let mut client = Client::connect_as(open.port, key).await;
        client.subscribe("next").await;
        assert_eq!(told(&mut receiver, "next").await["valid"], true);
        assert!(!receiver.saw(&json!({ "saw": "webhook" })), "the first server told it");
    }
}

const APP: Keys = Keys {
    id: "7",
    key: "seven",
    secret: "the secret of seven",
};
