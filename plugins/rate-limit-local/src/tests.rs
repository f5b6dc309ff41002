//! The limiter's promises, some of them tried on thousands of random questions.

use jackfield_sdk::{Decision, Question, RateLimit, Rule};

use crate::Local;
use crate::buckets::CAPACITY;

fn limiter() -> Local {
    Local::new("{}").expect("no settings are all it takes")
}

fn rule(amount: u32, period_ms: u32, burst: u32) -> Rule {
    Rule {
        amount,
        period_ms,
        burst,
    }
}

fn ask(limiter: &mut Local, key: &str, cost: u32, rule: Rule, now_us: u64) -> Decision {
    let question = Question {
        scope: "publish".to_owned(),
        key: key.to_owned(),
        cost,
        rule,
        now_us,
    };
    limiter.check(&question)
}

fn allowed(remaining: u32) -> Decision {
    Decision {
        allowed: true,
        remaining,
        retry_after_ms: 0,
    }
}

fn refused(remaining: u32, retry_after_ms: u32) -> Decision {
    Decision {
        allowed: false,
        remaining,
        retry_after_ms,
    }
}

/// A small generator (xorshift), so that a failing test fails again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn up_to(&mut self, most: u32) -> u32 {
        u32::try_from(self.below(u64::from(most))).expect("less than a u32") + 1
    }

    fn rule(&mut self) -> Rule {
        rule(self.up_to(50), self.up_to(2_000), self.up_to(20))
    }
}

#[test]
fn allows_a_burst_and_then_the_rate() {
    let mut limiter = limiter();
    let ten_a_second = rule(10, 1_000, 3);
    assert_eq!(ask(&mut limiter, "a", 1, ten_a_second, 0), allowed(2));
    assert_eq!(ask(&mut limiter, "a", 2, ten_a_second, 0), allowed(0));
    assert_eq!(ask(&mut limiter, "a", 1, ten_a_second, 0), refused(0, 100));
    assert_eq!(ask(&mut limiter, "a", 1, ten_a_second, 99_999), refused(0, 1));
    assert_eq!(ask(&mut limiter, "a", 1, ten_a_second, 100_000), allowed(0));
    assert_eq!(ask(&mut limiter, "a", 3, ten_a_second, 300_000), refused(2, 100));
    assert_eq!(ask(&mut limiter, "a", 1, ten_a_second, 9_000_000), allowed(2));
}

// host/docs/changing-things.md: "nobody waits longer than the new one says".
#[test]
fn what_was_used_of_a_slower_rule_comes_back_by_the_new_one() {
    let mut limiter = limiter();
    let (slow, quick) = (rule(3, 3_600_000, 3), rule(10, 1_000, 3));
    assert_eq!(ask(&mut limiter, "a", 3, slow, 0), allowed(0));
    assert_eq!(ask(&mut limiter, "a", 1, quick, 0), refused(0, 100));
    assert_eq!(ask(&mut limiter, "a", 1, quick, 99_999), refused(0, 1));
    assert_eq!(ask(&mut limiter, "a", 1, quick, 100_000), allowed(0));
    // And the other way round what was used is little by the slower one, but it is not forgotten.
    assert_eq!(ask(&mut limiter, "a", 3, slow, 100_000), refused(2, 300));
    assert_eq!(ask(&mut limiter, "a", 2, slow, 100_000), allowed(0));
}

#[test]
fn keys_and_scopes_are_counted_apart() {
    let mut limiter = limiter();
    let one = rule(1, 1_000, 1);
    let pairs = [
        ("publish", "a"),
        ("publish", "b"),
        ("client-event", "a"),
        ("publis", "ha"),
        ("another scope", "a"),
    ];
    for expected in [true, false] {
        for (scope, key) in pairs {
            let question = Question {
                scope: scope.to_owned(),
                key: key.to_owned(),
                cost: 1,
                rule: one,
                now_us: 5,
            };
            assert_eq!(limiter.check(&question).allowed, expected, "{scope} {key}");
        }
    }
}

