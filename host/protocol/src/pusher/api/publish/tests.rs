//! Bodies as a table: what will be published, or how it is refused.

use super::{Info, PublishLimits, PublishRequest};

const LIMITS: PublishLimits = PublishLimits {
    max_event_bytes: 10,
    max_channel_name_bytes: 30,
    max_event_name_bytes: 20,
    ..PublishLimits::PUSHER
};

fn words(info: Info) -> String {
    let words = [(info.user_count, " users"), (info.subscription_count, " subscriptions")];
    words
        .into_iter()
        .filter_map(|(asked, word)| asked.then_some(word))
        .collect()
}

/// Parses `body` with a limit of 10 bytes and writes down what became of it.
fn check(body: &str, expected: &str) {
    let outcome = match PublishRequest::parse(body.as_bytes(), &LIMITS) {
        Ok(request) => {
            let channels: Vec<&str> = request.channels.iter().map(|channel| channel.as_str()).collect();
            let except = request.socket_id.map(|id| format!(" except {id}")).unwrap_or_default();
            format!(
                "{} {:?} to {}{except}{}",
                request.name,
                request.data,
                channels.join(" "),
                words(request.info)
            )
        }
        Err(error) => format!("{} {error}", error.status()),
    };
    assert!(outcome.starts_with(expected), "{body}\n  {outcome}\n  {expected}");
}

#[test]
fn requests_are_read_as_the_libraries_send_them() {
    check(
        r#"{"name":"e","data":"{\"a\":1}","channels":["a","b"]}"#,
        r#"e "{\"a\":1}" to a b"#,
    );
    check(
        r#" {"name":"e","data":"","channel":"a","socket_id":"1.2"}"#,
        r#"e "" to a except 1.2"#,
    );
    check(
        r#"{"name":"e","data":"d","channel":"a","socket_id":null,"channels":null,"info":null}"#,
        r#"e "d" to a"#,
    );
    check(
        r#"{"name":"\u0065 f","data":"d","channels":["a","b","a"]}"#,
        r#"e f "d" to a b"#,
    );
    check(
        r#"{"name":"e","data":"0123456789","channel":"presence-cache-x"}"#,
        r#"e "0123456789" to presence-"#,
    );
    check(
        r#"{"name":"e","data":"d","channels":["private-encrypted-x"]}"#,
        r#"e "d" to private-encrypted-x"#,
    );
}

