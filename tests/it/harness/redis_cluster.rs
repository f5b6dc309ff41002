//! A Redis Cluster of real servers.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::brokers::Broker;
use super::certificates::Certificates;
use super::folder::free_port;

/// Redis Cluster: three primaries, then a replica of each.
pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<Broker>,
}

impl RedisCluster {
    /// Six servers that have found each other; failures are noticed within a second.
    pub(crate) async fn start() -> Self {
        Self::of(async |config| Broker::redis_with(&config).await).await
    }

    /// The same without sharded Pub/Sub, as servers before 7.0 are.
    pub(crate) async fn old() -> Self {
        Self::of(async |config| Broker::redis_with(&format!("{config}{NOT_SHARDED}")).await).await
    }

    /// The same, speaking TLS alone, with clients that it knows.
    pub(crate) async fn tls(certificates: &Certificates) -> Self {
        let secret = "tls-cluster yes\ntls-replication yes\ntls-auth-clients yes\n";
        Self::of(async |config| Broker::redis_tls_with(certificates, &format!("{config}{secret}")).await).await
    }

    /// Servers that `make` makes, given what they need in any case.
    async fn of(make: impl AsyncFn(String) -> Broker) -> Self {
        let mut nodes = Vec::new();
        let buses: Vec<String> = (0..6).map(|_| free_port().to_string()).collect();
        for bus in &buses {
            let config = format!(
                "cluster-enabled yes\ncluster-node-timeout 1000\ncluster-port {bus}\nrepl-diskless-sync-delay 0\n"
            );
            nodes.push(make(config).await);
        }
        let cluster = Self { nodes };
        cluster.introduce(&buses).await;
        cluster
    }

    /// Tells the servers, known by the ports of their bus, of each other and of who does what.
    async fn introduce(&self, buses: &[String]) {
        for (index, (node, bus)) in self.nodes.iter().zip(buses).enumerate() {
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            self.nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string(), bus]);
        }
        for (node, range) in self.nodes.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
            let words: Vec<&str> = range.split(' ').collect();
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", words[0], words[1]]);
        }
        self.all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_known_nodes:6"))
            .await;
        for (primary, replica) in self.nodes.iter().zip(&self.nodes[3..]) {
            let id = primary.cli(&["CLUSTER", "MYID"]);
            replica.cli(&["CLUSTER", "REPLICATE", &id]);
        }
        self.settles().await;
    }

    /// Replaces every old server by one with sharded Pub/Sub, in turn; those that served go on serving.
    pub(crate) async fn upgrade(&mut self) {
        for index in 0..self.nodes.len() {
            self.nodes[index].restart_without(NOT_SHARDED).await;
            self.settles().await;
        }
    }

    /// Waits until every slot is served, and every primary has a replica in step.
    async fn settles(&self) {
        let settled = |node: &Broker| {
            node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                && node.cli(&["CLUSTER", "NODES"]).matches("slave ").count() == 3
                // A replica that has never been in step does not take over.
                && !node.cli(&["INFO", "replication"]).contains("master_link_status:down")
        };
        self.all(settled).await;
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Broker::url).collect()
    }

    /// The node that serves a slot, and its id.
    pub(crate) fn serving(&self, slot: u16) -> (&Broker, String) {
        let (port, id) = self.primary(slot, 0).expect("every slot is served");
        let node = self.nodes.iter().find(|node| node.port == port);
        (node.expect("it is one of ours"), id)
    }

    /// Moves an empty slot, as `redis-cli --cluster reshard` does.
    pub(crate) fn migrate(&self, slot: u16, to: &Broker) {
        let ((from, from_id), slot) = (self.serving(slot), slot.to_string());
        let to_id = to.cli(&["CLUSTER", "MYID"]);
        to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        to.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        from.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
    }

    /// Waits until this is so on every node.
    async fn all(&self, fine: impl Fn(&Broker) -> bool) {
        let end = Instant::now() + SETTLING;
        while !self.nodes.iter().all(&fine) {
            assert!(Instant::now() < end, "the cluster did not settle:\n{}", self.views());
            sleep(GLANCE).await;
        }
    }

    /// What each node knows of all.
    fn views(&self) -> String {
        let views = self.nodes.iter().map(|node| node.cli(&["CLUSTER", "NODES"]));
        views.collect::<Vec<_>>().join("\n")
    }

    /// Port and id of a slot's primary, as a node sees it.
    fn primary(&self, slot: u16, node: usize) -> Option<(u16, String)> {
        let nodes = self.nodes[node].cli(&["CLUSTER", "NODES"]);
        nodes.lines().find_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let serves = words.iter().skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let bounds = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
                bounds.is_some_and(|(first, last)| (first..=last).contains(&slot))
            });
            let port = words
                .get(1)?
                .split(['@', ','])
                .next()?
                .rsplit(':')
                .next()?
                .parse()
                .ok()?;
            serves.then(|| (port, words[0].to_owned()))
        })
    }
}

/// What came with 7.0. A server without these answers as those did that never had them.
const NOT_SHARDED: &str =
    "rename-command SSUBSCRIBE \"\"\nrename-command SUNSUBSCRIBE \"\"\nrename-command SPUBLISH \"\"\n";

/// How long six servers may take to find each other.
const SETTLING: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(50);
