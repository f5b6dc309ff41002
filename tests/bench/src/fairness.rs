//! What a quiet channel notices of a flooded one on the same instance: how long its events take, with the flood and without.
//!
//! The server has a core for itself, and the quiet channel a thread of the bench that goes before the one which reads the flood:
//! it must wait for nobody but the server.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;
use rustix::process::nice;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::cores::Cores;
use crate::cost::block_on;
use crate::entry::Entry;
use crate::figure::{Figure, Goal, Spread};
use crate::process::{Server, descriptors};
use crate::publisher::{event, signed};
use crate::subscribers::Received;
use crate::times::Times;

#[derive(Parser)]
pub(crate) struct FairnessArgs {
    /// Subscribers of the flooded channel.
    #[arg(long, default_value_t = 10_000)]
    subscribers: usize,
    /// Seconds of quiet, and of flood.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Runs.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// One run.
struct Run {
    alone: Times,
    flooded: Times,
    /// Deliveries of the flood per second.
    deliveries: f64,
    publishes: f64,
    /// Subscribers of the flooded channel that were cut because they lagged.
    cut: u64,
}

/// Prints the delays of the quiet channel.
#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
pub(crate) fn run(args: &FairnessArgs) -> Result<()> {
    ensure!(args.runs > 0, "nothing is measured in no runs");
    descriptors()?;
    println!(
        "a quiet channel, {QUIET} subscribers and {} events/s, while one with {} is flooded for {} s; floor: without the flood",
        1_000 / PACE.as_millis(),
        args.subscribers,
        args.seconds
    );
    println!("{}", Figure::heads());
    let cores = Cores::divide()?;
    let quiet = Quiet::start(Duration::from_secs(args.seconds));
    nice(LAST)?;
    let mut runs = Vec::new();
    for _ in 0..args.runs {
        runs.push(block_on(measure(args, &cores, &quiet))?);
    }
    let all = |value: &dyn Fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    for (what, share) in [
        ("delivery p50, ms", 500),
        ("delivery p99, ms", 990),
        ("longest, ms", 1_000),
    ] {
        let figure = Figure::beside(
            what,
            &all(&|run| run.alone.ms(share)),
            &all(&|run| run.flooded.ms(share)),
        );
        let figure = match share {
            1_000 => figure,
            _ => figure.goal(Goal::Ratio(3.0)),
        };
        println!("{figure}");
    }
    let deliveries = Spread::of(&all(&|run| run.deliveries));
    let publishes = Spread::of(&all(&|run| run.publishes));
    let cut = Spread::of(&all(&|run| run.cut as f64));
    println!("the flood: {publishes} publishes/s, {deliveries} deliveries/s, {cut} subscribers cut");
    Ok(())
}

async fn measure(args: &FairnessArgs, cores: &Cores, quiet: &Quiet) -> Result<Run> {
    let server = cores.start(Server::host)?;
    let (channel, data) = (ChannelName::parse("flooded")?, "x".repeat(BYTES));
    let frame = websocket::text_frame(frames::event(&channel, "event", &data).as_bytes());
    // Each frame is a round by itself: nobody waits for those who lag.
    let (received, frames) = (Received::new(1), Rc::new(Cell::new(0)));
    for _ in 0..args.subscribers {
        let stream = server.entry.subscriber(channel.as_str(), 0).await?;
        let frames = Rc::clone(&frames);
        received.listen(stream, frame.as_ref().into(), move |_| frames.replace(frames.get() + 1));
    }
    quiet.asked.send(server.entry)?;
    let alone = quiet.heard.recv()??;
    let begun = Instant::now();
    quiet.asked.send(server.entry)?;
    let request = signed("events", &event(channel.as_str(), &data))?;
    let mut publisher = server.entry.publisher(0, 0).await?;
    let mut publishes = 0;
    let flooded = loop {
        match quiet.heard.try_recv() {
            Err(TryRecvError::Empty) => {}
            heard => break heard??,
        }
        publisher.send(&request).await?;
        publisher.answered().await?;
        publishes += 1;
    };
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Run {
        alone,
        flooded,
        deliveries: frames.get() as f64 / seconds,
        publishes: f64::from(publishes) / seconds,
        cut: received.gone(),
    })
}

/// The quiet channel's own thread.
struct Quiet {
    asked: SyncSender<Entry>,
    heard: Receiver<Result<Times>>,
}

impl Quiet {
    /// Listens for so long whenever it is asked to.
    fn start(span: Duration) -> Self {
        let (asked, asks) = sync_channel(1);
        let (tell, heard) = sync_channel(1);
        thread::spawn(move || {
            while let Ok(entry) = asks.recv() {
                if tell.send(block_on(listen(entry, span))).is_err() {
                    return;
                }
            }
        });
        Self { asked, heard }
    }
}

/// Publishes to a quiet channel, and takes the time of each delivery. Events are numbered and sent at their time, whether those
/// before them have come or not.
async fn listen(entry: Entry, span: Duration) -> Result<Times> {
    let channel = ChannelName::parse("quiet")?;
    let events = (span.as_millis() / PACE.as_millis()) as usize;
    let mut publishers = Vec::new();
    for _ in 0..CONNECTIONS {
        publishers.push(entry.publisher(0, 0).await?);
    }
    let sent: Rc<RefCell<Vec<Instant>>> = Rc::default();
    let mut readers = JoinSet::new();
    for _ in 0..QUIET {
        let mut stream = entry.subscriber(channel.as_str(), 0).await?;
        let mut frame = websocket::text_frame(frames::event(&channel, "event", &numbered(0)).as_bytes()).to_vec();
        let sent = Rc::clone(&sent);
        readers.spawn_local(async move {
            let mut times = Vec::new();
            for _ in 0..events {
                stream.read_exact(&mut frame).await?;
                let number = frame
                    .split(|byte| *byte == b'=')
                    .nth(1)
                    .context("no number in an event")?;
                let number: usize = str::from_utf8(number)?.parse()?;
                times.push(sent.borrow()[number].elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut due = Instant::now();
    for number in 0..events {
        sleep_until(due.into()).await;
        let publisher = &mut publishers[number % CONNECTIONS];
        if number >= CONNECTIONS {
            publisher.answered().await?;
        }
        // One that had to wait for a connection was late before it was sent.
        let late = due.elapsed() > PACE;
        sent.borrow_mut().push(if late { due } else { Instant::now() });
        publisher
            .send(&signed("events", &event(channel.as_str(), &numbered(number)))?)
            .await?;
        due += PACE;
    }
    let mut times = Vec::new();
    while let Some(read) = readers.join_next().await {
        times.extend(read??);
    }
    Ok(Times::new(times))
}

/// An event's data.
fn numbered(number: usize) -> String {
    format!("{:x<92}={number:06}=", "")
}

/// Subscribers of the quiet channel.
const QUIET: usize = 10;
/// From one quiet event to the next.
const PACE: Duration = Duration::from_millis(20);
/// Connections for its publishes: a second of them may be without an answer.
const CONNECTIONS: usize = 50;
/// Niceness of the thread that reads the flood: whoever else wants its core gets it.
const LAST: i32 = 19;
/// Of an event's data.
const BYTES: usize = 100;