// Pusher HTTP API: 413 for the data, 400 for all other faults, and the message names the key.
#[test]
fn faults_are_refused_by_the_name_of_their_key() {
    check("", "400 a JSON object is needed");
    check("[]", "400 a JSON object is needed");
    check(r#"["e","d",["a"]]"#, "400 a JSON object is needed");
    check("{", "400 not a valid JSON object: EOF");
    check(
        r#"{"name":"e","name":"f","data":"d","channel":"a"}"#,
        "400 not a valid JSON object: dup",
    );
    check(r#"{"data":"d","channel":"a"}"#, "400 `name` is missing");
    check(r#"{"name":1,"data":"d","channel":"a"}"#, "400 `name` must be a string");
    check(
        r#"{"name":"","data":"d","channel":"a"}"#,
        "400 `name`: event name is empty",
    );
    check(r#"{"name":"e","channel":"a"}"#, "400 `data` is missing");
    check(r#"{"name":"e","data":null,"channel":"a"}"#, "400 `data` is missing");
    check(
        r#"{"name":"e","data":{"a":1},"channel":"a"}"#,
        "400 `data` must be a string; encode objects",
    );
    check(
        r#"{"name":"e","data":"0123456789a","channel":"a"}"#,
        "413 `data` is 11 bytes long; at most 10",
    );
    check(r#"{"name":"e","data":"d"}"#, "400 `channels` is missing");
    check(
        r#"{"name":"e","data":"d","channels":[]}"#,
        "400 `channels` holds 0 channels; 1 to 100",
    );
    check(
        r#"{"name":"e","data":"d","channels":"a"}"#,
        "400 `channels` must be a list of strings",
    );
    check(
        r#"{"name":"e","data":"d","channels":[1]}"#,
        "400 `channels` must be a list of strings",
    );
    check(
        r#"{"name":"e","data":"d","channel":["a"]}"#,
        "400 `channel` must be a string",
    );
    check(
        r#"{"name":"e","data":"d","channel":"a","channels":["a"]}"#,
        "400 both `channel` and `channels`",
    );
    check(
        r#"{"name":"e","data":"d","channels":["a b"]}"#,
        "400 `channels`: channel name holds ' '",
    );
    check(
        r#"{"name":"e","data":"d","channels":["a","private-encrypted-b"]}"#,
        "400 `channels` names an encrypted",
    );
    check(
        r#"{"name":"e","data":"d","channel":"a","socket_id":"1"}"#,
        "400 `socket_id`: socket id must be",
    );
    check(
        r#"{"name":"e","data":"d","channel":"a","socket_id":1.2}"#,
        "400 `socket_id` must be a string",
    );
}

#[test]
fn at_most_a_hundred_channels_are_named() {
    let body = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("\"c{n}\"")).collect();
        format!(r#"{{"name":"e","data":"d","channels":[{}]}}"#, names.join(","))
    };
    check(&body(100), r#"e "d" to c0 c1 "#);
    check(&body(101), "400 `channels` holds 101 channels; 1 to 100 are accepted");
}

// The JSON reader must not follow nesting down the stack, nor stumble over what is not text.
#[test]
fn hostile_bodies_are_refused_quietly() {
    let deep = "[".repeat(100_000);
    check(
        &format!(r#"{{"name":"e","channel":"a","data":{deep}"#),
        "400 not a valid JSON object",
    );
    check(
        &format!(r#"{{"name":"e","channel":"a","x":{deep}"#),
        "400 not a valid JSON object",
    );
    check(
        r#"{"name":"e","channel":"a","data":"\ud800"}"#,
        "400 `data` must be a string",
    );
    let error = PublishRequest::parse(b"{\"name\":\"\xff\",\"data\":\"d\",\"channel\":\"a\"}", &LIMITS);
    assert_eq!(error.map_err(|error| error.status()), Err(400));
}

// Pusher HTTP API: names up to a limit, and 400 above it.
#[test]
fn names_have_limits_of_their_own() {
    let body = |name: &str, channel: &str| format!(r#"{{"name":"{name}","data":"d","channel":"{channel}"}}"#);
    let (twenty, thirty) = ("e".repeat(20), "c".repeat(30));
    check(&body(&twenty, &thirty), "eeee");
    check(
        &body(&format!("{twenty}e"), "a"),
        "400 `name`: event name is 21 bytes long; at most 20 are accepted",
    );
    check(
        &body("e", &format!("{thirty}c")),
        "400 `channel`: channel name is 31 characters long; at most 30 are accepted",
    );
}

// Pusher documents, "Sending events to authenticated users": an ordinary event on `#server-to-user-ID`.
#[test]
fn users_are_spoken_to_on_their_own_channel() {
    check(
        r##"{"name":"e","data":"d","channels":["#server-to-user-1"]}"##,
        r##"e "d" to #server-to-user-1"##,
    );
    check(
        r##"{"name":"e","data":"d","channels":["#server-to-user-a b"]}"##,
        "400 `channels`: user id holds ' '",
    );
    check(
        r##"{"name":"e","data":"d","channels":["#news"]}"##,
        "400 `channels`: channel names that begin with # are reserved",
    );
}

// Pusher HTTP API: `info`, and 400 where a channel does not have what is asked for.
#[test]
fn info_is_asked_for_channels_that_have_it() {
    let body =
        |channels: &str, info: &str| format!(r#"{{"name":"e","data":"d","channels":[{channels}],"info":{info}}}"#);
    for (channels, info, expected) in [
        (r#""a""#, r#""""#, r#"e "d" to a"#),
        (r#""a","b""#, r#""subscription_count""#, r#"e "d" to a b subscriptions"#),
        (
            r#""presence-a""#,
            r#""user_count, subscription_count""#,
            r#"e "d" to presence-a users subscriptions"#,
        ),
        (
            r#""presence-a","a""#,
            r#""user_count""#,
            "400 `user_count` is known of presence channels only",
        ),
        (
            r#""a""#,
            r#""cache""#,
            "400 `info` asks for \"cache\"; user_count and subscription_count are accepted",
        ),
        (r#""a""#, r#"["user_count"]"#, "400 `info` must be a string"),
        (r#""a""#, "7", "400 `info` must be a string"),
    ] {
        check(&body(channels, info), expected);
    }
}
