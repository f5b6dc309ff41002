//! Builds what a server needs, and starts it or measures it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::plugins::{self, Batch};
use crate::step::Steps;
use crate::target::{self, Route};
use crate::workspace::Workspace;

/// The default plugins and the host.
pub(crate) fn build(workspace: &Workspace, route: Option<Route>, steps: &mut Steps) -> Result<()> {
    let toolchain = steps.run("find a WebAssembly target", || target::prepare(workspace, route))?;
    plugins::build(&toolchain, &[Batch::defaults(workspace)?], steps)?;
    build_host(workspace, steps)?;
    steps.announce(&format!("ready: {}", workspace.host_binary().display()));
    Ok(())
}

pub(crate) fn build_host(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    steps.command("compile the host", compile_host(workspace))
}

pub(crate) fn compile_host(workspace: &Workspace) -> Command {
    workspace.host_cargo("build", &["--release", "--bin", "jackfield"])
}

/// Builds, then becomes the server, so that signals and the exit status are the server's own.
pub(crate) fn serve(
    workspace: &Workspace,
    route: Option<Route>,
    arguments: &[String],
    steps: &mut Steps,
) -> Result<()> {
    build(workspace, route, steps)?;
    eprintln!("           built in {:.0} s", steps.elapsed().as_secs_f64());
    let mut server = Command::new(workspace.host_binary());
    server
        .current_dir(&workspace.root)
        .args(["serve", "--dev"])
        .args(arguments);
    Err(server.exec()).with_context(|| format!("cannot start {}", workspace.host_binary().display()))
}

/// Builds, then becomes the bench, which starts the servers that it measures.
pub(crate) fn bench(
    workspace: &Workspace,
    route: Option<Route>,
    arguments: &[String],
    steps: &mut Steps,
) -> Result<()> {
    let toolchain = steps.run("find a WebAssembly target", || target::prepare(workspace, route))?;
    let batches = [Batch::defaults(workspace)?, Batch::for_tests(workspace)?];
    plugins::build(&toolchain, &batches, steps)?;
    build_host(workspace, steps)?;
    steps.command(
        "compile the bench",
        workspace.host_cargo("build", &["--release", "--bin", "jackfield-bench"]),
    )?;
    let program = workspace.bench_binary();
    let mut bench = Command::new(&program);
    bench.current_dir(&workspace.root).args(arguments);
    Err(bench.exec()).with_context(|| format!("cannot start {}", program.display()))
}
