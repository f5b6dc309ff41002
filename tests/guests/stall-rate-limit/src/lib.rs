//! A guest for the host's tests: an io limiter that takes its time over each question and then allows it.

use jackfield_sdk::{Decision, Question, RateLimit, export_rate_limit, host, no_settings};

/// How long each answer takes.
pub const STALL_MS: u32 = 10;

/// Waits, then allows.
#[derive(Debug)]
pub struct Stall;

impl RateLimit for Stall {
    fn new(config: &str) -> Result<Self, String> {
        no_settings(config).map(|()| Self)
    }

    fn check(&mut self, _question: &Question) -> Decision {
        host::sleep(STALL_MS);
        Decision {
            allowed: true,
            remaining: 1,
            retry_after_ms: 0,
        }
    }
}

export_rate_limit!(Stall);

#[cfg(test)]
mod tests {
    use jackfield_sdk::double::slept_ms;
    use jackfield_sdk::{Question, RateLimit, Rule};

    use super::{STALL_MS, Stall};

    #[test]
    fn waits_before_it_allows() {
        let mut stall = Stall::new("{}").expect("no settings are all it takes");
        let question = Question {
            scope: "message".to_owned(),
            key: "1.2".to_owned(),
            cost: 1,
            rule: Rule {
                amount: 1,
                period_ms: 1,
                burst: 1,
            },
            now_us: 5,
        };
        assert!(stall.check(&question).allowed);
        assert_eq!(slept_ms(), [STALL_MS]);
    }
}
