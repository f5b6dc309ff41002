//! A broker by itself: what its own publishers and subscribers need, over plain sockets, without a client library.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::client::until;
use crate::harness::brokers::{Broker, RedisCluster};

/// A kind of broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Cluster,
    Nats,
}

/// Running brokers of one kind.
pub(crate) enum Brokers {
    Redis(Broker),
    Cluster(RedisCluster),
    Nats(Broker),
}

/// A publisher and a subscriber.
pub(crate) struct RawBroker {
    publisher: TcpStream,
    subscriber: TcpStream,
    message: Vec<u8>,
    /// What the publisher is told when the broker has taken it; nothing at NATS.
    answer: &'static str,
}

impl Brokers {
    /// Starts them.
    pub(crate) async fn start(kind: Kind) -> Self {
        match kind {
            Kind::Redis => Self::Redis(Broker::redis().await),
            Kind::Cluster => Self::Cluster(RedisCluster::start().await),
            Kind::Nats => Self::Nats(Broker::nats().await),
        }
    }

    /// The variable by which an instance is told where they are, and its value.
    pub(crate) fn address(&self) -> (&'static str, String) {
        match self {
            Self::Redis(broker) => ("REDIS_URL", broker.url()),
            Self::Cluster(cluster) => ("REDIS_CLUSTER_NODES", cluster.urls().join(",")),
            Self::Nats(broker) => ("NATS_URL", broker.url()),
        }
    }

    /// One server, for a client that knows of no other.
    pub(crate) fn server(&self) -> String {
        match self {
            Self::Redis(broker) | Self::Nats(broker) => broker.url(),
            Self::Cluster(cluster) => cluster.nodes[0].url(),
        }
    }
}

impl RawBroker {
    /// Connects twice, at a cluster to the server that has the channel.
    pub(crate) async fn connect(brokers: &Brokers) -> Result<Self> {
        let payload = format!("{}{END}", "x".repeat(PAYLOAD - END.len()));
        let (port, subscribe, subscribed, message, answer) = match brokers {
            Brokers::Redis(broker) => (
                broker.port,
                format!("SUBSCRIBE {CHANNEL}\r\n"),
                ":1\r\n",
                format!("PUBLISH {CHANNEL} {payload}\r\n"),
                ":1\r\n",
            ),
            Brokers::Cluster(cluster) => {
                let slot = cluster.nodes[0].cli(&["CLUSTER", "KEYSLOT", CHANNEL]).parse()?;
                (
                    cluster.serving(slot).0.port,
                    format!("SSUBSCRIBE {CHANNEL}\r\n"),
                    ":1\r\n",
                    format!("SPUBLISH {CHANNEL} {payload}\r\n"),
                    ":1\r\n",
                )
            }
            Brokers::Nats(broker) => (
                broker.port,
                format!("SUB {CHANNEL} 1\r\nPING\r\n"),
                "PONG\r\n",
                format!("PUB {CHANNEL} {PAYLOAD}\r\n{payload}\r\n"),
                "",
            ),
        };
        let mut subscriber = TcpStream::connect(("127.0.0.1", port)).await?;
        let publisher = TcpStream::connect(("127.0.0.1", port)).await?;
        for stream in [&subscriber, &publisher] {
            stream.set_nodelay(true)?;
        }
        subscriber.write_all(subscribe.as_bytes()).await?;
        until(&mut subscriber, subscribed).await?;
        let message = message.into_bytes();
        Ok(Self {
            publisher,
            subscriber,
            message,
            answer,
        })
    }

    /// How long one message takes from the publisher to the subscriber.
    pub(crate) async fn round_trip(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        self.publisher.write_all(&self.message).await?;
        until(&mut self.subscriber, END).await?;
        let taken = begun.elapsed();
        if !self.answer.is_empty() {
            until(&mut self.publisher, self.answer).await?;
        }
        Ok(taken)
    }
}

const CHANNEL: &str = "bench";
/// As long as an envelope with an event of 100 bytes.
pub(crate) const PAYLOAD: usize = 250;
/// How it ends: nothing else that a broker says looks like it.
const END: &str = "<end>";
