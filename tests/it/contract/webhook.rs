//! What the webhook door asks of a plugin, and what it promises.

use jackfield_hub::Endpoint;
use jackfield_hub::doors::{DoorError, Notice, WebhookCall};
use serde_json::json;

use super::given::{self, Given};
use crate::harness::client::Client;
use crate::harness::node::Node;
use crate::harness::server::Setup;
use crate::harness::stand::{Layout, Stand, guest, notice};

#[test]
fn the_plugins_of_the_house_keep_the_contract() {
    for given in given::at("webhook") {
        keep(&given);
    }
}

/// The whole contract of the webhook door, put to one plugin.
pub(super) fn keep(given: &Given) {
    given.keep();
    let stand = given.layout().endpoints(endpoints()).ready();
    who_wants_a_notice_gets_it(&stand, &given.name);
    the_operators_headers_come_along(&stand, &given.name);
    notices_that_belong_together_stay_together(&stand, &given.name);
    unknown_notices_are_no_surprise(&stand, &given.name);
    much_is_no_surprise(&stand, &given.name);
    without_endpoints_there_is_nobody_to_call(given);
    assert_eq!(stand.report(&given.name).traps, 0, "{} trapped", given.name);
}

fn endpoints() -> Vec<Endpoint> {
    let endpoint = |url: &str| Endpoint {
        url: url.to_owned(),
        ..Endpoint::default()
    };
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![
        header("authorization", "Bearer x"),
        header("Content-Type", "text/plain"),
        header("X-Pusher-Signature", "forged"),
    ];
    vec![
        endpoint("http://127.0.0.1:9/all"),
        Endpoint {
            events: vec!["member_added".to_owned(), "member_removed".to_owned()],
            headers,
            ..endpoint("http://127.0.0.1:9/members")
        },
        Endpoint {
            channel_starts_with: "presence-".to_owned(),
            channel_ends_with: "-eu".to_owned(),
            ..endpoint("http://127.0.0.1:9/places")
        },
    ]
}

/// The paths that are called for these notices, in alphabetical order.
fn called(stand: &Stand, notices: &[Notice]) -> Vec<String> {
    let calls = prepared(stand, notices);
    let path = |call: &WebhookCall| call.url.trim_start_matches("http://127.0.0.1:9/").to_owned();
    let mut paths: Vec<String> = calls.iter().map(path).collect();
    paths.sort();
    paths
}

fn prepared(stand: &Stand, notices: &[Notice]) -> Vec<WebhookCall> {
    stand.prepare(notices).unwrap_or_else(|error| panic!("{error}"))
}

// wit/deps/webhook/webhook.wit: "Called off the serving threads, for each endpoint of an app, with notices that it wants"
// wit/deps/webhook/webhook.wit: "The request goes to the endpoint and nowhere else."
fn who_wants_a_notice_gets_it(stand: &Stand, name: &str) {
    for (event, channel, wanted) in [
        ("channel_occupied", "room", &["all"][..]),
        ("member_added", "presence-room", &["all", "members"]),
        ("member_removed", "presence-eu", &["all", "members", "places"]),
        ("channel_vacated", "presence-hall-eu", &["all", "places"]),
        ("cache_miss", "private-hall-eu", &["all"]),
    ] {
        assert_eq!(
            called(stand, &[notice(event, channel)]),
            wanted,
            "{name}: {event} {channel}"
        );
    }
}

// wit/deps/webhook/webhook.wit: "The host adds to it, unless the same name is here already" wit/deps/webhook/webhook.wit: "then
// the headers that the operator gave the endpoint."
fn the_operators_headers_come_along(stand: &Stand, name: &str) {
    for call in prepared(stand, &[notice("member_added", "room")]) {
        let values = |wanted: &str| -> Vec<&str> {
            let named = call
                .headers
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            named.map(|(_, value)| value.as_str()).collect()
        };
        let is_members = call.url.ends_with("/members");
        assert_eq!(values("authorization") == ["Bearer x"], is_members, "{name}: {call:?}");
        assert_eq!(values("content-type").len(), 1, "{name}: {call:?}");
        let signed = call.signature_header.as_deref() == Some("x-pusher-signature");
        assert!(!signed || values("x-pusher-signature").is_empty(), "{name}: {call:?}");
    }
}

// wit/deps/webhook/webhook.wit: "that belong into one request: one notice, or with `webhooks.batching` as many as have gathered."
fn notices_that_belong_together_stay_together(stand: &Stand, name: &str) {
    let notices = [
        notice("channel_occupied", "presence-hall-eu"),
        notice("member_added", "presence-hall-eu"),
        notice("subscription_count", "room"),
    ];
    assert_eq!(called(stand, &notices), ["all", "members", "places"], "{name}");
}

// wit/deps/webhook/webhook.wit: "More may come."
fn unknown_notices_are_no_surprise(stand: &Stand, name: &str) {
    let strange = notice("channel_painted", "presence-hall-eu");
    assert_eq!(called(stand, &[strange]), ["all", "places"], "{name}");
}

fn much_is_no_surprise(stand: &Stand, name: &str) {
    let many: Vec<Notice> = (0..100)
        .map(|n| notice("channel_occupied", &format!("room-{n}")))
        .collect();
    assert_eq!(called(stand, &many), ["all"], "{name}");
    let mut large = notice("client_event", "private-room");
    large.event = json!({ "name": "client_event", "data": "\u{1f600}\"\\".repeat(5_000) }).to_string();
    assert_eq!(called(stand, &[large]), ["all"], "{name}");
}

