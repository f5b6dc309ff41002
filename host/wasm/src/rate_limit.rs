//! The rate-limit door: one guest call per question, at the instance that keeps the key.

use std::sync::Arc;
use std::time::Instant;

use jackfield_hub::doors::{Answer, Decision, DoorError, Limiter, Question};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::hot::exports::jackfield::rate_limit::{limiter, state};
use crate::bindings::hot::jackfield::rate_limit::counts;
use crate::bindings::io::exports::jackfield::rate_limit::limiter as waiting;
use crate::context::Context;
use crate::doors::Doors;
use crate::io::{self, Waiting};
use crate::linkers::Mode;
use crate::plugin::{Door, FoundDoor, Live, exports};
use crate::pool::{Pool, SharedPool};

/// The guest's functions.
pub(crate) struct RateLimit {
    guest: limiter::Guest,
    /// What plugins that keep nothing leave out.
    state: Option<state::Guest>,
}

struct Found {
    limiter: limiter::GuestIndices,
    state: Option<state::GuestIndices>,
}

/// The door.
pub(crate) struct RateLimitDoor {
    pub(crate) doors: Arc<Doors>,
    /// The zero of `now-us`.
    pub(crate) started: Instant,
}

impl Limiter for RateLimitDoor {
    fn check(&self, question: &Question<'_>) -> Answer<Result<Decision, DoorError>> {
        loop {
            return match self.doors.rate_limit.load().live() {
                Err(error) => Answer::Ready(Err(error)),
                Ok(pool) if pool.plugin.mode == Mode::Io => self.wait_for(pool, question),
                Ok(pool) => match self.ask(&pool, question) {
                    Some(decision) => Answer::Ready(decision),
                    None => continue,
                },
            };
        }
    }
}

impl RateLimitDoor {
    /// None if another version has taken this one's place in the meantime.
    fn ask(&self, pool: &Pool<RateLimit>, question: &Question<'_>) -> Option<Result<Decision, DoorError>> {
        let decided = pool.call_keyed((question.scope, question.key), |live| {
            // Read while the instance is held: it never sees time run backwards.
            let now_us = self.started.elapsed().as_micros() as u64;
            live.door.guest.call_check(&mut live.store, lend(question, now_us))
        })?;
        Some(decided.map(taken))
    }

    /// Asks a plugin that may wait, whichever of its instances is free.
    fn wait_for(&self, pool: SharedPool<RateLimit>, question: &Question<'_>) -> Answer<Result<Decision, DoorError>> {
        let Question { scope, key, cost, rule } = *question;
        let (key, started) = (key.to_owned(), self.started);
        let asked = io::ask(pool, move |fiber| {
            Box::pin(async move {
                let (key, now_us) = (key.as_str(), started.elapsed().as_micros() as u64);
                let question = Question { scope, key, cost, rule };
                fiber
                    .door
                    .guest
                    .call_check(&mut fiber.store, lend(&question, now_us))
                    .await
            })
        });
        Answer::Pending(Box::pin(async move { asked.await.map(taken) }))
    }
}

/// The function of a plugin that waits.
pub(crate) struct WaitingRateLimit {
    guest: waiting::Guest,
}

impl Waiting for WaitingRateLimit {
    fn load(pre: &InstancePre<Context>, store: &mut Store<Context>, instance: &Instance) -> wasmtime::Result<Self> {
        let guest = waiting::GuestIndices::new(pre)?.load(store, instance)?;
        Ok(Self { guest })
    }
}

impl Door for RateLimit {
    const NAME: &'static str = "rate-limit";
    const INTERFACES: &'static [&'static str] = &["jackfield:rate-limit/limiter"];
    type Waiting = WaitingRateLimit;
    const MAY_WAIT: bool = true;

    fn snapshot(live: &mut Live<Self>) -> wasmtime::Result<Option<Vec<u8>>> {
        match &live.door.state {
            Some(state) => state.call_snapshot(&mut live.store),
            None => Ok(None),
        }
    }

    fn restore(live: &mut Live<Self>, part: &[u8]) -> wasmtime::Result<Result<(), String>> {
        match &live.door.state {
            Some(state) => state.call_restore(&mut live.store, part),
            None => Ok(Err("it keeps nothing".to_owned())),
        }
    }

    fn find(pre: &InstancePre<Context>) -> wasmtime::Result<impl FoundDoor<Self>> {
        let state = exports(pre, STATE).then(|| state::GuestIndices::new(pre));
        Ok(Found {
            limiter: limiter::GuestIndices::new(pre)?,
            state: state.transpose()?,
        })
    }
}

impl FoundDoor<RateLimit> for Found {
    fn bind(&self, store: &mut Store<Context>, instance: &Instance) -> wasmtime::Result<RateLimit> {
        let state = self.state.as_ref().map(|state| state.load(&mut *store, instance));
        Ok(RateLimit {
            state: state.transpose()?,
            guest: self.limiter.load(store, instance)?,
        })
    }
}

const STATE: &str = "jackfield:rate-limit/state";

fn lend<'a>(question: &Question<'a>, now_us: u64) -> counts::Question<'a> {
    let Question { scope, key, cost, rule } = *question;
    let rule = counts::Rule {
        amount: rule.amount,
        period_ms: rule.period_ms,
        burst: rule.burst,
    };
    counts::Question {
        scope,
        key,
        cost,
        rule,
        now_us,
    }
}

fn taken(decision: counts::Decision) -> Decision {
    let counts::Decision {
        allowed,
        remaining,
        retry_after_ms,
    } = decision;
    Decision {
        allowed,
        remaining,
        retry_after_ms,
    }
}
