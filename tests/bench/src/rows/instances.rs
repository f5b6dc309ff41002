//! Three instances over one broker: events are published at the first one, and heard there or at the second one.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::{Server, root};
use crate::raw_broker::{Brokers, Kind};

/// The instances, and the brokers between them.
pub(super) struct Instances {
    pub(super) near: Server,
    pub(super) far: Server,
    /// Has no subscribers.
    pub(super) idle: Server,
    pub(super) brokers: Brokers,
}

/// The last ones that were asked for: it takes them seconds to find each other.
#[derive(Default)]
pub(super) struct Kept(Option<(Kind, Rc<Instances>)>);

impl Kept {
    /// Instances over such brokers.
    pub(super) async fn over(&mut self, kind: Kind) -> Result<Rc<Instances>> {
        if let Some((_, instances)) = self.0.take_if(|(kept, _)| *kept == kind) {
            return Ok(Rc::clone(&self.0.insert((kind, instances)).1));
        }
        // Those of another kind end first.
        self.0 = None;
        let instances = Rc::new(Instances::start(kind).await?);
        Ok(Rc::clone(&self.0.insert((kind, instances)).1))
    }
}

impl Instances {
    async fn start(kind: Kind) -> Result<Self> {
        let brokers = Brokers::start(kind).await;
        let mut servers = over(&brokers, 3).await?.into_iter();
        let mut next = || servers.next().context("three were started");
        Ok(Self {
            near: next()?,
            far: next()?,
            idle: next()?,
            brokers,
        })
    }
}

/// Instances over these brokers, when they have met.
pub(crate) async fn over(brokers: &Brokers, count: usize) -> Result<Vec<Server>> {
    let (variable, address) = brokers.address();
    let mut servers = Vec::new();
    for _ in 0..count {
        let plugins = root()?.join("plugins");
        servers.push(Server::host_with("", &plugins, Some((variable, &address)))?);
    }
    for server in &servers {
        server.is_ready().await?;
    }
    Ok(servers)
}

impl Server {
    /// Messages of channels that it was sent by others, as its metrics say.
    pub(super) async fn heard_over_the_adapter(&self) -> Result<u64> {
        let metrics = get(self.metrics, "/metrics").await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(RECEIVED));
        let line = line.with_context(|| format!("no {RECEIVED} in {metrics}"))?;
        Ok(line.trim().parse()?)
    }

    /// Waits until it has met the others.
    pub(crate) async fn is_ready(&self) -> Result<()> {
        let end = Instant::now() + JOINING;
        while !get(self.entry.address, "/ready").await?.starts_with("HTTP/1.1 200") {
            ensure!(Instant::now() < end, "an instance did not join the others");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

async fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

const RECEIVED: &str = "jackfield_cluster_received_total{kind=\"channel\"}";
/// Joining the others takes seven seconds.
const JOINING: Duration = Duration::from_secs(30);
