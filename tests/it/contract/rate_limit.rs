//! What the rate-limit door asks of a plugin, and what it promises.

use std::thread;
use std::time::{Duration, Instant};

use jackfield_hub::doors::{Decision, DoorError, Rule};

use super::given::{self, Given};
use crate::harness::stand::{Layout, Stand, guest};

#[test]
fn the_plugins_of_the_house_keep_the_contract() {
    for given in given::at("rate-limit") {
        keep(&given);
    }
}

/// The whole contract of the rate-limit door, put to one plugin.
pub(super) fn keep(given: &Given) {
    given.keep();
    let stand = given.stand();
    a_burst_is_allowed_at_once(&stand, &given.name);
    more_than_a_burst_is_never_allowed(&stand, &given.name);
    a_refused_question_costs_nothing(&stand, &given.name);
    scopes_and_keys_are_counted_apart(&stand, &given.name);
    what_was_promised_is_kept(&stand, &given.name);
    no_more_than_the_rule(&stand, &given.name);
    nothing_makes_it_trap(&stand, &given.name);
    super::state::keep(given);
    assert_eq!(stand.report(&given.name).traps, 0, "{} trapped", given.name);
}

pub(super) fn decided(stand: &Stand, key: &str, cost: u32, rule: Rule) -> Decision {
    let decision = stand.count("publish", key, cost, rule);
    decision.unwrap_or_else(|error| panic!("{key}, {cost} of {rule:?}: {error}"))
}

// wit/deps/rate-limit/rate-limit.wit: "`amount` per `period-ms`, and up to `burst` at once."
// wit/deps/rate-limit/rate-limit.wit: "How many more would be allowed now."
fn a_burst_is_allowed_at_once(stand: &Stand, name: &str) {
    for left in (0..5).rev() {
        let decision = decided(stand, "burst", 1, SLOW);
        assert_eq!((decision.allowed, decision.remaining), (true, left), "{name}");
    }
    let refused = decided(stand, "burst", 1, SLOW);
    assert_eq!((refused.allowed, refused.remaining), (false, 0), "{name}");
    assert!(
        (1..=SLOW.period_ms).contains(&refused.retry_after_ms),
        "{name}: {refused:?}"
    );
}

// wit/deps/rate-limit/rate-limit.wit: "How many at once; at least 1. Not more than `burst` can ever be allowed."
fn more_than_a_burst_is_never_allowed(stand: &Stand, name: &str) {
    for cost in [6, 7, u32::MAX] {
        let decision = decided(stand, "too-much", cost, SLOW);
        assert_eq!((decision.allowed, decision.remaining), (false, 5), "{name}: {cost}");
    }
    let whole = decided(stand, "too-much", 5, SLOW);
    assert_eq!((whole.allowed, whole.remaining), (true, 0), "{name}");
}

// wit/deps/rate-limit/rate-limit.wit: "A refused question costs nothing."
fn a_refused_question_costs_nothing(stand: &Stand, name: &str) {
    assert_eq!(decided(stand, "refused", 3, SLOW).remaining, 2, "{name}");
    for _ in 0..1_000 {
        assert!(!decided(stand, "refused", 3, SLOW).allowed, "{name}");
    }
    assert!(
        decided(stand, "refused", 2, SLOW).allowed,
        "{name}: what was left is still there"
    );
}

// wit/deps/rate-limit/rate-limit.wit: "More will come: an unknown scope is counted like any other."
// wit/deps/rate-limit/rate-limit.wit: "Whose count:"
fn scopes_and_keys_are_counted_apart(stand: &Stand, name: &str) {
    for scope in ["publish", "read", "client-event", "message", "connect", "of-the-future"] {
        for key in ["1001", "1234.5678", "127.0.0.1", "", "ü😀", "a\0b"] {
            let asked = (0..6).map(|_| stand.count(scope, key, 1, SLOW));
            let allowed = asked.filter(|asked| asked.as_ref().is_ok_and(|decision| decision.allowed));
            assert_eq!(allowed.count(), 5, "{name}: {scope} {key:?}");
        }
    }
}

