//! From one instance to another: how much later an event arrives there than where it was published, beside the time that the broker
//! itself needs from a publisher to a subscriber; how many messages a second of CPU time carries; and what of it a third instance hears that
//! has no subscriber.
//!
//! Everything is on one machine, with one publish in flight while times are taken. The three ways take turns, one publish each, so that
//! whatever else the machine does falls on all of them.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Parser;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

use crate::process::{Server, root};
use crate::publisher::{Publisher, event, signed};
use crate::raw_broker::{Brokers, RawBroker};
use crate::subscribers::{Received, ask, open, subscribe, until};

#[derive(Parser)]
pub(crate) struct HopArgs {
    /// Publishes whose time is taken, of each kind.
    #[arg(long, default_value_t = 3_000)]
    publishes: usize,
    /// Events of each run that takes CPU time.
    #[arg(long, default_value_t = 40_000)]
    events: usize,
    /// Publishers at the same time, in those runs.
    #[arg(long, default_value_t = 16)]
    publishers: usize,
    /// Only the broker of this name: `redis`, `redis-cluster` or `nats`.
    #[arg(long, default_value = "")]
    only: String,
}

/// Instances over one broker: events are published at the first one, and heard there or at the second one.
struct Instances {
    near: Server,
    far: Server,
    idle: Server,
}

/// Sorted.
struct Times(Vec<Duration>);

/// Messages per second of CPU time.
struct Carried {
    sending: f64,
    receiving: f64,
}

/// Prints two tables, a row for each kind of broker.
pub(crate) fn run(args: &HopArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, tables(args))
}

#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
async fn tables(args: &HopArgs) -> Result<()> {
    println!("published at one instance: milliseconds until it is heard, p50 / p99, {BYTES} B, one in flight");
    println!(
        "{:<14} {:>15} {:>15} {:>15} {:>13}",
        "", "broker alone", "same instance", "another one", "added, p50"
    );
    let mut carried = Vec::new();
    for kind in ["redis", "redis-cluster", "nats"] {
        if !kind.contains(&args.only) {
            continue;
        }
        let brokers = Brokers::start(kind).await;
        let instances = Instances::over(&brokers).await?;
        let before = instances.idle.heard_over_the_adapter().await?;
        let [alone, same, other] = instances.times(&brokers, args.publishes).await?;
        // The hop is what another instance takes longer than the same one; the broker's own time is part of it.
        let added = other.at(500) - same.at(500) - alone.at(500);
        println!("{kind:<14} {alone:>15} {same:>15} {other:>15} {added:>13.3}");
        let single = instances.carried(args, 1).await?;
        let batches = instances.carried(args, BATCH).await?;
        let after = instances.idle.heard_over_the_adapter().await?;
        carried.push((kind, single, batches, after - before));
    }
    println!(
        "\nmessages per second of CPU time, {} publishers, one subscriber, at another instance",
        args.publishers
    );
    println!(
        "{:<14} {:>23} {:>23} {:>17}",
        "", "one by one", "requests with ten each", "an idle instance"
    );
    println!(
        "{:<14} {:>11} {:>11} {:>11} {:>11} {:>17}",
        "", "sending", "receiving", "sending", "receiving", "received in all"
    );
    for (kind, single, batches, idle) in carried {
        println!(
            "{kind:<14} {:>11.0} {:>11.0} {:>11.0} {:>11.0} {idle:>17}",
            single.sending, single.receiving, batches.sending, batches.receiving
        );
    }
    Ok(())
}

impl Instances {
    async fn over(brokers: &Brokers) -> Result<Self> {
        let (variable, address) = brokers.address();
        let start = || Server::host_with("", &root()?.join("plugins"), Some((variable, &address)));
        let instances = Self {
            near: start()?,
            far: start()?,
            idle: start()?,
        };
        for server in [&instances.near, &instances.far, &instances.idle] {
            server.is_ready().await?;
        }
        Ok(instances)
    }