#[test]
fn more_than_a_burst_is_never_allowed() {
    let mut limiter = limiter();
    let small = rule(10, 1_000, 3);
    assert_eq!(ask(&mut limiter, "a", 4, small, 0), refused(3, u32::MAX));
    assert_eq!(ask(&mut limiter, "a", 4, small, u64::MAX), refused(3, u32::MAX));
    assert_eq!(ask(&mut limiter, "b", 1, rule(10, 1_000, 0), 0), refused(0, u32::MAX));
    assert_eq!(limiter.buckets.len(), 0);
}

#[test]
fn odd_rules_do_no_harm() {
    let mut limiter = limiter();
    assert_eq!(ask(&mut limiter, "none", 1, rule(0, 1_000, 5), 0), refused(0, u32::MAX));
    for _ in 0..3 {
        assert_eq!(ask(&mut limiter, "at once", 5, rule(1, 0, 5), 7), allowed(5));
        assert_eq!(ask(&mut limiter, "at once", 6, rule(1, 0, 5), 7), refused(5, u32::MAX));
    }
    let huge = rule(1, u32::MAX, u32::MAX);
    assert_eq!(ask(&mut limiter, "huge", u32::MAX, huge, u64::MAX), allowed(0));
    assert_eq!(
        ask(&mut limiter, "huge", u32::MAX, huge, u64::MAX),
        refused(0, u32::MAX)
    );
    let fast = rule(u32::MAX, 1, u32::MAX);
    assert_eq!(ask(&mut limiter, "fast", u32::MAX, fast, u64::MAX), allowed(0));
}

#[test]
fn never_allows_more_than_burst_and_rate_in_any_span() {
    let mut dice = Dice(0x5eed);
    for round in 0..200 {
        let (mut limiter, rule) = (limiter(), dice.rule());
        let mut now_us = dice.below(1_000_000);
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for _ in 0..100 {
            now_us += dice.below(u64::from(rule.period_ms) * 400);
            let cost = dice.up_to(rule.burst);
            if ask(&mut limiter, "a", cost, rule, now_us).allowed {
                taken.push((now_us, u64::from(cost)));
            }
        }
        for first in 0..taken.len() {
            let mut sum = 0;
            for &(at_us, cost) in &taken[first..] {
                sum += cost;
                let refilled = (at_us - taken[first].0) * u64::from(rule.amount) / (u64::from(rule.period_ms) * 1_000);
                assert!(
                    sum <= u64::from(rule.burst) + refilled,
                    "round {round}: {sum} by {rule:?}"
                );
            }
        }
    }
}

#[test]
fn a_refused_question_costs_nothing() {
    let mut dice = Dice(0xc057);
    for _ in 0..200 {
        let rule = dice.rule();
        let (mut asked_once, mut asked_twice) = (limiter(), limiter());
        let mut now_us = 0;
        for _ in 0..50 {
            now_us += dice.below(u64::from(rule.period_ms) * 200);
            let cost = dice.up_to(rule.burst);
            let once = ask(&mut asked_once, "a", cost, rule, now_us);
            let twice = ask(&mut asked_twice, "a", cost, rule, now_us);
            assert_eq!(once, twice);
            if !once.allowed {
                assert_eq!(ask(&mut asked_twice, "a", cost, rule, now_us), twice);
            }
        }
    }
}

#[test]
fn what_remains_can_be_had_and_no_more() {
    let mut dice = Dice(0x4e57);
    for _ in 0..500 {
        let (mut limiter, rule) = (limiter(), dice.rule());
        let now_us = dice.below(1_000_000);
        ask(&mut limiter, "a", dice.up_to(rule.burst), rule, now_us);
        let later_us = now_us + dice.below(u64::from(rule.period_ms) * 1_000);
        // More than a burst is refused, and so tells what remains without taking any.
        let remaining = ask(&mut limiter, "a", rule.burst + 1, rule, later_us).remaining;
        assert!(
            !ask(&mut limiter, "a", remaining + 1, rule, later_us).allowed,
            "{rule:?}"
        );
        if remaining > 0 {
            assert_eq!(
                ask(&mut limiter, "a", remaining, rule, later_us),
                allowed(0),
                "{rule:?}"
            );
        }
    }
}

