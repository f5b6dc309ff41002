//! How cost grows: with connections, channels, subscribers, publishers and instances, each by itself.

mod plots;

use anyhow::Result;
use clap::Args;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;

use crate::cost::{Cost, Effort, block_on, measure as cost};
use crate::figure::short;
use crate::process::{Server, descriptors, root};
use crate::publisher::{Flight, event, signed};
use crate::raw_broker::{Brokers, Kind};
use crate::rows::fanout::{Job, host};
use crate::rows::instances::over;
use crate::rows::{FANOUT, IN_FLIGHT, idle};
use crate::subscribers::Received;

#[derive(Args, Default)]
pub(crate) struct CurvesArgs {
    /// Only the curves that have this in their name.
    #[arg(default_value = "")]
    only: String,
}

/// Some figures over something that grows.
struct Curve {
    /// What grows.
    over: &'static str,
    /// What is measured.
    columns: &'static [&'static str],
    /// A value of what grows, and one for each column.
    points: Vec<(usize, Vec<f64>)>,
}

/// Prints a table for each curve, and draws them.
#[expect(clippy::print_stdout, reason = "the tables are what the bench is for")]
pub(crate) fn run(args: &CurvesArgs) -> Result<()> {
    descriptors()?;
    let mut curves = Vec::new();
    for (name, measure) in CURVES {
        if !name.contains(&args.only) {
            continue;
        }
        let curve = measure()?;
        let line = |values: Vec<String>| values.iter().map(|value| format!("{value:>34}")).collect::<String>();
        let heads = curve.columns.iter().map(|&column| column.to_owned()).collect();
        println!("\n{:>26}{}", curve.over, line(heads));
        for (x, values) in &curve.points {
            println!("{x:>26}{}", line(values.iter().copied().map(short).collect()));
        }
        curves.push(curve);
    }
    let file = root()?.join("target/bench/curves.svg");
    plots::write(&file, &curves)?;
    println!("\npicture: {}", file.display());
    Ok(())
}

type Measure = fn() -> Result<Curve>;

const CURVES: [(&str, Measure); 5] = [
    ("connections", connections),
    ("channels", channels),
    ("subscribers", subscribers),
    ("publishers", publishers),
    ("instances", instances),
];

fn connections() -> Result<Curve> {
    let steps = [1_000, 2_000, 5_000, 10_000, 18_000];
    let all = descriptors()?;
    let steps: Vec<usize> = steps
        .into_iter()
        .filter(|&step| step as u64 + idle::OTHER_DESCRIPTORS <= all)
        .collect();
    let found = block_on(idle::fill(Server::host()?, &steps))?;
    let points = found.iter().map(|memory| (memory.connections, vec![memory.resident]));
    Ok(Curve {
        over: "idle connections",
        columns: &["bytes each"],
        points: points.collect(),
    })
}

fn channels() -> Result<Curve> {
    let jobs = [10, 100, 1_000, 10_000, 100_000].map(|channels| Job {
        channels,
        subscribers: 1,
        per_connection: 10,
        ..FANOUT
    });
    let points = jobs.iter().map(|job| {
        let host = block_on(host(job, EFFORT))?;
        Ok((job.channels, vec![host.cost.total(), host.memory]))
    });
    Ok(Curve {
        over: "channels",
        columns: &["CPU s per million publishes", "bytes each"],
        points: points.collect::<Result<_>>()?,
    })
}

fn subscribers() -> Result<Curve> {
    let jobs = [1, 10, 100, 1_000, 10_000].map(|subscribers| Job { subscribers, ..FANOUT });
    let points = jobs.iter().map(|job| {
        let cost = block_on(host(job, EFFORT))?.cost;
        Ok((job.subscribers, vec![cost.total()]))
    });
    Ok(Curve {
        over: "subscribers of a channel",
        columns: &["CPU s per million deliveries"],
        points: points.collect::<Result<_>>()?,
    })
}

fn publishers() -> Result<Curve> {
    let jobs = [1, 2, 4, 8, 16, 32, 64].map(|publishers| Job {
        channels: publishers,
        subscribers: 1,
        in_flight: publishers,
        ..FANOUT
    });
    let points = jobs.iter().map(|job| {
        let cost = block_on(host(job, EFFORT))?.cost;
        Ok((job.in_flight, vec![cost.per_second, cost.total()]))
    });
    Ok(Curve {
        over: "publishers",
        columns: &["publishes per second", "CPU s per million publishes"],
        points: points.collect::<Result<_>>()?,
    })
}

fn instances() -> Result<Curve> {
    let points = (1..=4).map(|count| {
        let cost = block_on(cluster(count))?;
        Ok((count, vec![cost.total(), cost.per_second]))
    });
    Ok(Curve {
        over: "instances over Redis",
        columns: &["CPU s of all per million events", "events per second"],
        points: points.collect::<Result<_>>()?,
    })
}

/// Events published at one instance, with a subscriber at each.
async fn cluster(count: usize) -> Result<Cost> {
    let brokers = Brokers::start(Kind::Redis).await;
    let servers = over(&brokers, count).await?;
    let (channel, data) = (ChannelName::parse("cluster")?, "x".repeat(100));
    let frame = websocket::text_frame(frames::event(&channel, "event", &data).as_bytes());
    let received = Received::new(count);
    for server in &servers {
        let stream = server.entry.subscriber(channel.as_str(), 0).await?;
        received.listen(stream, frame.as_ref().into(), |nth| nth);
    }
    let mut publishers = Vec::new();
    for _ in 0..IN_FLIGHT {
        publishers.push(servers[0].entry.publisher(0, 0).await?);
    }
    let mut flight = Flight {
        publishers,
        requests: vec![signed("events", &event(channel.as_str(), &data))?],
        received,
        sent: 0,
    };
    let pids: Vec<u32> = servers.iter().map(Server::pid).collect();
    cost(EFFORT, &pids, 1, async |rounds| flight.publish(rounds).await).await
}

/// One run of each point, within five minutes in all.
const EFFORT: Effort = Effort {
    runs: 1,
    all_cores: true,
    ..Effort::FULL
};
