//! Real brokers: Redis, Redis Cluster, Sentinel, NATS. Each on ports of its own, in a folder of its own, ended with its value.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::time::{Instant, sleep};

use super::certificates::Certificates;
use super::folder::{Folder, free_port};
use super::wait::until;

/// A running broker.
pub(crate) struct Broker {
    pub(crate) port: u16,
    program: &'static str,
    folder: Folder,
    /// None while it is killed.
    child: Option<Child>,
}

/// Redis Cluster: three primaries, then a replica of each.
pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<Broker>,
}

/// Three NATS servers with routes between them.
pub(crate) struct NatsCluster {
    pub(crate) servers: Vec<Broker>,
}

impl Broker {
    /// Redis with nothing special about it.
    pub(crate) async fn redis() -> Self {
        Self::redis_with("").await
    }

    /// Redis with further lines of configuration.
    pub(crate) async fn redis_with(config: &str) -> Self {
        Self::redis_at(free_port(), config).await
    }

    /// Redis where somebody waits for it.
    pub(crate) async fn redis_at(port: u16, config: &str) -> Self {
        let config = format!("port {port}\nbind 127.0.0.1\nsave \"\"\nappendonly no\n{config}\n");
        Self::start(REDIS, port, &config).await
    }

    /// Redis that speaks TLS alone, with clients that it knows.
    pub(crate) async fn redis_tls(certificates: &Certificates) -> Self {
        let port = free_port();
        let config = format!(
            "port 0\ntls-port {port}\nbind 127.0.0.1\nsave \"\"\ntls-auth-clients yes\n\
             tls-ca-cert-file {}\ntls-cert-file {}\ntls-key-file {}\n",
            certificates.file("ca.pem"),
            certificates.file("server.pem"),
            certificates.file("server.key")
        );
        Self::start(REDIS, port, &config).await
    }

