//! Publishes, and everybody who hears them: CPU time of the server per million deliveries.
//!
//! Host and floor are sent the same requests on as many connections, and write frames and answers of the same length to as many
//! sockets; the floor reads no more of a request than where it ends. How long the host's answer is, is seen in each run.

use std::rc::Rc;

use anyhow::Result;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;
use serde_json::json;

use crate::client::{self, SUCCEEDED};
use crate::cost::{Cost, Effort, OneCore, block_on, measure as cost};
use crate::figure::{Figure, Goal};
use crate::floor::FloorArgs;
use crate::process::Server;
use crate::publisher::{Flight, event, signed};
use crate::subscribers::{Expected, Received};

/// What is published, and to whom.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    pub(crate) channels: usize,
    /// Of each channel.
    pub(crate) subscribers: usize,
    /// Of an event's data.
    pub(crate) bytes: usize,
    /// Publishes, each on a connection of its own.
    pub(crate) in_flight: usize,
    /// Events of a request, each to another channel. Divides the channels.
    pub(crate) batch: usize,
    /// Channels of each connection. Divides the channels, and is one where the floor is measured too.
    pub(crate) per_connection: usize,
    /// What deliveries are called: events where each has one.
    pub(crate) units: &'static str,
    /// Whether all happens on one core: see [`OneCore`].
    pub(crate) one_core: bool,
    /// Deliveries per second that there should be.
    pub(crate) at_least: Option<f64>,
}

/// Measures a job.
pub(crate) fn measure(job: &Job, effort: Effort, goal: Goal) -> Result<Vec<Figure>> {
    let (mut hosts, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..effort.runs {
        let host = block_on(host(job, effort))?;
        hosts.push(host.cost);
        floors.push(block_on(floor(job, host.answer, effort))?);
    }
    let of = |costs: &[Cost], value: fn(&Cost) -> f64| costs.iter().map(value).collect::<Vec<f64>>();
    let what = format!("CPU s per million {}", job.units);
    let generator = of(&hosts, |cost| cost.generator);
    let cpu = Figure::beside(&what, &of(&floors, Cost::total), &of(&hosts, Cost::total));
    let mut figures = vec![cpu.goal(goal).generator(&generator)];
    if let Some(least) = job.at_least {
        let rates = [&floors, &hosts].map(|costs| of(costs, |cost| cost.per_second));
        let rate = Figure::beside(&format!("{} per second", job.units), &rates[0], &rates[1]);
        figures.push(rate.goal(Goal::AtLeast(least)));
    }
    Ok(figures)
}

impl Job {
    /// The name of a channel; all are of one length.
    fn name(channel: usize) -> String {
        format!("bench-{channel:06}")
    }

    fn data(&self) -> String {
        "x".repeat(self.bytes)
    }

    /// What the subscribers of a channel are told.
    fn text(&self, channel: usize) -> Result<String> {
        let name = ChannelName::parse(&Self::name(channel))?;
        Ok(frames::event(&name, "event", &self.data()))
    }

    fn frame(&self, channel: usize) -> Result<Vec<u8>> {
        Ok(websocket::text_frame(self.text(channel)?.as_bytes()).to_vec())
    }

    /// The request of a round.
    fn request(&self, round: usize) -> Result<Vec<u8>> {
        let first = round * self.batch;
        let mut events = (first..first + self.batch).map(|channel| event(&Self::name(channel), &self.data()));
        match self.batch {
            1 => signed("events", &events.next().unwrap_or_default()),
            _ => signed("batch_events", &json!({ "batch": events.collect::<Vec<_>>() })),
        }
    }

    /// Connects everybody; `frames` is what the subscribers of each channel are to hear.
    async fn prepare(&self, server: &Server, frames: &[Vec<u8>]) -> Result<Flight> {
        let received = Received::new(self.subscribers * self.batch);
        let Self {
            channels,
            batch,
            per_connection,
            ..
        } = *self;
        for (group, frames) in frames.chunks(per_connection).enumerate() {
            let first = group * per_connection;
            // Events come to the channels in turn, and so do the frames of a connection.
            let pattern: Rc<[u8]> = frames.concat().into();
            for _ in 0..self.subscribers {
                let mut stream = server.entry.subscriber(&Self::name(first), first).await?;
                for channel in first + 1..first + per_connection {
                    client::ask(&mut stream, &Self::name(channel)).await?;
                    client::until(&mut stream, SUCCEEDED).await?;
                }
                let expected = Expected {
                    pattern: Rc::clone(&pattern),
                    frame: frames[0].len(),
                };
                received.listen(stream, expected, move |nth| {
                    let channel = first + nth % per_connection;
                    (nth / per_connection * channels + channel) / batch
                });
            }
        }
        let mut publishers = Vec::new();
        for first in 0..self.in_flight {
            publishers.push(server.entry.publisher(first, self.in_flight).await?);
        }
        let requests: Result<Vec<Vec<u8>>> = (0..self.channels / self.batch)
            .map(|round| self.request(round))
            .collect();
        Ok(Flight {
            publishers,
            requests: requests?,
            received,
            sent: 0,
        })
    }

    async fn cost(&self, server: &Server, effort: Effort, flight: &mut Flight) -> Result<Cost> {
        let _shared = match self.one_core {
            true => OneCore::share(server, effort)?,
            false => None,
        };
        let deliveries = self.subscribers * self.batch;
        cost(effort, &[server.pid()], deliveries, async |rounds| {
            flight.publish(rounds).await
        })
        .await
    }
}

/// What the host costs.
pub(crate) struct Host {
    pub(crate) cost: Cost,
    /// Memory that each channel with its subscribers takes, in bytes.
    pub(crate) memory: f64,
    /// Its last answer to a publisher.
    answer: String,
}

/// Measures the host alone.
pub(crate) async fn host(job: &Job, effort: Effort) -> Result<Host> {
    let server = Server::host()?;
    let before = server.resident()?;
    let frames: Result<Vec<Vec<u8>>> = (0..job.channels).map(|channel| job.frame(channel)).collect();
    let mut flight = job.prepare(&server, &frames?).await?;
    let memory = (server.resident()? - before) as f64 / job.channels as f64;
    Ok(Host {
        cost: job.cost(&server, effort, &mut flight).await?,
        memory,
        answer: flight.publishers[0].answer(),
    })
}

async fn floor(job: &Job, answer: String, effort: Effort) -> Result<Cost> {
    let server = Server::floor(&FloorArgs {
        port: 0,
        channels: job.channels,
        batch: job.batch,
        text: job.text(0)?,
        answer,
    })?;
    let frames = vec![job.frame(0)?; job.channels];
    let mut flight = job.prepare(&server, &frames).await?;
    job.cost(&server, effort, &mut flight).await
}
