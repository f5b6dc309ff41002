//! Signins, watchlists, users' own channels, and connections that have to show who they are.

use std::time::{Duration, Instant};

use super::{Intent, Session, check, check_with, settings};

const PLEASE: &str = "`user_data` must be a string that holds a JSON object with a string `id`, and where needed a \
                      `user_info` and a `watchlist`";
const WATCHLIST: &str = "`watchlist` in `user_data` must be a list of user ids, which are strings";

fn signin(user_data: &str) -> String {
    let data = serde_json::to_string(user_data).expect("text");
    format!(r#"{{"event":"pusher:signin","data":{{"auth":"k:s","user_data":{data}}}}}"#)
}

// Pusher protocol, "User authentication": the answer carries `user_data` as it was signed.
#[test]
fn a_client_signs_in() {
    check(
        r#"
        [user] |
        {"event":"pusher:signin","data":{"auth":"k:s","user_data":"{ \"id\": \"7\" }"}} | signin 7 auth "k:s" data { "id": "7" }
        [user] |
        [signed in] | pusher:signin_success {"user_data":"{ \"id\": \"7\" }"}
        [user] | 7
    "#,
    );
    check(
        r#"
        {"event":"pusher:signin","data":"{\"auth\":\"k:s\",\"user_data\":\"{\\\"id\\\":\\\"a b\\\"}\"}"} | signin a b auth "k:s" data {"id":"a b"}
        [refuse-signin] | pusher:error 4009 bad signature
        [user] |
    "#,
    );
}

// Pusher protocol, "User authentication": a second signin as another user fails; the same user may sign in again.
#[test]
fn a_connection_has_one_user() {
    let other = "pusher:error 4009 this connection is signed in as another user; open a new one to change users";
    let (seven, eight) = (signin(r#"{"id":"7"}"#), signin(r#"{"id":"8"}"#));
    let again = signin(r#"{"id":"7","user_info":1}"#);
    check(&format!(
        r#"
        {seven} | signin 7 auth "k:s" data {{"id":"7"}}
        [signed in] | pusher:signin_success {{"user_data":"{{\"id\":\"7\"}}"}}
        {eight} | {other}
        [user]  | 7
        {again} | signin 7 1 auth "k:s" data {{"id":"7","user_info":1}}
        [signed in] | pusher:signin_success {{"user_data":"{{\"id\":\"7\",\"user_info\":1}}"}}
        [user]  | 7
    "#
    ));
    // Two that are judged at the same time: the first verdict counts.
    let now = Instant::now();
    let mut session = Session::new(settings(), now);
    let mut ask = |text: &str| match session.receive(text, now) {
        Intent::Signin(signin) => signin,
        other => panic!("{other:?}"),
    };
    let (seven, eight) = (ask(&seven), ask(&eight));
    session.signed_in(seven).expect("nobody was signed in");
    let refusal = session.signed_in(eight).expect_err("seven is");
    assert!(refusal.contains("4009"), "{refusal}");
    assert_eq!(session.user().map(|user| user.id.as_str()), Some("7"));
}

// Pusher protocol, "User authentication": `user_data` needs a non-empty string `id`; failures are 4009.
#[test]
fn what_is_no_user_is_refused() {
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(129));
    let nested = format!(r#"{{"id":"7","user_info":{}{}}}"#, "[".repeat(65), "]".repeat(65));
    for (data, error) in [
        ("", PLEASE),
        ("[]", PLEASE),
        (r#"["7"]"#, PLEASE),
        ("{}", PLEASE),
        ("7", PLEASE),
        (r#"{"id":7}"#, PLEASE),
        (r#"{"id":null}"#, PLEASE),
        (r#"{"id":["7"]}"#, PLEASE),
        (r#"{"id":"7","id":"8"}"#, PLEASE),
        (
            r#"{"id":""}"#,
            "`user_data`: user id is empty; 1 to 128 characters are accepted",
        ),
        (
            &long,
            "`user_data`: user id is too long; at most 128 characters are accepted",
        ),
        (
            r#"{"id":"7","user_info":"123456789"}"#,
            "`user_data`: `user_info` is 11 bytes of JSON; at most 10 are accepted",
        ),
        (
            &nested,
            "`user_data`: `user_info` is 130 bytes of JSON; at most 10 are accepted",
        ),
        (r#"{"id":"7","watchlist":"8"}"#, WATCHLIST),
        (r#"{"id":"7","watchlist":{}}"#, WATCHLIST),
        (r#"{"id":"7","watchlist":[8]}"#, WATCHLIST),
        (
            r#"{"id":"7","watchlist":["8",""]}"#,
            "`watchlist` in `user_data`: user id is empty; 1 to 128 characters are accepted",
        ),
    ] {
        check(&format!("{} | pusher:error 4009 {error}\n[user] |", signin(data)));
    }
    const SIGNIN: &str = "`data` of pusher:signin must be an object with the strings `auth` and `user_data`";
    for data in [
        "{}",
        "7",
        "[]",
        r#"{"auth":"a"}"#,
        r#"{"auth":"a","user_data":{"id":"7"}}"#,
    ] {
        check(&format!(
            r#"{{"event":"pusher:signin","data":{data}}} | pusher:error 4009 {SIGNIN}"#
        ));
    }
    let mut off = settings();
    off.features.user_authentication = false;
    check_with(
        off,
        &format!(
            "{} | pusher:error 4009 user authentication is not enabled for this app",
            signin(r#"{"id":"7"}"#)
        ),
    );
}

// Pusher documents, "Watchlist events": the first hundred count, success is still sent, and 4302.
#[test]
fn a_watchlist_is_cut_after_a_hundred() {
    let data = |count: usize| {
        let ids: Vec<String> = (0..count).map(|id| format!("\"{id}\"")).collect();
        format!(r#"{{"id":"7","watchlist":[{}]}}"#, ids.join(","))
    };
    let now = Instant::now();
    for (count, kept, texts) in [(0, 0, 1), (1, 1, 1), (100, 100, 1), (101, 100, 2), (3000, 100, 2)] {
        let mut session = Session::new(settings(), now);
        let Intent::Signin(ask) = session.receive(&signin(&data(count)), now) else {
            panic!("{count} are not accepted");
        };
        assert_eq!(
            (ask.user.watchlist.len(), ask.user.watchlist_cut),
            (kept, count > 100),
            "{count}"
        );
        let said = session.signed_in(ask).expect("nobody was signed in");
        assert_eq!(said.len(), texts, "{said:?}");
        assert!(said[0].contains("pusher:signin_success"), "{said:?}");
        assert!(said.iter().skip(1).all(|text| text.contains("4302")), "{said:?}");
    }
    check(&format!(
        r#"{} | signin 7 watching a b auth "k:s" data {{"id":"7","watchlist":["a","b"]}}"#,
        signin(r#"{"id":"7","watchlist":["a","b"]}"#)
    ));
    // Switched off, it is not even read.
    let mut off = settings();
    off.features.watchlist = false;
    check_with(
        off,
        &format!(
            r#"{} | signin 7 auth "k:s" data {{"id":"7","watchlist":7}}"#,
            signin(r#"{"id":"7","watchlist":7}"#)
        ),
    );
}

// Pusher protocol, "User authentication": only a connection that is signed in as ID may hear `#server-to-user-ID`.
#[test]
fn a_users_channel_is_for_that_user() {
    const REFUSED: &str = "401 AuthError this connection is not signed in as that user";
    let seven = signin(r#"{"id":"7"}"#);
    check(&format!(
        r##"
        {{"event":"pusher:subscribe","data":{{"channel":"#server-to-user-7"}}}} | pusher:subscription_error #server-to-user-7 {REFUSED}
        {seven} | signin 7 auth "k:s" data {{"id":"7"}}
        {{"event":"pusher:subscribe","data":{{"channel":"#server-to-user-7"}}}} | pusher:subscription_error #server-to-user-7 {REFUSED}
        [signed in] | pusher:signin_success {{"user_data":"{{\"id\":\"7\"}}"}}
        {{"event":"pusher:subscribe","data":{{"channel":"#server-to-user-8"}}}}  | pusher:subscription_error #server-to-user-8 {REFUSED}
        {{"event":"pusher:subscribe","data":{{"channel":"#server-to-user-77"}}}} | pusher:subscription_error #server-to-user-77 {REFUSED}
        {{"event":"pusher:subscribe","data":{{"channel":"#server-to-user-"}}}}   | pusher:error null user id is empty; 1 to 128 characters are accepted
        {{"event":"pusher:subscribe","data":{{"channel":"#news"}}}} | pusher:error null channel names that begin with # are reserved; #server-to-user-ID is the only one
        {{"event":"pusher:subscribe","data":{{"channel":"#server-to-user-7"}}}} | subscribe #server-to-user-7 auth ""
        [grant #server-to-user-7] | granted
        {{"event":"client-x","channel":"#server-to-user-7","data":1}} | pusher:error null client event client-x was not sent: #server-to-user-7 is neither private nor presence; only such channels are accepted
        [channels] | #server-to-user-7
    "##
    ));
}

// Pusher documents, "Authorized connections": a signin or a private or presence channel in time, else 4009.
#[test]
fn a_connection_may_have_to_show_who_it_is() {
    let mut settings = settings();
    settings.user_authentication_timeout = Some(Duration::from_secs(10));
    let check = |script: &str| check_with(settings.clone(), script);
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"news"}} | subscribe news auth ""
        [grant news] | granted
        [wait 9] | idle
        {"event":"pusher:subscribe","data":{"channel":"private-a"}} | subscribe private-a auth ""
        [wait 1] | close 4009
        [wait 1] | close 4009
    "#,
    );
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"private-a"}} | subscribe private-a auth ""
        [grant private-a] | granted
        {"event":"pusher:unsubscribe","data":{"channel":"private-a"}} | unsubscribe private-a
        [wait 10] | idle
        [wait 110] | ping
    "#,
    );
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"private-a"}} | subscribe private-a auth ""
        [refuse private-a] | pusher:subscription_error private-a 401 AuthError bad signature
        [wait 10] | close 4009
    "#,
    );
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"presence-a","channel_data":"{\"user_id\":1}"}} | subscribe presence-a auth "" data {"user_id":1} as 1
        [grant presence-a] | granted
        [wait 10] | idle
    "#,
    );
    check(
        r#"
        {"event":"pusher:signin","data":{"auth":"k:s","user_data":"{\"id\":\"7\"}"}} | signin 7 auth "k:s" data {"id":"7"}
        [signed in] | pusher:signin_success {"user_data":"{\"id\":\"7\"}"}
        [wait 10] | idle
    "#,
    );
    check(
        r#"
        {"event":"pusher:signin","data":{"auth":"k:s","user_data":"{\"id\":\"7\"}"}} | signin 7 auth "k:s" data {"id":"7"}
        [refuse-signin] | pusher:error 4009 bad signature
        [wait 10] | close 4009
    "#,
    );
    // A timeout beyond what a clock can tell is none.
    settings.user_authentication_timeout = Some(Duration::MAX);
    check_with(settings, "[wait 100] | idle");
}