    /// A sentinel that watches this server under the name `main`.
    pub(crate) async fn sentinel(master: &Self) -> Self {
        let port = free_port();
        let config = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n",
            master.port
        );
        Self::start(SENTINEL, port, &config).await
    }

    /// NATS with nothing special about it.
    pub(crate) async fn nats() -> Self {
        Self::nats_with("").await
    }

    /// NATS with further lines of configuration.
    pub(crate) async fn nats_with(config: &str) -> Self {
        let port = free_port();
        Self::start(NATS, port, &format!("listen: \"127.0.0.1:{port}\"\n{config}\n")).await
    }

    /// NATS that speaks TLS alone, with clients that it knows.
    pub(crate) async fn nats_tls(certificates: &Certificates) -> Self {
        Self::nats_with(&format!(
            "tls {{ ca_file: \"{}\", cert_file: \"{}\", key_file: \"{}\", verify: true }}",
            certificates.file("ca.pem"),
            certificates.file("server.pem"),
            certificates.file("server.key")
        ))
        .await
    }

    /// The broker's URL, without user and password.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.program == NATS { "nats" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the process is ours");
            child.wait().expect("the process is ours");
        }
    }

    /// Stops it where it is: its sockets stay open, and nobody answers.
    pub(crate) fn suspend(&self) {
        let pid = Pid::from_child(self.child.as_ref().expect("it is not killed"));
        kill_process(pid, Signal::STOP).expect("the process is ours");
        // Not before every thread of it stands still.
        waitpid(Some(pid), WaitOptions::UNTRACED).expect("the process is ours");
    }

    /// Starts it again on the same port, with nothing remembered but what it wrote.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.child = Some(spawn(self.program, self.folder.path()));
        self.answers().await;
    }

    /// What it has written so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join(OUTPUT)).unwrap_or_default()
    }

    /// What `redis-cli` prints for a command.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        redis_cli(&[&["-p", &self.port.to_string()], words].concat())
    }

    async fn start(program: &'static str, port: u16, config: &str) -> Self {
        let folder = Folder::new();
        fs::write(folder.path().join(CONFIG), config).expect("the folder is ours");
        let mut broker = Self {
            port,
            program,
            child: Some(spawn(program, folder.path())),
            folder,
        };
        broker.answers().await;
        broker
    }

    async fn answers(&mut self) {
        let what = format!("{} to listen on {}", self.program, self.port);
        until(&what, async || {
            let child = self.child.as_mut().expect("it was started");
            if child.try_wait().expect("its state is known").is_some() {
                panic!("{} ended at once:\n{}", self.program, self.said());
            }
            TcpStream::connect(("127.0.0.1", self.port)).ok().map(drop)
        })
        .await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

impl RedisCluster {
    /// Six servers that have found each other; failures are noticed within a second.
    pub(crate) async fn start() -> Self {
        let mut nodes = Vec::new();
        let buses: Vec<String> = (0..6).map(|_| free_port().to_string()).collect();
        for bus in &buses {
            let config = format!(
                "cluster-enabled yes\ncluster-node-timeout 1000\ncluster-port {bus}\nrepl-diskless-sync-delay 0\n"
            );
            nodes.push(Broker::redis_with(&config).await);
        }
        let cluster = Self { nodes };
        for (index, (node, bus)) in cluster.nodes.iter().zip(&buses).enumerate() {
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            cluster.nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string(), bus]);
        }
        for (node, range) in cluster.nodes.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
            let words: Vec<&str> = range.split(' ').collect();
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", words[0], words[1]]);
        }
        cluster
            .all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_known_nodes:6"))
            .await;
        for (primary, replica) in cluster.nodes.iter().zip(&cluster.nodes[3..]) {
            let id = primary.cli(&["CLUSTER", "MYID"]);
            replica.cli(&["CLUSTER", "REPLICATE", &id]);
        }
        let settled = |node: &Broker| {
            node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                && node.cli(&["CLUSTER", "NODES"]).matches("slave ").count() == 3
                // A replica that has never been in step does not take over.
                && !node.cli(&["INFO", "replication"]).contains("master_link_status:down")
        };
        cluster.all(settled).await;
        cluster
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
            assert!(
                Instant::now() < end,
                "the cluster did not settle:\n{}",
                self.nodes[0].cli(&["CLUSTER", "NODES"])
            );
            sleep(GLANCE).await;
        }
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

impl NatsCluster {
    pub(crate) async fn start() -> Self {
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let mut servers = Vec::new();
        for own in &routes {
            let others: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
            let config = format!(
                "cluster {{ name: it, listen: \"127.0.0.1:{own}\", routes: [{}] }}",
                others.join(", ")
            );
            servers.push(Broker::nats_with(&config).await);
        }
        Self { servers }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Broker::url).collect()
    }
}

fn spawn(program: &'static str, folder: &Path) -> Child {
    let output = File::create(folder.join(OUTPUT)).expect("the folder is ours");
    let errors = output.try_clone().expect("the file is open");
    let mut command = Command::new(if program == SENTINEL { REDIS } else { program });
    match program {
        SENTINEL => command.args([CONFIG, "--sentinel"]),
        NATS => command.args(["--config", CONFIG]),
        _ => command.arg(CONFIG),
    };
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    command
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): {MISSING}"))
}

fn redis_cli(words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(words).output();
    let output = output.unwrap_or_else(|error| panic!("redis-cli cannot be run ({error}): {MISSING}"));
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success() && !said.starts_with("ERR "),
        "{words:?}: {said}"
    );
    said
}

const REDIS: &str = "redis-server";
const SENTINEL: &str = "sentinel";
const NATS: &str = "nats-server";
const CONFIG: &str = "broker.conf";
const OUTPUT: &str = "output";
const MISSING: &str = "install redis-server 7 and nats-server 2 (on Debian: apt-get install redis-server nats-server)";

/// How long six servers may take to find each other.
const SETTLING: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(50);
