//! Presence channels: who the member is, and what is wrong with those who are none.

use super::{check, check_with, settings};

const PLEASE: &str = "`channel_data` must be a string that holds a JSON object with a `user_id`, which is a string or \
                      a number, and where needed a `user_info`";

// Pusher protocol, "Presence channels": `channel_data` travels as sent; `user_id` may be a JSON number.
#[test]
fn a_member_is_read_from_its_channel_data() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"k:s","channel_data":"{ \"user_id\": 10 }"}} | subscribe presence-a auth "k:s" data { "user_id": 10 } as 10
        {"event":"pusher:subscribe","data":{"channel":"presence-b","auth":"k:s","channel_data":"{\"user_id\":\"Zo\\u00eb\",\"user_info\":{\"a\": 1},\"x\":[]}"}} | subscribe presence-b auth "k:s" data {"user_id":"Zo\u00eb","user_info":{"a": 1},"x":[]} as Zoë {"a": 1}
        [member presence-a] |
        [grant presence-a]  | granted
        [member presence-a] | 10
        [member presence-b] |
        {"event":"pusher:unsubscribe","data":{"channel":"presence-a"}} | unsubscribe presence-a
        [member presence-a] |
        {"event":"pusher:subscribe","data":{"channel":"private-a","channel_data":"{\"user_id\":1}"}} | subscribe private-a auth "" data {"user_id":1}
        [grant private-a]   | granted
        [member private-a]  |
    "#,
    );
}

