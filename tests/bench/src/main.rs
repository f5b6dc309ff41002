//! What Jackfield costs, each figure beside a baseline of the same run.
//!
//! `doors` times one call through each door, `plugins` what comes before a call, `disturbance` what others notice of a plugin
//! that loops for ever. `fanout` and `idle` start the real server and the *floor*, a bare loop
//! that writes the same bytes to as many sockets without protocol, plugins or hub, and compare CPU time and memory as the
//! kernel accounts for them. `floor` is that loop; the others start it. `hop` starts brokers and instances, and compares the way from one
//! instance to another with the broker's own.

mod disturbance;
mod doors;
mod fanout;
mod floor;
mod harness;
mod hop;
mod idle;
mod plugins;
mod process;
mod publisher;
mod raw_broker;
mod subscribers;

use clap::{Parser, Subcommand};

/// Benchmarks.
#[derive(Parser)]
struct Cli {
    /// All of them if none is named.
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// One call through each door.
    Doors {
        /// Only the rows that have this in their name.
        #[arg(default_value = "")]
        only: String,
    },
    /// Loading a plugin, and the memory of an instance.
    Plugins,
    /// CPU seconds per million deliveries, one channel.
    Fanout(fanout::FanoutArgs),
    /// Memory per idle subscribed connection.
    Idle(idle::IdleArgs),
    /// What the way to another instance adds to the broker's own.
    Hop(hop::HopArgs),
    /// What others notice while a plugin loops for ever.
    Disturbance,
    /// The floor itself: connections in, a byte on one of them is answered on all others.
    #[command(hide = true)]
    Floor {
        /// Where to listen.
        port: u16,
        /// Bytes of a frame.
        bytes: usize,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().what {
        Some(What::Doors { only }) => doors::run(&only),
        Some(What::Plugins) => plugins::run(),
        Some(What::Fanout(args)) => fanout::run(&args),
        Some(What::Idle(args)) => idle::run(&args),
        Some(What::Hop(args)) => hop::run(&args),
        Some(What::Disturbance) => disturbance::run(),
        Some(What::Floor { port, bytes }) => floor::run(port, bytes),
        None => {
            doors::run("")?;
            plugins::run()?;
            disturbance::run()?;
            hop::run(&hop::HopArgs::parse_from([""]))?;
            fanout::run(&fanout::FanoutArgs::parse_from([""]))?;
            idle::run(&idle::IdleArgs::parse_from([""]))
        }
    }
}
