//! Clients that stay without hearing or saying anything.

use std::time::{Duration, Instant};

use super::check;
use crate::names::SocketId;
use crate::pusher::session::{Session, Settings, Tick};

/// Whoever asks from `quiet_until` on misses nothing.
pub(super) fn tick(session: &mut Session, now: Instant) -> Tick {
    let quiet_until = session.quiet_until();
    let tick = session.tick(now);
    assert!(
        tick == Tick::Idle || quiet_until <= now,
        "{tick:?} before {quiet_until:?}"
    );
    tick
}

// Pusher protocol, "Error codes": 4202 after 24 hours of inactivity. Pings, pongs and WebSocket's own signs of life show
// that the client is there, not that it needs to be.
#[test]
fn a_client_that_only_pings_is_closed_after_a_day() {
    check(
        r#"
        [wait 119]   | idle
        {"event":"pusher:ping"} | pusher:pong {}
        [wait 86279] | ping
        {"event":"pusher:pong"} |
        [heard]      |
        [wait 1]     | idle
        [wait 1]     | close 4202
        [wait 1]     | close 4202
    "#,
    );
}

#[test]
fn a_client_that_says_something_has_another_day() {
    check(
        r#"
        [wait 86399] | ping
        {"event":"client-x","channel":"private-a","data":1} | pusher:error null client event client-x was not sent: this connection is not subscribed to private-a
        [wait 1]     | idle
        [wait 86398] | ping
        nonsense     | pusher:error null not valid JSON: expected ident at line 1 column 2
        [wait 86399] | ping
        [heard]      |
        [wait 1]     | close 4202
    "#,
    );
}

// Who waits for events need not say anything. When the last channel is taken away, the day counts from the last sign of life.
#[test]
fn a_subscriber_may_be_silent_for_ever() {
    check(
        r#"
        {"event":"pusher:subscribe","data":{"channel":"news"}} | subscribe news auth ""
        [grant news]  | granted
        [wait 100000] | ping
        {"event":"pusher:pong"} |
        [wait 100000] | ping
        {"event":"pusher:pong"} |
        [revoke news] | pusher:subscription_error news 401 AuthError too late
        [wait 86399]  | ping
        [heard]       |
        [wait 1]      | close 4202
    "#,
    );
}

// An answer may come long before it would be missed, and the next sign of life is then asked for sooner than that.
#[test]
fn after_an_answer_the_next_ping_is_not_late() {
    let start = Instant::now();
    let second = |seconds| start + Duration::from_secs(seconds);
    let settings = Settings {
        activity_timeout: Duration::from_secs(1),
        ..Settings::new(SocketId { high: 1, low: 1 })
    };
    let mut session = Session::new(settings, start);
    assert_eq!(tick(&mut session, second(1)), Tick::Ping);
    let quiet_until = session.quiet_until();
    session.heard(second(1));
    assert_eq!(tick(&mut session, second(2)), Tick::Ping);
    assert!(quiet_until <= second(2), "{quiet_until:?}");
}
