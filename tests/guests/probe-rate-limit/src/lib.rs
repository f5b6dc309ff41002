//! A guest for the host's tests: a limiter that shows which instance was asked, and how often.
//!
//! `remaining` is how often this instance was asked about this key, `retry-after-ms` is the instance's own number. Keys
//! are orders: `trap`, `loop` and `refuse` do what they say. A clock that runs backwards makes it trap.

use std::collections::BTreeMap;
use std::hint::black_box;

use jackfield_sdk::{Decision, Question, RateLimit, export_rate_limit, host, no_settings};

/// The plugin.
#[derive(Debug)]
pub struct Probe {
    number: u32,
    asked: BTreeMap<String, u32>,
    last_us: u64,
}

impl RateLimit for Probe {
    fn new(config: &str) -> Result<Self, String> {
        no_settings(config)?;
        let random = host::random(4);
        let number = random.iter().fold(0, |number, &byte| number << 8 | u32::from(byte));
        Ok(Self {
            number,
            asked: BTreeMap::new(),
            last_us: 0,
        })
    }

    fn check(&mut self, question: &Question) -> Decision {
        assert!(question.now_us >= self.last_us, "time runs backwards");
        assert!(question.cost >= 1, "a question is about something");
        self.last_us = question.now_us;
        let asked = self.asked.entry(question.key.clone()).or_default();
        *asked += 1;
        match question.key.as_str() {
            "trap" => panic!("ordered to trap"),
            "loop" => spin(),
            _ => {}
        }
        Decision {
            allowed: question.key != "refuse",
            remaining: *asked,
            retry_after_ms: self.number,
        }
    }
}

export_rate_limit!(Probe);

/// Runs for ever, unseen by the optimiser.
fn spin() {
    let mut turns = 0_u64;
    while black_box(true) {
        turns = black_box(turns.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use jackfield_sdk::{Question, RateLimit, Rule};

    use super::Probe;

    #[test]
    fn says_how_often_it_was_asked() {
        let mut probe = Probe::new("{}").expect("no settings are all it takes");
        let question = Question {
            scope: "publish".to_owned(),
            key: "1001".to_owned(),
            cost: 1,
            rule: Rule {
                amount: 1,
                period_ms: 1,
                burst: 1,
            },
            now_us: 5,
        };
        let first = probe.check(&question);
        let second = probe.check(&question);
        assert_eq!((first.remaining, second.remaining), (1, 2));
        assert_eq!(first.retry_after_ms, second.retry_after_ms);
    }
}