#[test]
fn the_same_question_is_allowed_when_it_was_told_to_come_back() {
    let mut dice = Dice(0xbac4);
    for _ in 0..500 {
        let (mut limiter, rule) = (limiter(), dice.rule());
        let now_us = dice.below(1_000_000);
        ask(&mut limiter, "a", rule.burst, rule, now_us);
        let cost = dice.up_to(rule.burst);
        let wait_ms = u64::from(ask(&mut limiter, "a", cost, rule, now_us).retry_after_ms);
        assert!(wait_ms > 0);
        assert!(
            !ask(&mut limiter, "a", cost, rule, now_us + (wait_ms - 1) * 1_000).allowed,
            "{rule:?}"
        );
        assert!(
            ask(&mut limiter, "a", cost, rule, now_us + wait_ms * 1_000).allowed,
            "{rule:?}"
        );
    }
}

#[test]
fn a_changed_rule_holds_from_the_next_question() {
    let mut limiter = limiter();
    assert_eq!(ask(&mut limiter, "a", 2, rule(1, 1_000, 2), 0), allowed(0));
    assert_eq!(ask(&mut limiter, "a", 1, rule(1, 1_000, 5), 0), allowed(2));
    assert_eq!(ask(&mut limiter, "a", 1, rule(1, 1_000, 1), 0), refused(0, 1_000));
}

#[test]
fn buckets_that_are_full_again_go_away() {
    let mut limiter = limiter();
    let quick = rule(1, 1, 1);
    for client in 0..2_000_u64 {
        ask(&mut limiter, &format!("old-{client}"), 1, quick, 0);
    }
    assert_eq!(limiter.buckets.len(), 2_000);
    for client in 0..2_000_u64 {
        ask(
            &mut limiter,
            &format!("new-{client}"),
            1,
            quick,
            1_000_000 + client * 10_000,
        );
    }
    assert!(limiter.buckets.len() < 20, "{} are left", limiter.buckets.len());
}

#[test]
fn there_are_never_more_buckets_than_there_is_room_for() {
    let mut limiter = limiter();
    let slow = rule(1, 60_000, 2);
    let clients = CAPACITY + 1_000;
    for client in 0..clients {
        assert!(ask(&mut limiter, &client.to_string(), 2, slow, client as u64).allowed);
    }
    assert_eq!(limiter.buckets.len(), CAPACITY);
    let forgotten = (0..clients)
        .filter(|client| ask(&mut limiter, &client.to_string(), 2, slow, clients as u64).allowed)
        .count();
    // Each of those takes a place again, so a few more are forgotten while asking.
    assert!((1_000..3_000).contains(&forgotten), "{forgotten}");
}

#[test]
fn refuses_settings_it_does_not_have() {
    assert!(Local::new(r#"{"burst":1}"#).is_err());
}

#[test]
fn what_was_counted_goes_over_to_the_next_version() {
    let mut limiter = limiter();
    let slow = rule(1, 60_000, 2);
    for client in 0..20_000 {
        assert!(ask(&mut limiter, &client.to_string(), 2, slow, 0).allowed);
    }
    let mut next = self::limiter();
    let mut parts = 0;
    while let Some(part) = limiter.snapshot() {
        assert!(part.len() <= 512 << 10, "as much as the contract allows");
        next.restore(&part).expect("its own");
        parts += 1;
    }
    assert!(parts > 1);
    let allowed = (0..20_000).filter(|client| ask(&mut next, &client.to_string(), 1, slow, 0).allowed);
    assert_eq!(allowed.count(), 0);
    assert!(next.restore(b"nonsense").is_err());
}
