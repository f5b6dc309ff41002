//! How much later an event arrives at another instance than where it was published, beside the time that the broker itself needs
//! from a publisher to a subscriber.
//!
//! One publish is in flight. The three ways take turns, one publish each, so that whatever else the machine does falls on all of them.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval};

use super::instances::{Instances, Kept};
use crate::client::until;
use crate::cost::{Effort, block_on};
use crate::figure::{Figure, Goal};
use crate::publisher::{event, signed};
use crate::raw_broker::{Kind, RawBroker};
use crate::times::Times;

/// One run.
struct Run {
    alone: Times,
    same: Times,
    other: Times,
}

/// Measures a row.
pub(super) fn measure(kind: Kind, effort: Effort, goal: Goal, kept: &mut Kept) -> Result<Vec<Figure>> {
    let runs = block_on(async {
        let instances = kept.over(kind).await?;
        let mut runs = Vec::new();
        for _ in 0..effort.runs {
            runs.push(instances.times(if effort.smoke { FEW } else { MANY }).await?);
        }
        Ok(runs)
    })?;
    let all = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    // The hop is what another instance takes longer than the same one; the broker's own time is part of it.
    let added = all(&|run| run.other.ms(500) - run.same.ms(500) - run.alone.ms(500));
    let beside = |what: &str, value: &dyn Fn(&Run) -> f64, share| {
        Figure::beside(what, &all(&|run| run.alone.ms(share)), &all(value))
    };
    Ok(vec![
        Figure::alone("added to the broker's, p50, ms", &added).goal(goal),
        beside("to another instance, p50, ms", &|run| run.other.ms(500), 500),
        beside("to another instance, p99, ms", &|run| run.other.ms(990), 990),
        beside("to the same instance, p50, ms", &|run| run.same.ms(500), 500),
        beside("to the same instance, p99, ms", &|run| run.same.ms(990), 990),
    ])
}

impl Instances {
    async fn times(&self, publishes: usize) -> Result<Run> {
        let mut raw = RawBroker::connect(&self.brokers).await?;
        let data = format!("{}{END}", "x".repeat(BYTES - END.len()));
        let mut publisher = self.near.entry.publisher(0, 0).await?;
        let mut ways = Vec::new();
        for (server, channel) in [(&self.near, "same"), (&self.far, "other")] {
            ways.push((
                server.entry.subscriber(channel, 0).await?,
                signed("events", &event(channel, &data))?,
            ));
        }
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0..publishes + publishes / 10 {
            ticks.tick().await;
            // The first tenth is warming up.
            let counts = number >= publishes / 10;
            let alone = raw.round_trip().await?;
            times[0].extend(counts.then_some(alone));
            for ((stream, request), times) in ways.iter_mut().zip(&mut times[1..]) {
                let begun = Instant::now();
                publisher.send(request).await?;
                until(stream, END).await?;
                times.extend(counts.then_some(begun.elapsed()));
                publisher.answered().await?;
            }
        }
        let [alone, same, other] = times.map(Times::new);
        Ok(Run { alone, same, other })
    }
}

/// From one event to the next.
const PACE: Duration = Duration::from_millis(5);
/// Publishes of a run, of each kind.
const MANY: usize = 500;
const FEW: usize = 200;
/// Bytes of an event's data.
const BYTES: usize = 100;
/// How it ends: nothing else of a frame looks like it.
const END: &str = "<the end>";
