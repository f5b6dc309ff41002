//! What the auth door promises: shown by guests that answer as they are told.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jackfield_hub::doors::{Claim, Client, DoorError, NamedMember, Permission, Refusal, SigninRequest, Verdict};
use jackfield_protocol::signature::{Credentials, sign_api_request};
use serde_json::json;

use crate::harness::client::{Client as Socket, data};
use crate::harness::http::{DEVELOPMENT, Http};
use crate::harness::server::Setup;
use crate::harness::stand::{Layout, Stand, guest};

const GRANTS: &str = "grants = [\"counters\", \"sign\"]\n[limits]\npause_after = 0";

/// A chain of probes, each with an order of its own for every question.
fn chain(always: &[&str]) -> Stand {
    let probe = guest("probe");
    let layout = always.iter().enumerate().fold(Layout::new(), |layout, (index, order)| {
        let name = format!("probe-{index}");
        let config = match *order {
            "" => "{}".to_owned(),
            order => json!({ "always": order }).to_string(),
        };
        layout
            .at("auth", &name, &probe)
            .file(&format!("{name}.toml"), GRANTS)
            .config(&name, &config)
    });
    layout.ready()
}

fn code(answer: Result<Verdict, DoorError>) -> u16 {
    match answer {
        Ok(Verdict::Refuse(refusal)) => refusal.code,
        other => panic!("{other:?} is no refusal"),
    }
}

// wit/deps/auth/auth.wit: "Plugins form a chain (`auth.chain` in the config); the first answer that is not `pass` decides, and the
// end of the chain refuses."
#[test]
fn the_first_answer_that_is_not_pass_decides() {
    let allowed = Ok(Verdict::Allow(Permission::default()));
    assert_eq!(chain(&["pass", "allow", "refuse:403"]).order(""), allowed);
    assert_eq!(code(chain(&["pass", "refuse:403", "allow"]).order("")), 403);
    assert_eq!(code(chain(&["pass", "pass"]).order("")), 401);
    assert_eq!(code(chain(&[]).order("")), 401);
    let stand = chain(&["allow", "trap"]);
    assert_eq!(stand.order(""), allowed);
    assert_eq!(
        stand.report("probe-1").calls,
        0,
        "nobody asks behind the one that decided"
    );
}

// wit/deps/auth/auth.wit: "A plugin that traps or runs out of time refuses."
#[test]
fn a_plugin_that_breaks_refuses_in_place_of_those_behind_it() {
    let stand = chain(&["trap", "allow"]);
    let answer = stand.order("");
    assert!(
        matches!(&answer, Err(DoorError::Failed { plugin, .. }) if plugin == "probe-0"),
        "{answer:?}"
    );
    assert_eq!(
        stand.report("probe-1").calls,
        0,
        "no later plugin is asked in its place"
    );

    let layout = Layout::new().at("auth", "misbehave", guest("misbehave"));
    let stand = layout
        .at("auth", "allow", guest("probe"))
        .file("allow.toml", GRANTS)
        .ready();
    let answer = stand.ask(&stand.subscription("loop-room", "", None));
    assert!(
        matches!(&answer, Err(DoorError::Failed { plugin, .. }) if plugin == "misbehave"),
        "{answer:?}"
    );
    assert_eq!(stand.report("misbehave").traps, 1);
}

// wit/deps/auth/auth.wit: "For `connect` a close code of the Pusher protocol, 4000 to 4299 (anything else becomes 4009). For the
// other questions an HTTP status, 400 to 499 (anything else becomes 401)."
#[test]
fn codes_out_of_range_become_the_ordinary_one() {
    let stand = chain(&[""]);
    for (wanted, got) in [
        (400, 400),
        (499, 499),
        (399, 401),
        (500, 401),
        (200, 401),
        (0, 401),
        (65_535, 401),
    ] {
        assert_eq!(code(stand.order(&format!("refuse:{wanted}"))), got, "{wanted}");
        assert_eq!(
            code(stand.ask(&stand.api_request(&format!("refuse:{wanted}"), b""))),
            got,
            "{wanted}"
        );
    }
    for (wanted, got) in [(4000, 4000), (4299, 4299), (3999, 4009), (4300, 4009), (403, 4009)] {
        let client = connecting(&stand, &format!("protocol=7&order=refuse:{wanted}"));
        assert_eq!(code(stand.ask(&Claim::Connect(client))), got, "{wanted}");
    }
}