    /// Of the broker alone, to the same instance, to the other one.
    async fn times(&self, brokers: &Brokers, publishes: usize) -> Result<[Times; 3]> {
        let mut raw = RawBroker::connect(brokers).await?;
        let data = format!("{}{END}", "x".repeat(BYTES - END.len()));
        let mut publisher = Publisher::connect(self.near.address).await?;
        let mut ways = Vec::new();
        for (server, channel) in [(&self.near, "same"), (&self.far, "other")] {
            let mut stream = open(server.address).await?;
            ask(&mut stream, channel).await?;
            until(&mut stream, "subscription_succeeded").await?;
            ways.push((stream, signed("events", &event(channel, &data))?));
        }
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for number in 0..publishes + publishes / 10 {
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
        Ok(times.map(Times::new))
    }

    /// Events in requests of `batch` each, published as fast as they are answered, with a subscriber at the other instance.
    async fn carried(&self, args: &HopArgs, batch: usize) -> Result<Carried> {
        let channel = ChannelName::parse("carried")?;
        let data = "x".repeat(BYTES);
        let frame = websocket::text_frame(frames::event(&channel, "event", &data).as_bytes());
        let received = Rc::new(Received::default());
        subscribe(self.far.address, channel.as_str(), Rc::clone(&received), frame.to_vec()).await?;
        let one = event(channel.as_str(), &data);
        let request: Rc<[u8]> = match batch {
            1 => signed("events", &one)?.into(),
            _ => signed("batch_events", &json!({ "batch": vec![one; batch] }))?.into(),
        };
        let rounds = args.events / batch / args.publishers;
        let before = (self.near.cpu()?, self.far.cpu()?);
        let mut publishers = JoinSet::new();
        for _ in 0..args.publishers {
            let (request, mut publisher) = (Rc::clone(&request), Publisher::connect(self.near.address).await?);
            publishers.spawn_local(async move {
                for _ in 0..rounds {
                    publisher.send(&request).await?;
                    publisher.answered().await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(published) = publishers.join_next().await {
            published??;
        }
        let events = rounds * batch * args.publishers;
        received.more((events * frame.len()) as u64).await?;
        let per_second = |before: Duration, after: Duration| events as f64 / (after - before).as_secs_f64();
        Ok(Carried {
            sending: per_second(before.0, self.near.cpu()?),
            receiving: per_second(before.1, self.far.cpu()?),
        })
    }
}

impl Server {
    /// Waits until it has met the others.
    pub(crate) async fn is_ready(&self) -> Result<()> {
        let end = Instant::now() + JOINING;
        while !self.get(self.address, "/ready").await?.starts_with("HTTP/1.1 200") {
            ensure!(Instant::now() < end, "an instance did not join the others");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Messages of channels that it was sent by others, as its metrics say.
    async fn heard_over_the_adapter(&self) -> Result<u64> {
        let metrics = self.get(self.metrics, "/metrics").await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(RECEIVED));
        Ok(line
            .with_context(|| anyhow!("no {RECEIVED} in {metrics}"))?
            .trim()
            .parse()?)
    }

    async fn get(&self, address: std::net::SocketAddr, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

impl Times {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// Milliseconds at so many thousandths.
    fn at(&self, share: usize) -> f64 {
        self.0[(self.0.len() - 1) * share / 1_000].as_secs_f64() * 1e3
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:.3} / {:.3}", self.at(500), self.at(990)))
    }
}

/// Bytes of an event's data.
const BYTES: usize = 100;
/// How it ends: nothing else of a frame looks like it.
const END: &str = "<the end>";
/// As many as one request may hold.
const BATCH: usize = 10;
const RECEIVED: &str = "jackfield_cluster_received_total{kind=\"channel\"}";
/// Joining the others takes seven seconds.
const JOINING: Duration = Duration::from_secs(30);
