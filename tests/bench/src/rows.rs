//! The rows of the table: their names, the work, and what it should cost.

mod client_event;
pub(crate) mod fanout;
mod hop;
pub(crate) mod idle;
pub(crate) mod instances;
mod relay;
mod subscribe;

use anyhow::Result;

use crate::cost::{Effort, block_on};
use crate::figure::{Figure, Goal};
use crate::floor::FloorArgs;
use crate::process::Server;
use crate::raw_broker::Kind;
use fanout::Job;
use instances::Kept;

pub(crate) use relay::IN_FLIGHT;

/// A row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The work, in words.
    pub(crate) what: &'static str,
    /// Of the first figure.
    goal: Goal,
    /// Whether it is left out of a smoke, unless it is asked for.
    pub(crate) slow: bool,
    work: Work,
}

enum Work {
    Fanout(Job),
    ClientEvent,
    Subscribe,
    Memory,
    IdleCpu,
    Relay(Kind),
    Hop(Kind),
}

/// What rows leave for those behind them: brokers and instances, which take seconds to find each other.
#[derive(Default)]
pub(crate) struct Left(Kept);

impl Row {
    /// Measures the row.
    pub(crate) fn measure(&self, effort: Effort, left: &mut Left) -> Result<Vec<Figure>> {
        let figures = match &self.work {
            Work::Fanout(job) => fanout::measure(job, effort, self.goal),
            Work::ClientEvent => client_event::measure(effort, self.goal),
            Work::Subscribe => subscribe::measure(effort, self.goal),
            Work::Memory => idle::memory(effort, self.goal),
            Work::IdleCpu => idle::cpu(effort, self.goal),
            Work::Relay(kind) => relay::measure(*kind, effort, self.goal, &mut left.0),
            Work::Hop(kind) => hop::measure(*kind, effort, self.goal, &mut left.0),
        };
        let mut figures = figures?;
        figures.iter_mut().for_each(|figure| figure.row = self.name.to_owned());
        Ok(figures)
    }
}

/// The same with a host and with a floor of one channel, in turns: what came of the floors, and of the hosts.
fn in_turns<R>(effort: Effort, text: String, run: impl AsyncFn(Server) -> Result<R>) -> Result<[Vec<R>; 2]> {
    let floor = FloorArgs::one_channel(text);
    let (mut floors, mut hosts) = (Vec::new(), Vec::new());
    for _ in 0..effort.runs {
        hosts.push(block_on(run(Server::host()?))?);
        floors.push(block_on(run(Server::floor(&floor)?))?);
    }
    Ok([floors, hosts])
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "fanout",
        what: "1 channel x 1,000 subscribers, 100 B, one publish in flight",
        goal: Goal::Ratio(1.1),
        slow: false,
        work: Work::Fanout(FANOUT),
    },
    Row {
        name: "fanout-1k",
        what: "the same with 1 KiB",
        goal: Goal::Ratio(1.0),
        slow: false,
        work: Work::Fanout(Job { bytes: 1_024, ..FANOUT }),
    },
    Row {
        name: "fanout-32",
        what: "the same with 100 B and 32 publishes in flight",
        goal: Goal::Ratio(1.2),
        slow: false,
        work: Work::Fanout(Job {
            in_flight: 32,
            // What is asked for besides is a rate, which needs them all.
            one_core: false,
            at_least: Some(400_000.0),
            ..FANOUT
        }),
    },
    Row {
        name: "fanout-10k",
        what: "1 channel x 10,000 subscribers, 100 B, one publish in flight",
        goal: Goal::Ratio(1.0),
        slow: false,
        work: Work::Fanout(Job {
            subscribers: 10_000,
            ..FANOUT
        }),
    },
    Row {
        name: "channels",
        what: "1,000 channels x 10 subscribers, 100 B, one publish in flight, each to another channel",
        goal: Goal::Ratio(1.2),
        slow: false,
        work: Work::Fanout(Job {
            channels: 1_000,
            subscribers: 10,
            ..FANOUT
        }),
    },
    Row {
        name: "client-event",
        what: "a client event from one socket to another, 100 B, one in flight",
        goal: Goal::Ratio(2.0),
        slow: false,
        work: Work::ClientEvent,
    },
    Row {
        name: "publish",
        what: "signed HTTP publishes, 100 B, one in flight on each of 4 kept connections, each to a channel with 1 subscriber",
        goal: Goal::Ratio(1.8),
        slow: false,
        work: Work::Fanout(Job {
            channels: 4,
            subscribers: 1,
            in_flight: 4,
            units: "events",
            ..FANOUT
        }),
    },
    Row {
        name: "batch",
        what: "the same with batches of 10 events to 10 channels with 1 subscriber each",
        goal: Goal::Ratio(1.2),
        slow: false,
        work: Work::Fanout(Job {
            channels: 40,
            subscribers: 1,
            in_flight: 4,
            batch: 10,
            units: "events",
            ..FANOUT
        }),
    },
    Row {
        name: "subscribe",
        what: "into an empty private channel and out again, one in flight on each of 4 connections",
        goal: Goal::Ratio(2.0),
        slow: false,
        work: Work::Subscribe,
    },
    Row {
        name: "memory",
        what: "resident memory for each idle connection with one subscription",
        goal: Goal::AtMost(4_096.0),
        slow: false,
        work: Work::Memory,
    },
    Row {
        name: "idle-cpu",
        what: "10,000 idle connections with one subscription each",
        goal: Goal::AtMost(0.1),
        slow: false,
        work: Work::IdleCpu,
    },
    Row {
        name: "redis",
        what: "published at one instance, 16 in flight, heard at another one; floor: the client library alone does the same",
        goal: Goal::AtMost(60.0),
        slow: false,
        work: Work::Relay(Kind::Redis),
    },
    Row {
        name: "hop-redis",
        what: "how long that takes, 200 events/s, beside what the broker needs from a raw socket to another",
        goal: Goal::AtMost(0.5),
        slow: false,
        work: Work::Hop(Kind::Redis),
    },
    Row {
        name: "redis-cluster",
        what: "as redis, over Redis Cluster; floor: the client library with one server",
        goal: Goal::AtMost(60.0),
        slow: true,
        work: Work::Relay(Kind::Cluster),
    },
    Row {
        name: "hop-cluster",
        what: "as hop-redis, over Redis Cluster",
        goal: Goal::AtMost(0.5),
        slow: true,
        work: Work::Hop(Kind::Cluster),
    },
    Row {
        name: "nats",
        what: "as redis, over NATS",
        goal: Goal::AtMost(60.0),
        slow: false,
        work: Work::Relay(Kind::Nats),
    },
    Row {
        name: "hop-nats",
        what: "as hop-redis, over NATS",
        goal: Goal::AtMost(0.5),
        slow: false,
        work: Work::Hop(Kind::Nats),
    },
];

/// What most rows are like.
pub(crate) const FANOUT: Job = Job {
    channels: 1,
    subscribers: 1_000,
    bytes: 100,
    in_flight: 1,
    batch: 1,
    per_connection: 1,
    units: "deliveries",
    one_core: true,
    at_least: None,
};
