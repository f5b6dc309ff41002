//! Memory of connections that are subscribed and silent: resident bytes of the server, divided by their number.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::process::Server;
use crate::subscribers::{Received, listen_plain, subscribe};

#[derive(Parser)]
pub(crate) struct IdleArgs {
    /// Connections.
    #[arg(long, default_value_t = 8_000)]
    connections: usize,
    /// Seconds over which the CPU time of the idle connections is counted.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Prints one line for the floor and one for the host.
#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
pub(crate) fn run(args: &IdleArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{} idle connections", args.connections);
    let floor = LocalSet::new().block_on(&runtime, floor(args))?;
    println!(
        "floor      {:>7} bytes a connection, {:.2} CPU s in {} s",
        floor.0, floor.1, args.seconds
    );
    let host = LocalSet::new().block_on(&runtime, host(args))?;
    println!(
        "jackfield  {:>7} bytes a connection, {:.2} CPU s in {} s",
        host.0, host.1, args.seconds
    );
    Ok(())
}

async fn host(args: &IdleArgs) -> Result<(u64, f64)> {
    let server = Server::host()?;
    let before = server.resident()?;
    let received = Rc::new(Received::default());
    for _ in 0..args.connections {
        subscribe(server.address, "bench", Rc::clone(&received), Vec::new()).await?;
    }
    settle(args, &server, before).await
}

async fn floor(args: &IdleArgs) -> Result<(u64, f64)> {
    let server = Server::floor(1)?;
    let _control = TcpStream::connect(server.address).await?;
    let before = server.resident()?;
    let received = Rc::new(Received::default());
    for _ in 0..args.connections {
        listen_plain(server.address, Rc::clone(&received)).await?;
    }
    settle(args, &server, before).await
}

async fn settle(args: &IdleArgs, server: &Server, before: u64) -> Result<(u64, f64)> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let each = (server.resident()? - before) / args.connections as u64;
    let cpu = server.cpu()?;
    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
    Ok((each, (server.cpu()? - cpu).as_secs_f64()))
}
