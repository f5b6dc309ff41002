//! One channel with many subscribers: CPU seconds of the server per million deliveries, beside the floor's.
//!
//! One publish is in flight: the next is sent when every subscriber has the last. The host is told by a signed HTTP
//! request on a kept connection, the floor by one byte; both write the same number of bytes to as many sockets.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::process::Server;
use crate::publisher::{Publisher, event, signed};
use crate::subscribers::{Received, listen_plain, subscribe};

#[derive(Parser)]
pub(crate) struct FanoutArgs {
    /// Subscribers of the channel.
    #[arg(long, default_value_t = 1_000)]
    subscribers: usize,
    /// Bytes of an event's data.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Publishes per run.
    #[arg(long, default_value_t = 500)]
    publishes: usize,
    /// Runs; floor and host take turns.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

/// One run's result.
struct Figures {
    /// CPU seconds of the server per million deliveries.
    cpu: f64,
    /// Milliseconds from one publish to the next, at the median.
    round_ms: f64,
}

/// Prints a table: per run the floor, the host and their ratio.
#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
pub(crate) fn run(args: &FanoutArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!(
        "1 channel x {} subscribers, {} B, one publish in flight",
        args.subscribers, args.bytes
    );
    println!("CPU seconds of the server per million deliveries (median round in ms)");
    println!("{:>4} {:>18} {:>18} {:>7}", "run", "floor", "jackfield", "ratio");
    let mut ratios = Vec::new();
    for number in 1..=args.runs {
        let floor = LocalSet::new().block_on(&runtime, floor(args))?;
        let host = LocalSet::new().block_on(&runtime, host(args))?;
        let ratio = host.cpu / floor.cpu;
        ratios.push(ratio);
        println!(
            "{number:>4} {:>9.2} ({:>6.2}) {:>9.2} ({:>6.2}) {ratio:>7.2}",
            floor.cpu, floor.round_ms, host.cpu, host.round_ms
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
    Ok(())
}

async fn host(args: &FanoutArgs) -> Result<Figures> {
    let server = Server::host()?;
    let (channel, data) = (ChannelName::parse("bench")?, "x".repeat(args.bytes));
    let frame = websocket::text_frame(frames::event(&channel, "event", &data).as_bytes());
    let received = Rc::new(Received::default());
    for _ in 0..args.subscribers {
        subscribe(server.address, "bench", Rc::clone(&received), frame.to_vec()).await?;
    }
    let request = signed("events", &event("bench", &data))?;
    let mut publisher = Publisher::connect(server.address).await?;
    let expected = frame.len() * args.subscribers;
    measure(args, &server, async |rounds| {
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let begun = Instant::now();
            publisher.send(&request).await?;
            received.more(expected as u64).await?;
            publisher.answered().await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    })
    .await
}

async fn floor(args: &FanoutArgs) -> Result<Figures> {
    let data = "x".repeat(args.bytes);
    let text = frames::event(&ChannelName::parse("bench")?, "event", &data);
    let server = Server::floor(text.len())?;
    let mut control = TcpStream::connect(server.address).await?;
    control.set_nodelay(true)?;
    let received = Rc::new(Received::default());
    for _ in 0..args.subscribers {
        listen_plain(server.address, Rc::clone(&received)).await?;
    }
    // The floor has no answer that tells when it has taken the last socket.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let expected = websocket::text_frame(text.as_bytes()).len() * args.subscribers;
    measure(args, &server, async |rounds| {
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let begun = Instant::now();
            control.write_all(b"!").await?;
            received.more(expected as u64).await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    })
    .await
}

/// Runs a tenth to warm up, then all of it.
async fn measure(
    args: &FanoutArgs,
    server: &Server,
    mut rounds: impl AsyncFnMut(usize) -> Result<Vec<Duration>>,
) -> Result<Figures> {
    rounds((args.publishes / 10).max(1)).await?;
    let before = server.cpu()?;
    let mut times = rounds(args.publishes).await?;
    let cpu = server.cpu()? - before;
    times.sort();
    let deliveries = (args.publishes * args.subscribers) as f64;
    let round_ms = times[times.len() / 2].as_secs_f64() * 1e3;
    Ok(Figures {
        cpu: cpu.as_secs_f64() / deliveries * 1e6,
        round_ms,
    })
}
