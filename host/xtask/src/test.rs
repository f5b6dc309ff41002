//! Everything that must hold, in one command.
//!
//! The scenarios come last and nothing is printed after them, so that the output ends with the runner's own summary.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::brokers;
use crate::languages;
use crate::npm;
use crate::plugins::{self, Batch};
use crate::python;
use crate::run;
use crate::step::{self, Beside, Steps};
use crate::target::{self, Route};
use crate::wasip2;
use crate::workspace::Workspace;

/// Formatting, build, lints, unit tests, scenarios. With a `filter` only the build and the tests it matches.
pub(crate) fn everything(
    workspace: &Workspace,
    route: Option<Route>,
    filter: Option<&str>,
    steps: &mut Steps,
) -> Result<()> {
    if filter.is_none() {
        steps.command("check the formatting", workspace.cargo(&["fmt", "--all", "--check"]))?;
    }
    steps.announce("compile the host, beside what follows: to put it together takes one core for minutes");
    let host = Beside::start(&mut run::compile_host(workspace))?;
    let has_wasip2 = build_guests(workspace, route, steps)?;
    npm::install(workspace, steps)?;
    python::install(workspace, steps)?;
    languages::build(workspace, steps)?;
    brokers::install(steps)?;
    if filter.is_none() {
        lint(workspace, steps)?;
    }
    steps.command(
        "compile the tests",
        cargo_test(workspace, &["--lib", "--bins", "--test", "it", "--no-run"], None),
    )?;
    steps.run("wait for the host", || host.end())?;
    unit_tests(workspace, filter, steps)?;
    eprint!("\n{}\n", steps.table());
    steps.announce("run the scenarios");
    let mut scenarios = cargo_test(workspace, &["--test", "it"], filter);
    if !has_wasip2 {
        scenarios.args(["--", "--skip", wasip2::SCENARIOS]);
    }
    step::succeed(&mut scenarios)
}

/// The scenarios that change things under load, more often than among all others.
pub(crate) fn soak(workspace: &Workspace, route: Option<Route>, changes: u32, steps: &mut Steps) -> Result<()> {
    build_guests(workspace, route, steps)?;
    run::build_host(workspace, steps)?;
    brokers::install(steps)?;
    let mut scenarios = cargo_test(workspace, &["--test", "it"], Some("soak::"));
    scenarios
        .env("JACKFIELD_CHANGES", changes.to_string())
        .env("JACKFIELD_SOAK", workspace.soak())
        .args(["--", "--nocapture", "--test-threads=1"]);
    steps.announce("change things under load");
    step::succeed(&mut scenarios)
}

/// The plugins that the tests run. False if guests for wasm32-wasip2 cannot be built here.
fn build_guests(workspace: &Workspace, route: Option<Route>, steps: &mut Steps) -> Result<bool> {
    let toolchain = steps.run("find a WebAssembly target", || target::prepare(workspace, route))?;
    plugins::build(
        &toolchain,
        &[Batch::defaults(workspace)?, Batch::for_tests(workspace)?],
        steps,
    )?;
    wasip2::build(workspace, steps)
}

fn lint(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let strict = ["--all-targets", "--", "-D", "warnings"];
    let mut own = workspace.cargo(&["clippy", "--package", "xtask"]);
    own.args(strict);
    steps.command("lint xtask", own)?;
    steps.command("lint the workspace", workspace.host_cargo("clippy", &strict))
}

/// All tests but the scenarios. Three calls, because cargo has no way to say "all but one test binary" that leaves the
/// selection of packages alone (see [`crate::workspace::HOST`]).
fn unit_tests(workspace: &Workspace, filter: Option<&str>, steps: &mut Steps) -> Result<()> {
    let mut own = workspace.cargo(&["test", "--package", "xtask"]);
    own.args(filter);
    steps.command("test xtask", own)?;
    steps.command("unit tests", cargo_test(workspace, &["--lib", "--bins"], filter))?;
    steps.command("documentation tests", cargo_test(workspace, &["--doc"], filter))
}

fn cargo_test(workspace: &Workspace, targets: &[&str], filter: Option<&str>) -> Command {
    let mut command = workspace.host_cargo("test", targets);
    command.envs(places(workspace)).args(filter);
    command
}

/// Where tests find what was built for them.
fn places(workspace: &Workspace) -> [(&'static str, PathBuf); 4] {
    [
        ("JACKFIELD_BIN", workspace.host_binary()),
        ("JACKFIELD_PLUGINS_BUILT", workspace.plugins()),
        ("JACKFIELD_GUESTS", workspace.test_guests()),
        ("JACKFIELD_PYTHON", workspace.python()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(command: &Command) -> String {
        command
            .get_args()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn every_call_selects_the_same_packages() {
        let workspace = Workspace::locate().unwrap();
        let scenarios = cargo_test(&workspace, &["--test", "it"], Some("swap"));
        assert_eq!(arguments(&scenarios), "test --workspace --exclude xtask --test it swap");
        let host = run::compile_host(&workspace);
        assert_eq!(
            arguments(&host),
            "build --workspace --exclude xtask --release --bin jackfield"
        );
    }

    #[test]
    fn tests_are_told_where_everything_is() {
        let workspace = Workspace::locate().unwrap();
        let command = cargo_test(&workspace, &[], None);
        let names: Vec<_> = command
            .get_envs()
            .filter(|(_, value)| value.is_some())
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        assert_eq!(
            names,
            [
                "JACKFIELD_BIN",
                "JACKFIELD_GUESTS",
                "JACKFIELD_PLUGINS_BUILT",
                "JACKFIELD_PYTHON"
            ]
        );
    }
}
