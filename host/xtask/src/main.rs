//! `cargo xtask`: everything that needs more than one cargo command.
//!
//! Builds the plugins (for WebAssembly, as components) and the host, runs the server, runs all tests. It never links
//! the host or wasmtime, so that it is ready in seconds on a clean clone.

mod brokers;
mod component;
mod conformance;
mod debian;
mod guest;
mod languages;
mod npm;
mod plugins;
mod python;
mod run;
mod step;
mod target;
mod test;
mod wasip2;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::step::Steps;
use crate::target::Route;
use crate::workspace::Workspace;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Build, run and test Jackfield"
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
    /// Take this way to a WebAssembly target and no other.
    #[arg(long, global = true, hide = true, value_enum, env = "JACKFIELD_WASM_ROUTE")]
    wasm_route: Option<Route>,
}

#[derive(Subcommand)]
enum Task {
    /// Build the default plugins into plugins/ and the host into target/release/jackfield.
    Build,
    /// Write the table of rules and the tests that show them.
    Conformance,
    /// Wrap a core module, built for wasm32-unknown-unknown with the SDK, as a plugin.
    Component {
        /// The core module.
        core: PathBuf,
        /// Where the plugin goes; its file name without `.wasm` is the plugin's name.
        #[arg(short, long)]
        out: PathBuf,
    },
    /// Build, then serve on port 6001 with the local adapter and the development app.
    Run {
        /// Further arguments of `jackfield serve`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Build, then measure what the server costs beside a bare loop; figures and a picture go to target/bench/.
    Bench {
        /// `table`, `fairness`, `curves`, `doors`, `limits`, `plugins` or `disturbance` with their options; all of them if nothing is given.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Build, then change plugins and brokers under load, over and over; tables and a picture go to target/soak/.
    Soak {
        /// How many changes of each kind.
        #[arg(default_value_t = 1_000)]
        changes: u32,
    },
    /// Check formatting and lints, build everything, run every test.
    Test {
        /// Run the tests whose name contains this, without formatting and lints.
        filter: Option<String>,
    },
}

fn main() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> Result<()> {
    let workspace = Workspace::locate()?;
    let mut steps = Steps::start();
    match cli.task {
        Task::Build => run::build(&workspace, cli.wasm_route, &mut steps),
        Task::Conformance => conformance::write(&workspace),
        Task::Component { core, out } => component::wrap(&core, &out),
        Task::Run { args } => run::serve(&workspace, cli.wasm_route, &args, &mut steps),
        Task::Bench { args } => run::bench(&workspace, cli.wasm_route, &args, &mut steps),
        Task::Soak { changes } => test::soak(&workspace, cli.wasm_route, changes, &mut steps),
        Task::Test { filter } => test::everything(&workspace, cli.wasm_route, filter.as_deref(), &mut steps),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_two_dashes_goes_to_the_server() {
        let cli = Cli::parse_from(["xtask", "run", "--", "--config", "my.toml"]);
        let Task::Run { args } = cli.task else {
            panic!("not run")
        };
        assert_eq!(args, ["--config", "my.toml"]);
    }
}
