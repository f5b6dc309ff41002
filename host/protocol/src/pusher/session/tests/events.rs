//! Client events: what passes, and the reason why something else does not.

use super::check;

// Pusher protocol, "Client events": `data` is relayed in whatever JSON type it came.
#[test]
fn client_events_pass_on_channels_that_need_authorisation() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"private-a","auth":"k:s"}} | subscribe private-a auth "k:s"
        {"event":"client-x","channel":"private-a","data":{}} | pusher:error null client event client-x was not sent: this connection is not subscribed to private-a
        [grant private-a] | granted
        {"event":"client-x","channel":"private-a","data":{"a": 1}}  | event client-x on private-a: {"a": 1}
        {"event":"client-x","channel":"private-a","data":"{\"a\"}"} | event client-x on private-a: "{\"a\"}"
        {"event":"client-x","channel":"private-a","data":null}      | event client-x on private-a: null
        {"event":"client-x","channel":"private-a"}                  | event client-x on private-a: null
        {"event":"client-","channel":"private-a","data":[1,2]}      | event client- on private-a: [1,2]
        [limit client-x] | pusher:error 4301 client event client-x is over the rate limit; try again in 100 ms
    "#,
    );
}

// Pusher protocol, "Error codes": 4301 for what comes too fast. Who waits for a channel is told by its name, or would wait for
// ever; who has it keeps it.
#[test]
fn a_message_that_is_too_much_is_refused_by_what_it_asks_for() {
    check(
        r#"
        [too-many {"event":"pusher:subscribe","data":{"channel":"news"}}] | pusher:subscription_error news 429 LimitReached too many messages
        [no-count {"event":"pusher:subscribe","data":{"channel":"news"}}] | pusher:subscription_error news 503 Unavailable the door is closed
        [channels] |
        {"event":"pusher:subscribe","data":{"channel":"news"}} | subscribe news auth ""
        [too-many {"event":"pusher:subscribe","data":{"channel":"news"}}] | pusher:error 4301 too many messages
        [grant news] | granted
        [too-many {"event":"pusher:subscribe","data":{"channel":"news"}}] | pusher:error 4301 too many messages
        [too-many {"event":"pusher:subscribe","data":{"channel":"ne ws"}}] | pusher:error 4301 too many messages
        [too-many {"event":"client-x","channel":"private-a","data":{}}] | pusher:error 4301 too many messages
        [too-many nonsense] | pusher:error 4301 too many messages
        [no-count {"event":"pusher:ping"}] | pusher:error null the door is closed
        [channels] | news
    "#,
    );
}

// Pusher protocol, "Client events": each condition, refused with what would help.
#[test]
fn client_events_are_refused_with_a_reason() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"news"}} | subscribe news auth ""
        [grant news] | granted
        {"event":"pusher:subscribe","data":{"channel":"private-a","auth":"k:s"}} | subscribe private-a auth "k:s"
        [grant private-a] | granted
        {"event":"client-x","data":1}                            | pusher:error null client event client-x was not sent: it names no `channel`
        {"event":"client-x","channel":"news","data":1}           | pusher:error null client event client-x was not sent: news is neither private nor presence; only such channels are accepted
        {"event":"client-x","channel":"private-b","data":1}      | pusher:error null client event client-x was not sent: this connection is not subscribed to private-b
        {"event":"client-x","channel":"private-a","data":"1234567890"} | pusher:error null client event client-x was not sent: its `data` is 12 bytes of JSON; at most 10 are accepted
        {"event":"client-x","channel":"private a","data":1}      | pusher:error null channel name holds ' '; letters, digits and _ - = @ , . ; are accepted
        {"event":"client-\u0000","channel":"private-a","data":1} | pusher:error null event name holds a control character; anything else is accepted
        [client-events-off] |
        {"event":"client-x","channel":"private-a","data":1} | pusher:error null client event client-x was not sent: client events are not enabled for this app
    "#,
    );
}
