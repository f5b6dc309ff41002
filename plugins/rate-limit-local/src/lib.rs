//! Counts on this instance alone, by the generic cell rate algorithm (GCRA).
//!
//! A bucket is one number: the time at which it will be full again. A question moves that time forward by its cost,
//! and is refused if it would then lie further ahead than the burst reaches. So nothing is refilled by a timer, and a
//! bucket whose time is past says as much as no bucket at all.

use jackfield_sdk::{Decision, Question, RateLimit, Rule, export_rate_limit, no_settings};

mod buckets;

use buckets::Buckets;

/// A rate limit in the plugin's own memory.
#[derive(Debug, Default)]
pub struct Local {
    buckets: Buckets,
    /// The key of the question at hand. Kept, so that a known key is looked up without taking memory.
    key: String,
}

impl RateLimit for Local {
    fn new(config: &str) -> Result<Self, String> {
        no_settings(config).map(|()| Self::default())
    }

    fn check(&mut self, question: &Question) -> Decision {
        self.key.clear();
        self.key.push_str(&question.scope);
        // Neither scopes nor keys hold this character, so no two pairs make one text.
        self.key.push('\0');
        self.key.push_str(&question.key);

        let now_ns = u128::from(question.now_us) * 1_000;
        let Some(pace) = Pace::new(&question.rule) else {
            return Decision {
                allowed: false,
                remaining: 0,
                retry_after_ms: u32::MAX,
            };
        };
        let known_ns = self.buckets.full_at_ns(&self.key);
        // Further ahead than that of an empty bucket it is by a slower rule than this one, which holds no longer.
        let full_at_ns = known_ns.clamp(now_ns, now_ns + pace.reach_ns);
        let (decision, next_ns) = pace.decide(question.cost, full_at_ns, now_ns);
        if decision.allowed {
            self.buckets.set(&self.key, next_ns, now_ns);
        } else if full_at_ns < known_ns {
            self.buckets.set(&self.key, full_at_ns, now_ns);
        }
        decision
    }

    fn snapshot(&mut self) -> Option<Vec<u8>> {
        self.buckets.take_part()
    }

    fn restore(&mut self, part: &[u8]) -> Result<(), String> {
        self.buckets.put_part(part)
    }
}

export_rate_limit!(Local);

/// A rule in nanoseconds.
struct Pace {
    /// How long one unit of cost takes to come back. Rounded up, so that rounding never allows more than the rule does.
    interval_ns: u128,
    /// How far ahead of now a bucket may be full.
    reach_ns: u128,
    burst: u32,
}

impl Pace {
    /// None if the rule never allows anything.
    fn new(rule: &Rule) -> Option<Self> {
        if rule.amount == 0 {
            return None;
        }
        let interval_ns = (u128::from(rule.period_ms) * 1_000_000).div_ceil(u128::from(rule.amount));
        Some(Self {
            interval_ns,
            reach_ns: interval_ns * u128::from(rule.burst),
            burst: rule.burst,
        })
    }

    /// The answer, and the time at which the bucket is full if it is yes.
    fn decide(&self, cost: u32, full_at_ns: u128, now_ns: u128) -> (Decision, u128) {
        let next_ns = full_at_ns + self.interval_ns * u128::from(cost);
        let latest_ns = now_ns + self.reach_ns;
        if cost > self.burst {
            let remaining = self.remaining(latest_ns.saturating_sub(full_at_ns));
            return (
                Decision {
                    allowed: false,
                    remaining,
                    retry_after_ms: u32::MAX,
                },
                full_at_ns,
            );
        }
        if next_ns > latest_ns {
            let remaining = self.remaining(latest_ns.saturating_sub(full_at_ns));
            let retry_after_ms = (next_ns - latest_ns).div_ceil(1_000_000).try_into().unwrap_or(u32::MAX);
            return (
                Decision {
                    allowed: false,
                    remaining,
                    retry_after_ms,
                },
                full_at_ns,
            );
        }
        (
            Decision {
                allowed: true,
                remaining: self.remaining(latest_ns - next_ns),
                retry_after_ms: 0,
            },
            next_ns,
        )
    }

    /// How many units fit into this much time.
    fn remaining(&self, room_ns: u128) -> u32 {
        // No interval: the rule refills at once, so a whole burst is always there.
        room_ns
            .checked_div(self.interval_ns)
            .map_or(self.burst, |units| units.try_into().unwrap_or(self.burst))
    }
}

#[cfg(test)]
mod tests;
