//! The questions that the application gets, and what its answers come to. The host is the double of the SDK.

use jackfield_sdk::host::{HttpError, HttpResponse};
use jackfield_sdk::{Auth, Grant, Header, Member, SubscribeRequest, Verdict, double};
use serde_json::{Value, json};

use super::AuthHttp;

fn plugin() -> AuthHttp {
    AuthHttp::new(r#"{"url":"https://app.example.org/realtime"}"#).expect("good settings")
}

fn subscribe(channel: &str) -> Verdict {
    let request = SubscribeRequest {
        auth: "a session token".to_owned(),
        ..double::subscription(channel)
    };
    plugin().subscribe(&double::client(), &request)
}

/// Subscribes while the application answers so.
fn answered(status: u16, body: &Value) -> Verdict {
    double::answer_http(Ok(HttpResponse {
        status,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    }));
    subscribe("presence-room")
}

fn refusal(verdict: Verdict) -> (u16, String) {
    match verdict {
        Verdict::Refuse(refusal) => (refusal.code, refusal.message),
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn the_application_is_asked_with_all_that_is_known() {
    let cookie = Header {
        name: "cookie".to_owned(),
        value: "session=1".to_owned(),
    };
    double::set_handshake(jackfield_sdk::host::Handshake {
        headers: vec![cookie],
        ..double::handshake()
    });
    assert_eq!(answered(200, &json!({})), Verdict::allow());
    let [request] = &double::requests()[..] else {
        panic!("one request")
    };
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://app.example.org/realtime")
    );
    let question: Value = serde_json::from_slice(&request.body).expect("JSON");
    let expected = json!({
        "app_id": "1001", "socket_id": "1234.5678", "remote_address": "127.0.0.1", "channel": "presence-room",
        "auth": "a session token", "channel_data": null, "cookie": "session=1",
    });
    assert_eq!(question, expected);
    let sent: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|h| (h.name.as_str(), h.value.as_str()))
        .collect();
    assert_eq!(sent, [("content-type", "application/json")]);
}

#[test]
fn the_application_may_say_who_it_is_and_for_how_long() {
    let verdict = answered(
        200,
        &json!({ "user_id": "7", "user_info": {"name": "Ada"}, "expires_in_ms": 60_000 }),
    );
    let member = Member {
        user_id: "7".to_owned(),
        user_info: Some(r#"{"name":"Ada"}"#.to_owned()),
    };
    let expected = Grant {
        expires_in_ms: Some(60_000),
        member: Some(member),
    };
    assert_eq!(verdict, Verdict::Allow(expected));
}

#[test]
fn the_application_may_refuse_or_leave_it() {
    assert_eq!(
        refusal(answered(403, &json!({ "message": "not today" }))),
        (403, "not today".to_owned())
    );
    assert_eq!(refusal(answered(401, &Value::Null)).0, 401);
    assert_eq!(answered(204, &Value::Null), Verdict::Pass);
}

#[test]
fn who_cannot_be_asked_has_not_agreed() {
    double::answer_http(Err(HttpError::TimedOut));
    assert_eq!(refusal(subscribe("private-room")).0, 424);
    for (status, body) in [
        (500, json!({})),
        (302, json!({})),
        (200, json!([])),
        (200, json!({ "user_id": 7 })),
    ] {
        assert_eq!(refusal(answered(status, &body)).0, 424, "{status} {body}");
    }
    assert!(!double::lines().is_empty(), "the operator is told");
}

#[test]
fn public_channels_are_somebody_elses_business() {
    assert_eq!(subscribe("room"), Verdict::Pass);
    assert!(double::requests().is_empty());
}

#[test]
fn a_wrong_setting_is_named() {
    for (config, wanted) in [
        ("{}", "url"),
        (r#"{"url":"ftp://x"}"#, "ftp://x"),
        (r#"{"url":"http://x","tokn":""}"#, "tokn"),
    ] {
        let error = AuthHttp::new(config).expect_err(config);
        assert!(error.contains(wanted), "{error}");
    }
}