fn without_endpoints_there_is_nobody_to_call(given: &Given) {
    let stand = given.stand();
    assert_eq!(
        prepared(&stand, &[notice("channel_occupied", "room")]),
        [],
        "{}",
        given.name
    );
}

fn probe() -> Stand {
    let (name, toml) = ("probe-webhook", "[limits]\npause_after = 0");
    let layout = Layout::new().at("webhook", name, guest(name)).endpoints(endpoints());
    layout.file("probe-webhook.toml", toml).ready()
}

fn failure(answer: Result<Vec<WebhookCall>, DoorError>) -> String {
    match answer {
        Err(DoorError::Failed { plugin, reason, .. }) if plugin == "probe-webhook" => reason,
        other => panic!("{other:?} is no failure"),
    }
}

// wit/deps/webhook/webhook.wit: "None: there is nothing to send."
#[test]
fn a_plugin_may_have_nothing_to_send() {
    let stand = probe();
    assert_eq!(prepared(&stand, &[notice("channel_occupied", "silent")]), []);
    assert_eq!(prepared(&stand, &[notice("member_added", "room")]).len(), 2);
}

// wit/deps/webhook/webhook.wit: "One POST request to make."
#[test]
fn a_million_headers_are_too_many() {
    let ordinary = "[limits]\npause_after = 0";
    // With all the memory and time that an operator can give, what it hands over is still bounded.
    let generous = "[limits]\npause_after = 0\nmemory_mb = 128\ncpu_ms = 1000";
    for limits in [ordinary, generous] {
        let name = "probe-webhook";
        let layout = Layout::new().at("webhook", name, guest(name)).endpoints(endpoints());
        let stand = layout.file("probe-webhook.toml", limits).ready();
        let reason = failure(stand.prepare(&[notice("channel_occupied", "many")]));
        assert!(reason.contains("stopped"), "{reason}");
        assert_eq!(stand.report(name).traps, 1);
        assert_eq!(prepared(&stand, &[notice("channel_occupied", "room")]).len(), 1);
    }
}

// wit/deps/webhook/webhook.wit: "An error or a trap keeps the notices for another try." wit/deps/webhook/webhook.wit: "Stable: a
// repeated notice has the same id."
#[tokio::test]
async fn an_error_and_a_trap_keep_the_notice() {
    let mut receiver = Node::start("receiver", &["app-key", "app-secret"]);
    let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
    let server = Setup::default()
        .guest("probe-webhook")
        .config("[webhooks]\nplugin = \"probe-webhook\"")
        .app(&format!("[[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/\""))
        .start()
        .await;
    let mut client = Client::connect(server.port).await;
    for channel in ["error", "trap"] {
        client.subscribe(channel).await;
        let seen = receiver.sees(&json!({ "saw": "webhook", "channel": channel })).await;
        assert_eq!(seen["valid"], true, "{seen}");
        let id = seen["extra"].as_str().expect("the probe names the notice");
        let log = server.errors();
        assert!(
            log.contains(&format!("not yet {id}")),
            "it failed before, on the same notice\n{log}"
        );
    }
}

// wit/deps/webhook/webhook.wit: "The name of a header in which the host puts the hexadecimal HMAC-SHA256 of the body under the app's
// secret, at the moment of sending. None: unsigned."
#[test]
fn a_plugin_may_leave_a_call_unsigned() {
    let stand = probe();
    let signed = prepared(&stand, &[notice("channel_occupied", "room")]);
    let unsigned = prepared(&stand, &[notice("channel_occupied", "unsigned")]);
    assert!(
        signed
            .iter()
            .all(|call| call.signature_header.as_deref() == Some("x-pusher-signature"))
    );
    assert!(unsigned.iter().all(|call| call.signature_header.is_none()));
}

/// The value of a header that is there once, or none.
fn value<'a>(call: &'a WebhookCall, wanted: &str) -> Option<&'a str> {
    let mut values = call
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value.as_str());
    let first = values.next();
    assert_eq!(values.next(), None, "{call:?}");
    first
}

// wit/deps/webhook/webhook.wit: "`content-type: application/json`; `x-jackfield-notices`, the ids of the notices with commas
// between them; then the headers that the operator gave the endpoint."
#[test]
fn the_host_adds_what_every_receiver_needs() {
    let (stand, ours) = (probe(), notice("member_added", "room"));
    for call in prepared(&stand, &[ours.clone(), notice("member_removed", "room")]) {
        assert_eq!(value(&call, "content-type"), Some("application/json"));
        let ids = value(&call, "x-jackfield-notices");
        assert_eq!(ids, Some("room-member_added,room-member_removed"));
    }
    for call in prepared(&stand, &[notice("member_added", "text"), ours]) {
        assert_eq!(value(&call, "content-type"), Some("text/plain"), "the plugin's own");
    }
}

// wit/deps/webhook/webhook.wit: "The name of a header in which the host puts the app's key. None: it is not told."
#[test]
fn a_plugin_says_where_the_key_goes() {
    let stand = probe();
    for (channel, wanted) in [("room", Some("app-key")), ("keyless", None)] {
        let calls = prepared(&stand, &[notice("member_added", channel)]);
        assert_eq!(calls.len(), 2);
        for call in calls {
            assert_eq!(value(&call, "x-pusher-key"), wanted, "{call:?}");
        }
    }
}