fn connecting(stand: &Stand, query: &str) -> Arc<Client> {
    Arc::new(Client {
        app: Arc::clone(&stand.client.app),
        socket_id: "1.1".to_owned(),
        remote_address: "127.0.0.1".to_owned(),
        origin: None,
        path: "/app/app-key".to_owned(),
        query: query.to_owned(),
        headers: Vec::new(),
    })
}

// wit/deps/auth/auth.wit: "After so many milliseconds the permission ends: the connection is closed (4009) or the channel
// unsubscribed. None: it lasts as long as the connection."
#[test]
fn a_grant_comes_as_it_was_given() {
    let stand = chain(&["pass", ""]);
    let ends = Permission {
        expires_in_ms: Some(7),
        member: None,
    };
    assert_eq!(stand.order("allow-ms:7"), Ok(Verdict::Allow(ends)));
    let named = Permission {
        expires_in_ms: None,
        member: Some(Box::new(NamedMember {
            user_id: "7".to_owned(),
            user_info: Some("{}".to_owned()),
        })),
    };
    assert_eq!(stand.order("allow-as:7 {}"), Ok(Verdict::Allow(named)));
}

// wit/deps/auth/auth.wit: "What the client sent as `user_data`, byte for byte: signatures cover it as it is."
// wit/deps/auth/auth.wit: "What the client sent as `channel_data`, byte for byte: signatures cover it as it is."
#[test]
fn signatures_cover_the_bytes_that_came() {
    let given = super::given::at("auth")
        .into_iter()
        .find(|given| given.name == "auth-pusher");
    let stand = given.expect("it is a default plugin").stand();
    let allowed = Ok(Verdict::Allow(Permission::default()));
    for text in [
        r#"{"id":"7","user_id":"7"}"#,
        "{ \"id\": \"7\",\n\"user_id\" :\t\"\\u0037\" }",
        r#"{"user_id":"ü😀","id":"x"}"#,
    ] {
        let auth = DEVELOPMENT.auth(&stand.client.socket_id, &format!("presence-room:{text}"));
        assert_eq!(
            stand.ask(&stand.subscription("presence-room", &auth, Some(text))),
            allowed,
            "{text}"
        );
        let auth = DEVELOPMENT.auth(&stand.client.socket_id, &format!(":user::{text}"));
        let signin = |user_data: String| {
            let (client, auth) = (Arc::clone(&stand.client), auth.clone());
            stand.ask(&Claim::Signin(SigninRequest {
                client,
                auth,
                user_data,
            }))
        };
        assert_eq!(signin(text.to_owned()), allowed, "{text}");
        assert_eq!(code(signin(format!("{text} "))), 401, "one blank more is another text");
    }
}

