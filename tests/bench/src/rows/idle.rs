//! Connections that are subscribed and silent: what memory and what CPU time they take.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::cost::{Effort, block_on};
use crate::figure::{Figure, Goal};
use crate::floor::FloorArgs;
use crate::process::{Server, cpu as used, descriptors};

/// Bytes per connection.
pub(crate) struct Memory {
    pub(crate) connections: usize,
    pub(crate) resident: f64,
    /// Buffers of the kernel, for both ends of each connection.
    kernel: f64,
}

/// Measures the row of that name. Once: what is allocated does not vary.
pub(crate) fn memory(effort: Effort, goal: Goal) -> Result<Vec<Figure>> {
    let steps = steps(effort)?;
    let host = block_on(fill(Server::host()?, &steps))?;
    let floor = block_on(fill(Server::floor(&FloorArgs::one_channel(String::new()))?, &steps))?;
    let mut figures = Vec::new();
    for (host, floor) in host.iter().zip(&floor) {
        let count = host.connections;
        figures.push(Figure::beside(&format!("bytes each, {count}"), &[floor.resident], &[host.resident]).goal(goal));
        let kernel = format!("kernel bytes each, {count}");
        figures.push(Figure {
            ratio: None,
            ..Figure::beside(&kernel, &[floor.kernel], &[host.kernel])
        });
    }
    Ok(figures)
}

/// Measures the row of that name. A floor would use none.
pub(crate) fn cpu(effort: Effort, goal: Goal) -> Result<Vec<Figure>> {
    let span = Duration::from_secs(if effort.smoke { 10 } else { 60 });
    let idle = block_on(async {
        let server = Server::host()?;
        let mut streams = Vec::new();
        connect(&server, FEW, &mut streams).await?;
        sleep(SETTLING).await;
        let before = used(server.pid())?;
        sleep(span).await;
        Ok((used(server.pid())? - before).as_secs_f64())
    })?;
    let what = format!("CPU s in {} s", span.as_secs());
    let figure = Figure::alone(&what, &[idle]);
    // The goal is that of a minute; less of it is a tick or two.
    Ok(vec![if effort.smoke { figure } else { figure.goal(goal) }])
}

/// With few connections, and with many if there may be so many.
fn steps(effort: Effort) -> Result<Vec<usize>> {
    let all = !effort.smoke && descriptors()? >= MANY as u64 + OTHER_DESCRIPTORS;
    Ok(if all { vec![FEW, MANY] } else { vec![FEW] })
}

/// Memory with so many connections, one number after the other.
pub(crate) async fn fill(server: Server, steps: &[usize]) -> Result<Vec<Memory>> {
    let before = (server.resident()?, kernel()?);
    let mut streams = Vec::new();
    let mut found = Vec::new();
    for &connections in steps {
        connect(&server, connections, &mut streams).await?;
        sleep(SETTLING).await;
        let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / connections as f64;
        found.push(Memory {
            connections,
            resident: each(server.resident()?, before.0),
            kernel: each(kernel()?, before.1),
        });
    }
    Ok(found)
}

/// Connects until there are so many.
async fn connect(server: &Server, connections: usize, streams: &mut Vec<TcpStream>) -> Result<()> {
    while streams.len() < connections {
        streams.push(server.entry.subscriber("bench", 0).await?);
    }
    Ok(())
}

/// Bytes that the buffers of all TCP sockets of this machine take.
fn kernel() -> Result<u64> {
    let stat = fs::read_to_string("/proc/net/sockstat")?;
    let line = stat.lines().find(|line| line.starts_with("TCP:"));
    let pages = line
        .and_then(|line| line.split_once(" mem "))
        .context("sockstat tells the memory of TCP")?;
    Ok(pages.1.trim().parse::<u64>()? * rustix::param::page_size() as u64)
}

const FEW: usize = 10_000;
const MANY: usize = 18_000;
/// What server and bench have open beside the connections.
pub(crate) const OTHER_DESCRIPTORS: u64 = 500;
/// After it, what the last connections left behind is cleared away.
const SETTLING: Duration = Duration::from_secs(2);