// Pusher protocol, "Presence channels": `user_id` of 128 characters, `user_info` of 1 kB (8 bytes here).
#[test]
fn members_keep_to_their_limits() {
    let long = "é".repeat(129);
    let nested = format!("{}{}", "[".repeat(65), "]".repeat(65));
    for (data, error) in [
        ("", PLEASE),
        ("7", PLEASE),
        ("null", PLEASE),
        ("{", PLEASE),
        ("[1]", PLEASE),
        ("{}", PLEASE),
        (r#"{"user_id":null}"#, PLEASE),
        (r#"{"user_id":true}"#, PLEASE),
        (r#"{"user_id":{"a":1}}"#, PLEASE),
        (r#"{"user_id":[1]}"#, PLEASE),
        (r#"{"user_id":1,"user_id":2}"#, PLEASE),
        (r#"{"user_id":"\ud800"}"#, PLEASE),
        (
            r#"{"user_id":""}"#,
            "`channel_data`: user id is empty; 1 to 128 characters are accepted",
        ),
        (
            &format!(r#"{{"user_id":"{long}"}}"#),
            "`channel_data`: user id is too long; at most 128 characters are accepted",
        ),
        (
            &format!(r#"{{"user_id":1{}}}"#, "0".repeat(128)),
            "`channel_data`: user id is too long; at most 128 characters are accepted",
        ),
        (
            r#"{"user_id":1,"user_info":"1234567"}"#,
            "`channel_data`: `user_info` is 9 bytes of JSON; at most 8 are accepted",
        ),
        (
            &format!(r#"{{"user_id":1,"user_info":{nested}}}"#),
            "`channel_data`: `user_info` is 130 bytes of JSON; at most 8 are accepted",
        ),
    ] {
        let ask = subscribe(data);
        check(&format!(
            "{ask} | pusher:subscription_error presence-a 400 SubscriptionError {error}\n[channels] |"
        ));
    }
    let mut roomy = settings();
    roomy.limits.max_presence_member_bytes = 1024;
    let ask = subscribe(&format!(r#"{{"user_id":1,"user_info":{nested}}}"#));
    check_with(
        roomy,
        &format!(
            "{ask} | pusher:subscription_error presence-a 400 SubscriptionError `channel_data`: `user_info` is nested too deeply; 64 levels are accepted"
        ),
    );
    let fine = r#"{"user_id":-1.5e3,"user_info":null}"#;
    check(&format!(
        "{} | subscribe presence-a auth \"\" data {fine} as -1.5e3",
        subscribe(fine)
    ));
}

// Pusher documents, "Presence channels": the signed-in user, unless `channel_data` says otherwise.
#[test]
fn a_signed_in_user_is_a_member_without_channel_data() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"k:s"}} | subscribe presence-a auth "k:s"
        [appoint presence-a] | pusher:subscription_error presence-a 401 AuthError a presence channel needs `channel_data` with a `user_id`, or a client that is signed in
        {"event":"pusher:signin","data":{"auth":"k:s","user_data":"{\"id\":\"7\",\"user_info\":{\"a\":1}}"}} | signin 7 {"a":1} auth "k:s" data {"id":"7","user_info":{"a":1}}
        {"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"k:s"}} | subscribe presence-a auth "k:s"
        [appoint presence-a] | pusher:subscription_error presence-a 401 AuthError a presence channel needs `channel_data` with a `user_id`, or a client that is signed in
        [signed in] | pusher:signin_success {"user_data":"{\"id\":\"7\",\"user_info\":{\"a\":1}}"}
        {"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"k:s"}} | subscribe presence-a auth "k:s" as 7 {"a":1}
        {"event":"pusher:subscribe","data":{"channel":"presence-b","channel_data":"{\"user_id\":8}"}} | subscribe presence-b auth "" data {"user_id":8} as 8
        [grant presence-a]  | granted
        [grant presence-b]  | granted
        [member presence-a] | 7
        [member presence-b] | 8
    "#,
    );
    check(
        r#"
        {"event":"pusher:signin","data":{"auth":"k:s","user_data":"{\"id\":\"7\",\"user_info\":\"1234567\"}"}} | signin 7 "1234567" auth "k:s" data {"id":"7","user_info":"1234567"}
        [signed in] | pusher:signin_success {"user_data":"{\"id\":\"7\",\"user_info\":\"1234567\"}"}
        {"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"k:s"}} | pusher:subscription_error presence-a 400 SubscriptionError the signed-in user: `user_info` is 9 bytes of JSON; at most 8 are accepted
    "#,
    );
}

// Pusher protocol, "Client events": `user_id` is from the authorised channel data, never from the payload.
#[test]
fn client_events_say_who_sent_them() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"presence-a","channel_data":"{\"user_id\":10}"}} | subscribe presence-a auth "" data {"user_id":10} as 10
        {"event":"client-x","channel":"presence-a","data":1} | pusher:error null client event client-x was not sent: this connection is not subscribed to presence-a
        [grant presence-a] | granted
        {"event":"client-x","channel":"presence-a","data":1,"user_id":"11"} | event client-x on presence-a by 10: 1
        {"event":"pusher:subscribe","data":{"channel":"private-encrypted-a","auth":"s"}} | subscribe private-encrypted-a auth "s"
        [grant private-encrypted-a] | granted
        {"event":"client-x","channel":"private-encrypted-a","data":1} | event client-x on private-encrypted-a: 1
    "#,
    );
}

fn subscribe(channel_data: &str) -> String {
    let data = serde_json::to_string(channel_data).expect("text");
    format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"presence-a","channel_data":{data}}}}}"#)
}

// ARCHITECTURE.md, contract of the auth door: a grant may name the member, in place of what the client itself showed.
#[test]
fn whoever_grants_may_say_who_it_is() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"presence-a"}} | subscribe presence-a auth ""
        [appoint presence-a as 9 {"b":1}] | as 9 {"b":1}
        [grant presence-a]  | granted
        [member presence-a] | 9
        {"event":"pusher:subscribe","data":{"channel":"presence-b","channel_data":"{\"user_id\":8}"}} | subscribe presence-b auth "" data {"user_id":8} as 8
        [appoint presence-b as 9 null] | as 9
        [grant presence-b]  | granted
        [member presence-b] | 9
        {"event":"pusher:subscribe","data":{"channel":"presence-c"}} | subscribe presence-c auth ""
        [appoint presence-c as 9 {"b":12345}] | pusher:subscription_error presence-c 403 AuthError the named member: `user_info` is 11 bytes of JSON; at most 8 are accepted
    "#,
    );
}
