//! Published at one instance and heard at another one: CPU time of both per million events.
//!
//! The floor are two processes that do the same with the broker's client library alone: one publishes what is as long as an
//! envelope, as many at a time, the other one hears it.

use std::rc::Rc;

use anyhow::Result;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;
use serde_json::json;

use super::instances::{Instances, Kept};
use crate::bare::Pair;
use crate::cost::{Cost, Effort, block_on, measure as cost};
use crate::figure::{Figure, Goal};
use crate::publisher::{Flight, event, signed};
use crate::raw_broker::Kind;
use crate::subscribers::Received;

/// Measures a row.
pub(super) fn measure(kind: Kind, effort: Effort, goal: Goal, kept: &mut Kept) -> Result<Vec<Figure>> {
    let (mut floors, mut singles, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    let heard = block_on(async {
        let instances = kept.over(kind).await?;
        let before = instances.idle.heard_over_the_adapter().await?;
        for run in 0..effort.runs {
            singles.push(instances.cost(effort, run, 1).await?);
            batches.push(instances.cost(effort, run, BATCH).await?);
            floors.push(bare(kind, &instances, effort).await?);
        }
        Ok(instances.idle.heard_over_the_adapter().await? - before)
    })?;
    let of = |costs: &[Cost], value: &dyn Fn(&Cost) -> f64| costs.iter().map(value).collect::<Vec<f64>>();
    let beside = |what: &str, costs: &[Cost], value: &dyn Fn(&Cost) -> f64| {
        Figure::beside(what, &of(&floors, value), &of(costs, value))
    };
    let generator = of(&singles, &|cost| cost.generator);
    Ok(vec![
        beside("CPU s per million events", &singles, &Cost::total)
            .goal(goal)
            .generator(&generator),
        beside("of them where published", &singles, &|cost| cost.cpu[0]),
        beside("of them where heard", &singles, &|cost| cost.cpu[1]),
        beside("ten in a request, CPU s", &batches, &Cost::total),
        beside("ten in a request, published", &batches, &|cost| cost.cpu[0]),
        beside("ten in a request, heard", &batches, &|cost| cost.cpu[1]),
        Figure::alone("heard without a subscriber", &[heard as f64]),
    ])
}

async fn bare(kind: Kind, instances: &Instances, effort: Effort) -> Result<Cost> {
    let mut pair = Pair::start(kind == Kind::Nats, &instances.brokers.server())?;
    let pids = pair.pids();
    cost(effort, &pids, 1, async |events| pair.carry(events)).await
}

impl Instances {
    /// Events in requests of `batch` each, published as fast as they are answered and heard.
    async fn cost(&self, effort: Effort, run: usize, batch: usize) -> Result<Cost> {
        // One of its own, so that nobody hears it but this run's subscriber.
        let channel = ChannelName::parse(&format!("relay-{run}-{batch}"))?;
        let data = "x".repeat(BYTES);
        let frame = websocket::text_frame(frames::event(&channel, "event", &data).as_bytes());
        let received = Received::new(batch);
        let stream = self.far.entry.subscriber(channel.as_str(), 0).await?;
        received.listen(stream, frame.as_ref().into(), move |nth| nth / batch);
        let one = event(channel.as_str(), &data);
        let request = match batch {
            1 => signed("events", &one)?,
            _ => signed("batch_events", &json!({ "batch": vec![one; batch] }))?,
        };
        let mut publishers = Vec::new();
        for _ in 0..IN_FLIGHT {
            publishers.push(self.near.entry.publisher(0, 0).await?);
        }
        let mut flight = Flight {
            publishers,
            requests: vec![request],
            received: Rc::clone(&received),
            sent: 0,
        };
        let pids = [self.near.pid(), self.far.pid()];
        cost(effort, &pids, batch, async |rounds| flight.publish(rounds).await).await
    }
}

/// Publishes at the same time.
pub(crate) const IN_FLIGHT: usize = 16;
/// As many as one request may hold.
const BATCH: usize = 10;
const BYTES: usize = 100;