// wit/deps/rate-limit/rate-limit.wit: "When refused: after how many milliseconds the same question may be allowed."
fn what_was_promised_is_kept(stand: &Stand, name: &str) {
    let rule = Rule {
        amount: 100,
        period_ms: 1_000,
        burst: 2,
    };
    assert!(decided(stand, "promised", 2, rule).allowed, "{name}");
    let mut refused = decided(stand, "promised", 2, rule);
    // On a slow machine the time may have come already.
    while refused.allowed {
        refused = decided(stand, "promised", 2, rule);
    }
    thread::sleep(Duration::from_millis(u64::from(refused.retry_after_ms)));
    assert!(decided(stand, "promised", 2, rule).allowed, "{name}: {refused:?}");
}

// wit/deps/rate-limit/rate-limit.wit: "`amount` per `period-ms`, and up to `burst` at once."
fn no_more_than_the_rule(stand: &Stand, name: &str) {
    let rule = Rule {
        amount: 100,
        period_ms: 100,
        burst: 10,
    };
    let (begun, mut allowed) = (Instant::now(), 0_u128);
    while begun.elapsed() < Duration::from_millis(100) {
        allowed += u128::from(decided(stand, "rule", 1, rule).allowed);
    }
    // One more for the fraction of an interval that had passed at either end.
    let most = 10 + begun.elapsed().as_millis() + 1;
    assert!((11..=most).contains(&allowed), "{name}: {allowed} of {most}");
}

fn nothing_makes_it_trap(stand: &Stand, name: &str) {
    let values = [1, 2, 1_000, u32::MAX];
    for (index, amount) in [0, 1, 7, u32::MAX].into_iter().enumerate() {
        for period_ms in values {
            for burst in values {
                for cost in values {
                    let rule = Rule {
                        amount,
                        period_ms,
                        burst,
                    };
                    decided(stand, &format!("{index}-{period_ms}-{burst}"), cost, rule);
                }
            }
        }
    }
    for number in 0..KEYS {
        assert!(
            decided(stand, &format!("2001:db8::{number:x}"), 1, SLOW).allowed,
            "{name}: key {number}"
        );
    }
}

/// The limiter that shows its instance: `remaining` is how often it was asked, `retry_after_ms` its number.
fn probe() -> Stand {
    let layout = Layout::new().at("rate-limit", "probe-rate-limit", guest("probe-rate-limit"));
    layout
        .file("probe-rate-limit.toml", "[limits]\npause_after = 0")
        .ready()
}

// wit/deps/rate-limit/rate-limit.wit: "One key always reaches the same instance of a plugin that does not wait."
// wit/deps/rate-limit/rate-limit.wit: "Never less than in the question before."
#[test]
fn a_key_always_reaches_the_same_instance() {
    let stand = probe();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for question in 0..20 * 100 {
                    decided(&stand, &format!("key-{}", question % 100), 1, SLOW);
                }
            });
        }
    });
    let mut instances = std::collections::BTreeSet::new();
    for key in 0..100 {
        let decision = decided(&stand, &format!("key-{key}"), 1, SLOW);
        assert_eq!(decision.remaining, 4 * 20 + 1, "key-{key} was counted in one place");
        instances.insert(decision.retry_after_ms);
    }
    assert!(instances.len() > 1, "keys are spread over instances");
    assert_eq!(
        stand.report("probe-rate-limit").traps,
        0,
        "no instance saw time run backwards"
    );
}

// wit/deps/rate-limit/rate-limit.wit: "A trap counts as refused."
#[test]
fn a_trap_is_no_answer() {
    let stand = probe();
    for key in ["trap", "loop", "trap"] {
        let answer = stand.count("publish", key, 1, SLOW);
        let named = matches!(&answer, Err(DoorError::Failed { plugin, .. }) if plugin == "probe-rate-limit");
        assert!(named, "{key}: {answer:?}");
    }
    assert!(!decided(&stand, "refuse", 1, SLOW).allowed);
    assert!(decided(&stand, "room", 1, SLOW).allowed);
}

/// One an hour: while a test runs, time gives nothing back.
pub(super) const SLOW: Rule = Rule {
    amount: 1,
    period_ms: 3_600_000,
    burst: 5,
};

/// Keys that come once and never again, such as the addresses of a flood.
const KEYS: u32 = 50_000;
