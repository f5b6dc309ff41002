//! The command line: `jackfield serve`, `jackfield publish`, `jackfield plugins` and `jackfield reload`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use jackfield::plugins_command::{PluginsArgs, plugins};
use jackfield::publish_command::{PublishArgs, publish};
use jackfield::reload_command::{ReloadArgs, reload};
use jackfield::{Server, assemble};
use jackfield_config::{self as config, Origin, Overrides};
use tikv_jemallocator::Jemalloc;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What one thread asks for another one often frees: frames, and what goes to a broker. With the C library's allocator an event over Redis costs a twelfth
/// more.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// A realtime server that is patched while it runs.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server until SIGTERM or SIGINT. SIGHUP has it read its configuration again.
    Serve(ServeArgs),
    /// Publishes one event through the HTTP API.
    Publish(PublishArgs),
    /// Shows the plugins of a running server, loads them anew, and brings back the version before.
    Plugins(PluginsArgs),
    /// Has a running server read its configuration again.
    Reload(ReloadArgs),
}

#[derive(Args)]
struct ServeArgs {
    /// The configuration file (.toml, .json with comments). `jackfield.toml` here is read if there is one.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The port for clients and the HTTP API.
    #[arg(long)]
    port: Option<u16>,
    /// The folder with the plugins.
    #[arg(long)]
    plugins: Option<PathBuf>,
    /// Development mode: an app that everybody knows, and a page to try things out.
    #[arg(long)]
    dev: bool,
}

fn main() -> ExitCode {
    // The client for NATS reports every attempt; a link says once why it is down.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,async_nats=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve(args),
        Command::Publish(args) => ask(publish(args)),
        Command::Plugins(args) => ask(plugins(args)),
        Command::Reload(args) => ask(reload(args)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let overrides = Overrides {
        file: args.config.or_else(config::default_file),
        port: args.port,
        plugins: args.plugins,
        development: args.dev,
    };
    let origin = Origin {
        overrides,
        lookup: environment,
    };
    let background = background()?;
    // From here on it ends nothing, however early it comes.
    let hangup = {
        let _runtime = background.enter();
        signal(SignalKind::hangup())?
    };
    let config = origin.read()?;
    let development = config.development;
    let (node, driver, because) = (
        config.node.clone(),
        config.doors.adapter.clone(),
        config.doors.adapter_because,
    );
    let server = assemble(config, origin, &background)?;
    tracing::info!(address = %server.address, node, adapter = driver, because, "Jackfield {} is up", env!("CARGO_PKG_VERSION"));
    for reason in server.unready() {
        tracing::warn!("not ready: {reason}");
    }
    if development {
        greet(&server);
    }
    let refused = background.block_on(async {
        tokio::select! {
            told = told_to_stop() => told.map(|()| None),
            reason = server.refused() => Ok(Some(reason)),
            never = reload_on(hangup, &server) => match never {},
        }
    })?;
    server.stop();
    // What still runs in the background is repeated by whoever waits for it.
    background.shutdown_background();
    refused.map_or(Ok(()), |reason| Err(anyhow::anyhow!(reason)))
}

fn ask(question: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    background()?.block_on(question)
}

/// For webhooks, metrics and plugins that wait: one thread beside the event loops.
fn background() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("background")
        .enable_all()
        .build()
}

async fn told_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn reload_on(mut hangup: Signal, server: &Server) -> Infallible {
    loop {
        hangup.recv().await;
        server.reload();
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::print_stdout, reason = "for the person who has just started it")]
fn greet(server: &Server) {
    let (id, key, secret) = config::DEVELOPMENT_APP;
    let port = server.address.port();
    println!(
        "
  Jackfield runs in development mode: app {id}, key {key}, secret {secret}

    open      http://127.0.0.1:{port}/
    publish   target/release/jackfield publish lobby greeting '{{\"text\":\"hello\"}}' --url http://127.0.0.1:{port}
    clients   new Pusher('{key}', {{ wsHost: '127.0.0.1', wsPort: {port}, forceTLS: false, cluster: 'x' }})
"
    );
}
