//! What the auth door asks of a plugin.

use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use jackfield_hub::doors::{ApiRequest, Claim, Client, ClientEvent, DoorError, SigninRequest, Verdict};
use jackfield_protocol::names::{ChannelName, EventName};
use serde_json::value::RawValue;

use super::given::{self, Given};
use crate::harness::http::DEVELOPMENT;
use crate::harness::stand::Stand;

#[test]
fn the_plugins_of_the_house_keep_the_contract() {
    for given in given::at("auth") {
        keep(&given);
    }
}

/// The whole contract of the auth door, put to one plugin.
pub(super) fn keep(given: &Given) {
    given.keep();
    let stand = given.stand();
    every_question_is_answered(&stand, given);
    verdicts_are_what_they_may_be(&stand, given);
    instances_agree(&stand, given);
    assert_eq!(stand.report(&given.name).traps, 0, "{} trapped", given.name);
    assert!(stand.report(&given.name).calls > 0, "{} was not called", given.name);
}

// wit/deps/auth/auth.wit: "One interface per question, each optional: a plugin exports the questions it answers." wit/plugin.wit:
// "Every function is called on one instance at a time and must return within 2 ms of CPU time, or what the operator gives it"
fn every_question_is_answered(stand: &Stand, given: &Given) {
    for claim in claims(stand) {
        let answer = stand.ask(&claim);
        assert!(answer.is_ok(), "{}: {claim:?} gets {answer:?}", given.name);
    }
}

// wit/deps/auth/auth.wit: "For the client's developer. Shown as it is: say what was wrong and nothing secret."
// wit/deps/auth/auth.wit: "1 to 128 characters."
// wit/deps/auth/auth.wit: "What the others see of it, as JSON text, within the app's limit."
fn verdicts_are_what_they_may_be(stand: &Stand, given: &Given) {
    for claim in claims(stand) {
        match stand.ask(&claim) {
            Ok(Verdict::Refuse(refusal)) => {
                let message = &refusal.message;
                assert!(!message.is_empty(), "{}: a refusal without a reason", given.name);
                assert!(!message.contains(DEVELOPMENT.secret), "{}: {message}", given.name);
            }
            Ok(Verdict::Allow(permission)) => {
                let Some(member) = permission.member else { continue };
                assert!(
                    (1..=128).contains(&member.user_id.chars().count()),
                    "{}: {member:?}",
                    given.name
                );
                let info = member.user_info.as_deref().unwrap_or("null");
                let parsed = serde_json::from_str::<&RawValue>(info);
                assert!(parsed.is_ok(), "{}: {member:?}", given.name);
            }
            Err(error) => panic!("{}: {error}", given.name),
        }
    }
}

// wit/plugin.wit: "A plugin may have several instances, which share nothing."
fn instances_agree(stand: &Stand, given: &Given) {
    let claims = claims(stand);
    // A plugin that waits gives no promise to be quick: one round is enough to see whether instances differ.
    let first: Vec<_> = claims.iter().map(|claim| stand.ask(claim)).collect();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for (claim, first) in claims.iter().zip(&first) {
                    let own: Result<Verdict, DoorError> = stand.ask(claim);
                    assert_eq!(&own, first, "{}: {claim:?}", given.name);
                }
            });
        }
    });
}

/// What clients and callers may come with, from the ordinary to the absurd; all of it gets through the host's own checks.
fn claims(stand: &Stand) -> Vec<Claim> {
    let client = &stand.client;
    let mut claims = vec![
        Claim::Connect(Arc::clone(client)),
        Claim::Connect(Arc::new(bare(client))),
    ];
    let channels = [
        "room",
        "private-room",
        "presence-room",
        "private-encrypted-room",
        "cache-room",
    ];
    let right = DEVELOPMENT.auth(&client.socket_id, "private-room");
    let long = "x".repeat(LONG);
    let auths = ["", ":", "app-key:", "\u{0}\u{1f600}", right.as_str(), long.as_str()];
    for channel in channels {
        for auth in auths {
            for data in [
                None,
                Some(""),
                Some("{"),
                Some(r#"{"user_id":"7"}"#),
                Some(long.as_str()),
            ] {
                claims.push(stand.subscription(channel, auth, data));
            }
        }
    }
    for auth in auths {
        for user_data in [r#"{"id":"7"}"#, r#" { "id" : "ü", "user_info": {} } "#] {
            claims.push(Claim::Signin(SigninRequest {
                client: Arc::clone(client),
                auth: auth.to_owned(),
                user_data: user_data.to_owned(),
            }));
        }
    }
    for data in ["null", "{}", r#""\u0000""#, "[[[[[[1e999]]]]]]"] {
        claims.push(Claim::ClientEvent(ClientEvent {
            client: Arc::clone(client),
            channel: ChannelName::parse("private-room").expect("a good name"),
            event: EventName::parse("client-typing").expect("a good name"),
            data: RawValue::from_string(data.to_owned()).expect("JSON"),
        }));
    }
    for query in ["", "&&=&", "auth_key=app-key", "auth_key=%", "a=1&a=2", long.as_str()] {
        for body in [&b""[..], b"{}", b"\xff\x00\xfe", &[b'['; LONG]] {
            claims.push(stand.api_request(query, body));
        }
    }
    claims.push(Claim::ApiRequest(Arc::new(ApiRequest {
        app: Arc::clone(&client.app),
        remote_address: "::1".to_owned(),
        lines: "DELETE\n/prefix/apps/1001/%2e%2e/events\n".to_owned(),
        prefix_length: 7,
        headers: Vec::new(),
        body: Bytes::new(),
    })));
    claims
}

/// A client that says nothing about itself.
fn bare(client: &Client) -> Client {
    Client {
        app: Arc::clone(&client.app),
        socket_id: "1.1".to_owned(),
        remote_address: "2001:db8::1".to_owned(),
        origin: None,
        path: "/app/app-key".to_owned(),
        query: String::new(),
        headers: Vec::new(),
    }
}

/// Threads that ask at the same time.
const THREADS: usize = 4;
/// Bytes of a long text: near the most that a message of a client may have.
const LONG: usize = 60_000;
