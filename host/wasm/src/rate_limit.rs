//! The rate-limit door: one guest call per question, at the instance that keeps the key.

use std::sync::Arc;
use std::time::Instant;

use jackfield_hub::doors::{Answer, Decision, DoorError, Limiter, Question};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::hot::exports::jackfield::rate_limit::limiter;
use crate::context::Context;
use crate::plugin::{Door, FoundDoor};
use crate::slot::Slot;

/// The guest's function.
pub(crate) struct RateLimit {
    guest: limiter::Guest,
}

/// The door.
pub(crate) struct RateLimitDoor {
    pub(crate) slot: Arc<Slot<RateLimit>>,
    /// The zero of `now-us`.
    pub(crate) started: Instant,
}

impl Limiter for RateLimitDoor {
    fn check(&self, question: &Question<'_>) -> Answer<Result<Decision, DoorError>> {
        Answer::Ready(self.ask(question))
    }
}

impl RateLimitDoor {
    fn ask(&self, question: &Question<'_>) -> Result<Decision, DoorError> {
        let pool = self.slot.live()?;
        let decision = pool.call_keyed((question.scope, question.key), |live| {
            // Read while the instance is held: it never sees time run backwards.
            let now_us = self.started.elapsed().as_micros() as u64;
            live.door.guest.call_check(&mut live.store, lend(question, now_us))
        })?;
        let limiter::Decision {
            allowed,
            remaining,
            retry_after_ms,
        } = decision;
        Ok(Decision {
            allowed,
            remaining,
            retry_after_ms,
        })
    }
}

impl Door for RateLimit {
    const NAME: &'static str = "rate-limit";
    const INTERFACES: &'static [&'static str] = &["jackfield:rate-limit/limiter"];

    fn find(pre: &InstancePre<Context>) -> wasmtime::Result<impl FoundDoor<Self>> {
        limiter::GuestIndices::new(pre)
    }
}

impl FoundDoor<RateLimit> for limiter::GuestIndices {
    fn bind(&self, store: &mut Store<Context>, instance: &Instance) -> wasmtime::Result<RateLimit> {
        Ok(RateLimit {
            guest: self.load(store, instance)?,
        })
    }
}

fn lend<'a>(question: &Question<'a>, now_us: u64) -> limiter::Question<'a> {
    let Question { scope, key, cost, rule } = *question;
    let rule = limiter::Rule {
        amount: rule.amount,
        period_ms: rule.period_ms,
        burst: rule.burst,
    };
    limiter::Question {
        scope,
        key,
        cost,
        rule,
        now_us,
    }
}