// wit/deps/host/host.wit: "The handshake of the connection that the question is about. None for `api-request`, which is about no
// connection."
#[test]
fn the_handshake_is_that_of_the_connection_in_question() {
    let stand = chain(&[""]);
    let said = stand.says("handshake");
    for part in [
        "https://example.org",
        "/app/app-key",
        "protocol=7&client=js",
        "session=1",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let Ok(Verdict::Refuse(Refusal { message, .. })) = stand.ask(&stand.api_request("handshake", b"")) else {
        panic!("it says something");
    };
    assert_eq!(message, "None", "not that of the question before");
    let other = connecting(&stand, "order=handshake");
    let Ok(Verdict::Refuse(Refusal { message, .. })) = stand.ask(&Claim::Connect(other)) else {
        panic!("it says something");
    };
    assert!(
        message.contains("origin: None") && !message.contains("session=1"),
        "{message}"
    );
}

/// What the probe says to an order that comes as the query of a request with this body.
fn says(stand: &Stand, order: &str, body: &[u8]) -> String {
    match stand.ask(&stand.api_request(order, body)) {
        Ok(Verdict::Refuse(Refusal { message, .. })) => message,
        other => panic!("{order}: {other:?} says nothing"),
    }
}

// wit/deps/host/host.wit: "All of the body." wit/deps/host/host.wit: "Where the question is about a connection there is none of it: texts and lists
// are empty."
// wit/deps/host/host.wit: "Whether `digest` is the MD5 of the body, as 32 lower-case hexadecimal digits"
#[test]
fn the_body_is_that_of_the_request_in_question() {
    let stand = chain(&[""]);
    assert_eq!(says(&stand, "body", b"abc"), "abc");
    assert_eq!(stand.says("body"), "", "not that of the question before");
    // RFC 1321, appendix A.5.
    let (abc, nothing) = ("900150983cd24fb0d6963f7d28e17f72", "d41d8cd98f00b204e9800998ecf8427e");
    for (digest, body, wanted) in [
        (abc, &b"abc"[..], "true"),
        (abc, b"abd", "false"),
        (&abc.to_uppercase(), b"abc", "false"),
        (&abc[..31], b"abc", "false"),
        ("", b"", "false"),
        (nothing, b"", "true"),
    ] {
        assert_eq!(says(&stand, &format!("body-md5-is:{digest}"), body), wanted, "{digest}");
    }
    assert_eq!(stand.says(&format!("body-md5-is:{nothing}")), "true");
}

// wit/deps/host/host.wit: "The caller's IP address, without a port." wit/deps/host/host.wit: "Where the question is about a connection
// there is none of it: texts and lists are empty."
#[test]
fn address_and_headers_are_those_of_the_request_in_question() {
    let stand = chain(&[""]);
    assert_eq!(says(&stand, "address", b""), "127.0.0.1");
    let headers = says(&stand, "headers", b"");
    assert!(headers.contains("cookie") && headers.contains("session=2"), "{headers}");
    assert_eq!(
        (stand.says("address"), stand.says("headers")),
        (String::new(), "[]".to_owned())
    );
}

// wit/deps/host/host.wit: "It stays with the host, because most requests are
// decided without a look at it."
#[test]
fn a_body_may_be_larger_than_the_memory_of_the_plugin_that_judges_it() {
    let given = super::given::at("auth")
        .into_iter()
        .find(|given| given.name == "auth-pusher");
    let stand = given.expect("it is a default plugin").stand();
    let body = vec![b'x'; 32 << 20];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let app = Credentials {
        key: DEVELOPMENT.key,
        secret: DEVELOPMENT.secret.as_bytes(),
    };
    let query = sign_api_request(app, "POST", "/apps/1001/events", &body, now.as_secs());
    let allowed = Ok(Verdict::Allow(Permission::default()));
    assert_eq!(stand.ask(&stand.api_request(&query, &body)), allowed);
    assert_eq!(code(stand.ask(&stand.api_request(&query, &body[1..]))), 401);
}

// wit/deps/auth/auth.wit: "Method, path and query, each on a line of its own and percent-encoded as HTTP has them"
// wit/deps/auth/auth.wit: "How many bytes of the path, ASCII characters all of them, are such prefixes; behind them it begins with
// `/apps/`." wit/deps/auth/auth.wit: "How many bytes the body has"
#[tokio::test]
async fn a_request_comes_as_it_was_sent() {
    let server = Setup::default()
        .guest("probe")
        .file("probe.toml", GRANTS)
        .under("/inside")
        .config("[http_api]\nexternal_path_prefix = \"/outside\"\n[auth]\nchain = [\"probe\", \"auth-pusher\"]")
        .start()
        .await;
    let mut http = Http::connect(server.port).await.expect("it listens");
    let answer = http.post("/inside/apps/1001/events?request", "{}").await;
    assert_eq!(
        answer.expect("it answers").error(),
        r#"("POST", "/outside/inside/apps/1001/events", "request"), /apps/1001/events, 2 bytes"#
    );
    let answer = http.get("/inside/apps/1001/channels?request").await;
    assert_eq!(
        answer.expect("it answers").error(),
        r#"("GET", "/outside/inside/apps/1001/channels", "request"), /apps/1001/channels, 0 bytes"#
    );
}

// wit/deps/host/host.wit: "Waits for `ms` milliseconds; more than 5,000 are cut to that."
#[test]
fn a_sleep_is_cut() {
    let stand = Layout::new()
        .at("auth", "stall", guest("stall"))
        .file("stall.toml", "[limits]\ndeadline_ms = 30000")
        .ready();
    let begun = Instant::now();
    let answer = stand.ask(&stand.subscription("endless-room", "", None));
    assert_eq!(code(answer), 401, "it passes, and the chain ends");
    assert!(begun.elapsed() >= Duration::from_secs(5), "it waited as long as it may");
}

// wit/plugin.wit: "plugins that wait (they import `jackfield:host/wait` or `jackfield:host/http`) within 5 seconds."
#[test]
fn a_plugin_that_waits_too_long_refuses() {
    let stand = Layout::new()
        .at("auth", "stall", guest("stall"))
        .file("stall.toml", "[limits]\ndeadline_ms = 50")
        .ready();
    let answer = stand.ask(&stand.subscription("slow-room", "", None));
    assert!(
        matches!(&answer, Err(DoorError::Failed { plugin, .. }) if plugin == "stall"),
        "{answer:?}"
    );
    assert_eq!(stand.report("stall").traps, 1);
}

/// A server whose auth chain is a probe alone.
async fn probed() -> crate::harness::server::Server {
    Setup::default()
        .guest("probe")
        .file("probe.toml", GRANTS)
        .config("[auth]\nchain = [\"probe\", \"auth-pusher\"]")
        .start()
        .await
}

fn subscription(channel: &str, order: &str) -> serde_json::Value {
    json!({ "event": "pusher:subscribe", "data": { "channel": channel, "auth": order } })
}

// wit/deps/auth/auth.wit: "Who the client is in the presence channel that it subscribes to, in place of what `channel_data` or its
// signin says." wit/deps/auth/auth.wit: "A member that does not keep to the limits is refused."
#[tokio::test]
async fn a_named_member_is_checked_like_any_other() {
    let server = probed().await;
    let mut client = Socket::connect(server.port).await;
    let (long, info) = ("x".repeat(129), format!("{{\"a\":\"{}\"}}", "x".repeat(4_000)));
    for (number, order) in [" {}", &format!("{long} {{}}"), "7 {", &format!("7 {info}")]
        .into_iter()
        .enumerate()
    {
        let channel = format!("presence-{number}");
        client.send(subscription(&channel, &format!("allow-as:{order}"))).await;
        let refused = client.expect("pusher:subscription_error").await;
        assert_eq!(refused["channel"], channel, "{order}");
    }
    client
        .send(subscription("presence-room", "allow-as:7 {\"name\":\"Ada\"}"))
        .await;
    let answer = client.expect("pusher_internal:subscription_succeeded").await;
    assert_eq!(data(&answer)["presence"]["hash"], json!({ "7": { "name": "Ada" } }));
}

// wit/deps/auth/auth.wit: "Only `subscribe` can give it; elsewhere it has no effect."
#[tokio::test]
async fn a_member_is_named_by_a_subscription_alone() {
    let server = probed().await;
    let mut client = Socket::open(server.port, "/app/app-key?protocol=7&order=allow-as:intruder").await;
    let greeting = client.expect("pusher:connection_established").await;
    client.socket_id = data(&greeting)["socket_id"].as_str().expect("a socket id").to_owned();
    let members = client.join("presence-room", "7").await;
    assert_eq!(members["ids"], json!(["7"]));
}
