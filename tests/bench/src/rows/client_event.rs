//! A client event from one socket to another: how long it takes, and what it costs.
//!
//! Sockets are dealt to the event loops in turn, so that sender and receiver are on two of them, at the host and at the floor. All are on
//! one core: see [`OneCore`].

use std::time::Instant;

use anyhow::{Result, ensure};
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;
use serde_json::json;
use serde_json::value::to_raw_value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::in_turns;
use crate::client::masked;
use crate::cost::{Cost, Effort, OneCore, measure as cost};
use crate::figure::{Figure, Goal};
use crate::process::Server;
use crate::times::Times;

/// One run.
struct Run {
    times: Times,
    cost: Cost,
}

/// Measures the row.
pub(crate) fn measure(effort: Effort, goal: Goal) -> Result<Vec<Figure>> {
    let [floors, hosts] = in_turns(effort, heard()?, async |server| run(server, effort).await)?;
    let beside = |what: &str, value: &dyn Fn(&Run) -> f64| {
        let [floor, host] = [&floors, &hosts].map(|runs| runs.iter().map(value).collect::<Vec<f64>>());
        Figure::beside(what, &floor, &host)
    };
    let generator: Vec<f64> = hosts.iter().map(|run| run.cost.generator).collect();
    Ok(vec![
        beside("latency p50, µs", &|run| run.times.ms(500) * 1e3)
            .goal(goal)
            .generator(&generator),
        beside("latency p99, µs", &|run| run.times.ms(990) * 1e3).goal(goal),
        beside("CPU s per million events", &|run| run.cost.total()),
    ])
}

async fn run(server: Server, effort: Effort) -> Result<Run> {
    let mut sender = server.entry.subscriber(CHANNEL, 0).await?;
    let mut receiver = server.entry.subscriber(CHANNEL, 0).await?;
    let message = masked(
        json!({ "event": EVENT, "channel": CHANNEL, "data": data() })
            .to_string()
            .as_bytes(),
    );
    let expected = websocket::text_frame(heard()?.as_bytes());
    let mut frame = vec![0; expected.len()];
    let mut times = Vec::new();
    let _shared = OneCore::share(&server, effort)?;
    let cost = cost(effort, &[server.pid()], 1, async |rounds| {
        // Those of the portions before, which warm up, are a fraction of all.
        for _ in 0..rounds {
            let begun = Instant::now();
            sender.write_all(&message).await?;
            receiver.read_exact(&mut frame).await?;
            times.push(begun.elapsed());
            ensure!(frame == expected, "a client event was not what was sent");
        }
        Ok(())
    })
    .await?;
    Ok(Run {
        times: Times::new(times),
        cost,
    })
}

/// What the receiver is told.
fn heard() -> Result<String> {
    let channel = ChannelName::parse(CHANNEL)?;
    Ok(frames::client_event(&channel, EVENT, &to_raw_value(&data())?, None))
}

fn data() -> String {
    "x".repeat(100)
}

const CHANNEL: &str = "private-bench";
const EVENT: &str = "client-event";
