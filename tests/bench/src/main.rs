//! What Jackfield costs, each figure beside a baseline of the same run.
//!
//! `table` starts the real server and the *floor*, a bare loop that writes the same bytes to as many sockets without protocol,
//! plugins or hub, and compares CPU time, delays and memory as the kernel accounts for them; it also starts brokers and instances,
//! and compares the way from one instance to another with the client library's and the broker's own. `fairness` is what a quiet
//! channel notices of a flooded one, `curves` how cost grows. `doors` times one call through each door, `limits` what of it is precaution, `plugins`
//! what comes before a call, `disturbance` what others notice of a plugin that loops for ever. `floor` and `bare` are what the others start to compare with.

mod bare;
mod client;
mod cores;
mod cost;
mod curves;
mod disturbance;
mod doors;
mod entry;
mod fairness;
mod figure;
mod floor;
mod harness;
mod limits;
mod picture;
mod plugins;
mod process;
mod publisher;
mod raw_broker;
mod report;
mod rows;
mod subscribers;
mod table;
mod times;

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
    /// What the server costs, row by row, beside the floor.
    Table(table::TableArgs),
    /// What a quiet channel notices of a flooded one.
    Fairness(fairness::FairnessArgs),
    /// How cost grows with connections, channels, subscribers, publishers and instances.
    Curves(curves::CurvesArgs),
    /// One call through each door.
    Doors {
        /// Only the rows that have this in their name.
        #[arg(default_value = "")]
        only: String,
    },
    /// What it costs that a guest can be stopped and is bounded.
    Limits,
    /// Loading a plugin, and the memory of an instance.
    Plugins,
    /// What others notice while a plugin loops for ever.
    Disturbance {
        /// Only the rows that have this in their name.
        #[arg(default_value = "")]
        only: String,
    },
    /// The floor itself.
    #[command(hide = true)]
    Floor(floor::FloorArgs),
    /// The floor of the way over a broker.
    #[command(hide = true)]
    Bare(bare::BareArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().what {
        Some(What::Table(args)) => table::run(&args),
        Some(What::Fairness(args)) => fairness::run(&args),
        Some(What::Curves(args)) => curves::run(&args),
        Some(What::Doors { only }) => doors::run(&only),
        Some(What::Limits) => limits::run(),
        Some(What::Plugins) => plugins::run(),
        Some(What::Disturbance { only }) => disturbance::run(&only),
        Some(What::Floor(args)) => floor::run(args),
        Some(What::Bare(args)) => bare::run(&args),
        None => {
            doors::run("")?;
            limits::run()?;
            plugins::run()?;
            disturbance::run("")?;
            table::run(&table::TableArgs::default())?;
            fairness::run(&fairness::FairnessArgs::parse_from([""]))?;
            curves::run(&curves::CurvesArgs::default())
        }
    }
}
