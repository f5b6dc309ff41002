//! A guest for the host's tests: a limiter that shows which instance was asked, and how often.
//!
//! `remaining` is how often this instance was asked about this key, `retry-after-ms` is the instance's own number. Keys
//! are orders: `trap`, `loop` and `refuse` do what they say. A clock that runs backwards makes it trap.
//!
//! `keep-PARTS-BYTES` has it hand over so many parts of so many bytes to the next version; asked with it, `remaining` is how many
//! it was handed itself. `unwanted` has the next version refuse them.

use std::collections::BTreeMap;
use std::hint::black_box;

use jackfield_sdk::{Decision, Question, RateLimit, export_rate_limit, host, no_settings};

/// The plugin.
#[derive(Debug)]
pub struct Probe {
    number: u32,
    asked: BTreeMap<String, u32>,
    last_us: u64,
    /// Parts that are handed over next.
    left: u32,
    part_bytes: usize,
    given: u32,
    unwanted: bool,
    /// Parts that were handed to it.
    taken: u32,
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
            left: 0,
            part_bytes: PART_HEAD,
            given: 0,
            unwanted: false,
            taken: 0,
        })
    }

    fn check(&mut self, question: &Question) -> Decision {
        assert!(question.now_us >= self.last_us, "time runs backwards");
        assert!(question.cost >= 1, "a question is about something");
        self.last_us = question.now_us;
        let asked = self.asked.entry(question.key.clone()).or_default();
        *asked += 1;
        let asked = *asked;
        if let Some((parts, bytes)) = kept(&question.key) {
            (self.left, self.part_bytes) = (parts, bytes);
            return self.answer(true, self.taken);
        }
        match question.key.as_str() {
            "trap" => panic!("ordered to trap"),
            "loop" => spin(),
            "unwanted" => self.unwanted = true,
            _ => {}
        }
        self.answer(question.key != "refuse", asked)
    }

    fn snapshot(&mut self) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(1)?;
        let mut part = vec![0; self.part_bytes];
        part[..4].copy_from_slice(&self.given.to_le_bytes());
        part[4] = u8::from(self.unwanted);
        self.given += 1;
        Some(part)
    }

    fn restore(&mut self, part: &[u8]) -> Result<(), String> {
        assert!(self.asked.is_empty(), "it was asked before");
        assert_eq!(part[..4], self.taken.to_le_bytes(), "parts come in order");
        if part[4] == 1 {
            return Err("ordered to refuse".to_owned());
        }
        self.taken += 1;
        Ok(())
    }
}

impl Probe {
    fn answer(&self, allowed: bool, remaining: u32) -> Decision {
        Decision {
            allowed,
            remaining,
            retry_after_ms: self.number,
        }
    }
}

/// How many parts of how many bytes this key orders.
fn kept(key: &str) -> Option<(u32, usize)> {
    let (parts, bytes) = key.strip_prefix("keep-")?.split_once('-')?;
    Some((parts.parse().ok()?, bytes.parse::<usize>().ok()?.max(PART_HEAD)))
}

/// The part's number, and whether it is to be refused.
const PART_HEAD: usize = 5;

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
