//! The HTTP API for an app's own servers, status by status.

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::http::{Answer, DEVELOPMENT, Http, Keys, Publisher, get, now};
use crate::harness::server::{Server, Setup};

const BODY: &str = r#"{"name":"greeting","data":"{}","channels":["room"]}"#;

/// Posts the body to the app's events under these keys, at this time, with what `spoil` makes of the query.
async fn post(server: &Server, keys: Keys, body: &str, spoil: impl Fn(String) -> String) -> Answer {
    let target = spoil(keys.signed(&DEVELOPMENT.events_path(), body, now()));
    let mut http = Http::connect(server.port).await.expect("it listens");
    http.post(&target, body).await.expect("it answers")
}

fn as_it_is(target: String) -> String {
    target
}

fn check(answer: &Answer, status: u16, part: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert!(answer.error().contains(part), "{answer:?} does not say {part}");
}

// Pusher HTTP API, "POST event": 200 with an empty object. Libraries keep their connection open.
#[tokio::test]
async fn a_publish_is_answered_by_an_empty_object() {
    let server = Server::start().await;
    let mut publisher = Publisher::new(server.port).await;
    for body in [
        BODY.to_owned(),
        json!({ "name": "greeting", "data": "", "channel": "room" }).to_string(),
        json!({ "name": "greeting", "data": "x".repeat(10 << 10), "channels": ["room"] }).to_string(),
        json!({ "name": "greeting", "data": "é\u{1f600}\"\\\u{0}", "channels": ["room", "private-room"] }).to_string(),
        json!({ "name": "greeting", "data": "x", "channels": ["room"], "socket_id": "1.2", "info": "" }).to_string(),
    ] {
        let answer = publisher.post(&body).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"), "{body}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

// Pusher HTTP API, "Authentication": 401 for whatever is wrong with the signature.
#[tokio::test]
async fn a_request_that_is_not_rightly_signed_is_refused() {
    let server = Setup::default().production().config(TWO_APPS).start().await;
    let stranger = Keys {
        secret: "another secret",
        ..ONE
    };
    check(&post(&server, stranger, BODY, as_it_is).await, 401, "signature");
    check(&post(&server, OTHER, BODY, as_it_is).await, 401, "auth_key");
    let without_md5 = |target: String| {
        let parts: Vec<&str> = target.split('&').filter(|part| !part.starts_with("body_md5")).collect();
        parts.join("&")
    };
    check(&post(&server, ONE, BODY, without_md5).await, 401, "");
    let unsigned = |target: String| target.split("&auth_signature").next().unwrap_or_default().to_owned();
    check(&post(&server, ONE, BODY, unsigned).await, 401, "auth_signature");
    let bare = |target: String| target.split('?').next().unwrap_or_default().to_owned();
    check(&post(&server, ONE, BODY, bare).await, 401, "auth_key");

    let mut http = Http::connect(server.port).await.expect("it listens");
    for (seconds, status) in [(now() - 700, 401), (now() + 700, 401), (now() - 500, 200)] {
        let target = ONE.signed(&ONE.events_path(), BODY, seconds);
        let answer = http.post(&target, BODY).await.expect("it answers");
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let target = ONE.signed(&ONE.events_path(), BODY, now());
    let changed = BODY.replace("greeting", "forgery!");
    check(
        &http.post(&target, &changed).await.expect("it answers"),
        401,
        "body_md5",
    );
}

// A body that is signed under md5 but left out of the signed query: the parameter itself is missing.
#[tokio::test]
async fn a_body_without_its_digest_is_refused() {
    let server = Server::start().await;
    // Signed as if there were no body, hence without body_md5, and rightly so.
    let target = DEVELOPMENT.signed(&DEVELOPMENT.events_path(), "", now());
    let mut http = Http::connect(server.port).await.expect("it listens");
    check(&http.post(&target, BODY).await.expect("it answers"), 401, "body_md5");
}

// Pusher HTTP API, "POST event": 400 for faults in the request, 413 for data over 10 kB.
#[tokio::test]
async fn a_malformed_request_is_refused_by_the_name_of_its_fault() {
    let server = Server::start().await;
    let long = "x".repeat((10 << 10) + 1);
    let names: Vec<String> = (0..101).map(|number| format!("room-{number}")).collect();
    for (body, status, part) in [
        ("{".to_owned(), 400, "JSON"),
        ("[]".to_owned(), 400, "object"),
        (json!({ "data": "x", "channels": ["room"] }).to_string(), 400, "`name`"),
        (json!({ "name": "e", "channels": ["room"] }).to_string(), 400, "`data`"),
        (json!({ "name": "e", "data": "x" }).to_string(), 400, "`channels`"),
        (
            json!({ "name": "e", "data": {}, "channels": ["room"] }).to_string(),
            400,
            "`data`",
        ),
        (
            json!({ "name": "e", "data": "x", "channels": [] }).to_string(),
            400,
            "0 channels",
        ),
        (
            json!({ "name": "e", "data": "x", "channels": names }).to_string(),
            400,
            "101 channels",
        ),
        (
            json!({ "name": "e", "data": "x", "channels": ["a b"] }).to_string(),
            400,
            "`channels`",
        ),
        (
            json!({ "name": "e", "data": "x", "channels": ["a"], "socket_id": "1" }).to_string(),
            400,
            "`socket_id`",
        ),
        (
            json!({ "name": "e", "data": long, "channels": ["room"] }).to_string(),
            413,
            "`data`",
        ),
    ] {
        check(&post(&server, DEVELOPMENT, &body, as_it_is).await, status, part);
    }
}

// A body is bounded before it is taken into memory, whether or not its length is announced.
#[tokio::test]
async fn a_body_over_the_limit_is_refused_unread() {
    let server = Server::start().await;
    let target = DEVELOPMENT.signed(&DEVELOPMENT.events_path(), "x", now());
    let mut http = Http::connect(server.port).await.expect("it listens");
    let announced = format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n");
    check(&http.send(&announced).await.expect("it answers"), 413, "larger");

    let mut http = Http::connect(server.port).await.expect("it listens");
    let chunk = format!("{:x}\r\n{}\r\n", 140_000, "x".repeat(140_000));
    let chunked = format!("POST {target} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n");
    check(&http.send(&chunked).await.expect("it answers"), 413, "larger");
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let server = Server::start().await;
    let mut http = Http::connect(server.port).await.expect("it listens");
    check(
        &http.post("/apps/7/events", BODY).await.expect("it answers"),
        404,
        "`7`",
    );
    check(&http.get("/apps").await.expect("it answers"), 404, "/apps");
    check(&get(server.port, "/no/such/place").await, 404, "/no/such/place");
}

// A refused request must not have been delivered.
#[tokio::test]
async fn only_what_was_accepted_arrives() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    let stranger = Keys {
        secret: "another secret",
        ..DEVELOPMENT
    };
    assert_eq!(post(&server, stranger, BODY, as_it_is).await.status, 401);
    Publisher::new(server.port).await.publish("room", "right", "{}").await;
    client.expect("right").await;
}

// Pusher HTTP API: rates are limited per app; 429 names the time after which to try again (RFC 9110 §10.2.3).
#[tokio::test]
async fn a_publisher_over_its_rate_is_told_when_to_come_back() {
    let app = "[[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"app-secret\"\nmax_backend_events_per_second = 2";
    let server = Setup::default().config(app).start().await;
    let mut publisher = Publisher::new(server.port).await;
    let mut refused = None;
    for _ in 0..100 {
        let answer = publisher.try_publish("room", "greeting", "{}").await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("two a second is less than this");
    check(&refused, 429, "try again");
    assert_eq!(refused.headers["retry-after"], "1");
}

const TWO_APPS: &str = "
[[apps]]
id = \"1001\"
key = \"one-key\"
secret = \"one-secret\"
[[apps]]
id = \"1002\"
key = \"other-key\"
secret = \"other-secret\"
";

const ONE: Keys = Keys {
    id: "1001",
    key: "one-key",
    secret: "one-secret",
};

/// Another app's keys, used at the first one's address.
const OTHER: Keys = Keys {
    id: "1002",
    key: "other-key",
    secret: "other-secret",
};
