//! One life of a link: from fresh connections to the first thing that goes wrong with any of them.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::shared::Shared;
use super::wire::{Life, Wire, Wish};

/// Nothing but a reason to end comes out of it.
type Run = Result<Infallible, String>;

/// Runs until something goes wrong; says what. No answer may take longer than `limit`.
pub(super) async fn live(shared: &Shared, wire: &impl Wire, life: Life, limit: Duration) -> String {
    shared.begin(wire.canaries());
    let ended = tokio::select! {
        // What a server complains of comes before its answers: they may be to what it complained of.
        biased;
        reason = life => return reason,
        ended = publish(shared, wire) => ended,
        ended = follow(shared, wire) => ended,
        ended = watch(shared, limit) => ended,
    };
    match ended {
        Err(reason) => reason,
    }
}

/// Hands over what waits, several batches at a time.
async fn publish(shared: &Shared, wire: &impl Wire) -> Run {
    let mut flying = FuturesOrdered::new();
    let next = async || loop {
        if let Some(batch) = shared.flights.lock().take() {
            return batch;
        }
        shared.something_to_publish.notified().await;
    };
    loop {
        tokio::select! {
            batch = next(), if flying.len() < MOST_FLIGHTS => flying.push_back(wire.publish(batch)),
            Some(answers) = flying.next() => {
                let told = shared.flights.lock().land(&answers?)?;
                shared.handover.tell(told);
            }
        }
    }
}

/// Follows first the canaries, then everything else, some subjects at a time.
async fn follow(shared: &Shared, wire: &impl Wire) -> Run {
    let canaries: Vec<_> = wire.canaries().into_iter().map(|canary| canary.subject).collect();
    wire.ask(Wish::Follow, &canaries).await?;
    shared.beat();
    loop {
        let next = shared.interest.lock().next();
        let Some((wish, subjects)) = next else {
            shared.something_to_ask.notified().await;
            continue;
        };
        wire.ask(wish, &subjects).await?;
        shared.interest.lock().answered(&subjects);
    }
}

/// Looks after deadlines, and sends the canaries.
async fn watch(shared: &Shared, limit: Duration) -> Run {
    let mut looked_at = Instant::now();
    let mut resumed_at = looked_at;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if looked_at.elapsed() > HELD_UP {
            // The receiver has taken its time. Nothing was read meanwhile, so nobody is to blame for what was not heard.
            resumed_at = Instant::now();
        }
        looked_at = Instant::now();
        let late = |since: Option<Instant>| since.is_some_and(|since| since.max(resumed_at).elapsed() > limit);
        if late(shared.flights.lock().waiting_since()) {
            return Err(format!("no answer to a publish within {limit:?}"));
        }
        if late(shared.interest.lock().waiting_since()) {
            return Err(format!("no answer to a subscription within {limit:?}"));
        }
        if let Some(complaint) = shared.pulse.lock().complaint(resumed_at) {
            return Err(complaint);
        }
        shared.interest.lock().retry();
        shared.something_to_ask.notify_one();
        if shared.pulse.lock().is_due() {
            shared.beat();
        }
    }
}

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Deadlines are anew after a pause that is longer: a fraction of each, and more than a busy machine takes to get around.
const HELD_UP: Duration = Duration::from_millis(500);
/// Batches under way at a time: a message that comes while others wait for their answers need not wait for them too.
const MOST_FLIGHTS: usize = 8;
