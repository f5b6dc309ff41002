//! Several instances over one broker.

use std::time::Duration;

use super::http::Publisher;
use super::server::{Server, Setup};
use super::wait::{GLANCE, LIMIT, within};

/// Instances that know each other.
pub(crate) struct Fleet {
    pub(crate) servers: Vec<Server>,
}

/// How an instance finds the others: what stands in its environment.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) plugin: &'static str,
    pub(crate) env: Vec<(String, String)>,
}

impl Way {
    /// By the address of a broker alone.
    pub(crate) fn new(plugin: &'static str, variable: &str, address: &str) -> Self {
        Self {
            plugin,
            env: vec![(variable.to_owned(), address.to_owned())],
        }
    }

    /// A server that goes this way.
    pub(crate) fn setup(&self, setup: Setup) -> Setup {
        let setup = setup.without("adapter-local").built(self.plugin);
        self.env
            .iter()
            .fold(setup, |setup, (name, value)| setup.env(name, value))
    }
}

impl Fleet {
    /// So many instances, each ready.
    pub(crate) async fn start(count: usize, way: &Way) -> Self {
        Self::of((0..count).map(|_| way.setup(Setup::default())).collect()).await
    }

    /// These instances.
    pub(crate) async fn of(setups: Vec<Setup>) -> Self {
        let mut servers = Vec::new();
        for setup in setups {
            servers.push(setup.patience(JOINING).start().await);
        }
        let fleet = Self { servers };
        fleet.is_ready().await;
        fleet
    }

    /// Waits until every instance is.
    pub(crate) async fn is_ready(&self) {
        for server in &self.servers {
            joined(server).await;
        }
    }

    pub(crate) fn port(&self, instance: usize) -> u16 {
        self.servers[instance].port
    }

    /// Of all instances.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.servers.iter().map(|server| server.port).collect()
    }

    /// A backend that publishes to one instance.
    pub(crate) async fn publisher(&self, instance: usize) -> Publisher {
        Publisher::new(self.port(instance)).await
    }
}

/// Waits until an instance has joined the others.
pub(crate) async fn joined(server: &Server) {
    let ready = async {
        loop {
            if server.ready().await.0 == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within(JOINING, "the instance to join the others", ready).await;
}

/// Waits for an answer of one instance that shows what another one has done.
pub(crate) async fn learns(publisher: &mut Publisher, address: &str, wanted: &serde_json::Value) {
    let info: &[(&str, &str)] = match wanted {
        wanted if wanted["user_count"].is_u64() => &[("info", "user_count,subscription_count")],
        wanted if wanted["subscription_count"].is_u64() => &[("info", "subscription_count")],
        _ => &[],
    };
    let mut last = serde_json::Value::Null;
    let learnt = async {
        while last != *wanted {
            last = publisher.get(address, info).await.json();
            tokio::time::sleep(GLANCE).await;
        }
    };
    let in_time = tokio::time::timeout(LIMIT, learnt).await;
    assert!(in_time.is_ok(), "{address} is not {wanted} but {last}");
}

/// Listening for its name, collecting what others have and being heard takes seven seconds; starting plugins comes before that.
const JOINING: Duration = Duration::from_secs(30);
