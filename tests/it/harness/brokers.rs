//! Real brokers: Redis, Redis Cluster, Sentinel, NATS. Each on ports of its own, in a folder of its own, ended with its value.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

pub(crate) use super::redis_cluster::RedisCluster;

use super::certificates::Certificates;
use super::folder::{Folder, free_port};
use super::wait::until;

/// A running broker.
pub(crate) struct Broker {
    pub(crate) port: u16,
    program: &'static str,
    folder: Folder,
    /// What `redis-cli` needs to be let in.
    key: Vec<String>,
    /// None while it is killed.
    child: Option<Child>,
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
        Self::start(REDIS, port, &format!("port {port}\n{REDIS_HERE}{config}\n")).await
    }

    /// Redis that speaks TLS alone, with clients that it knows.
    pub(crate) async fn redis_tls(certificates: &Certificates) -> Self {
        Self::redis_tls_with(certificates, "tls-auth-clients yes").await
    }

    /// Redis that speaks TLS alone, with further lines of configuration.
    pub(crate) async fn redis_tls_with(certificates: &Certificates, config: &str) -> Self {
        let config = format!("{REDIS_HERE}{config}\n");
        Self::start_tls(REDIS, certificates, &config).await
    }

    /// A sentinel that watches this server under the name `main`.
    pub(crate) async fn sentinel(master: &Self) -> Self {
        let port = free_port();
        Self::start(SENTINEL, port, &format!("port {port}\n{}", watching(master))).await
    }

    /// A sentinel that speaks TLS alone, with everybody, and watches a server that does.
    pub(crate) async fn sentinel_tls(master: &Self, certificates: &Certificates) -> Self {
        let config = format!("tls-auth-clients no\ntls-replication yes\n{}", watching(master));
        Self::start_tls(SENTINEL, certificates, &config).await
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
        let scheme = match (self.program, self.key.is_empty()) {
            (NATS, _) => "nats",
            (_, true) => "redis",
            (_, false) => "rediss",
        };
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

    /// The same with another configuration, of which these lines are no part any more.
    pub(crate) async fn restart_without(&mut self, lines: &str) {
        let file = self.folder.path().join(CONFIG);
        let config = fs::read_to_string(&file).expect("it was written");
        assert!(config.contains(lines), "{config}");
        fs::write(file, config.replace(lines, "")).expect("the folder is ours");
        self.restart().await;
    }

    /// What `redis-cli` prints for a command.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let key = self.key.iter().map(String::as_str);
        redis_cli(
            &["-p", &port]
                .into_iter()
                .chain(key)
                .chain(words.iter().copied())
                .collect::<Vec<_>>(),
        )
    }

    async fn start_tls(program: &'static str, certificates: &Certificates, config: &str) -> Self {
        let port = free_port();
        let [authority, certificate, key] = ["ca.pem", "server.pem", "server.key"].map(|name| certificates.file(name));
        let config = format!(
            "port 0\ntls-port {port}\ntls-ca-cert-file {authority}\ntls-cert-file {certificate}\ntls-key-file {key}\n{config}"
        );
        let mut broker = Self::start(program, port, &config).await;
        let words = ["--tls", "--cacert", &authority, "--cert", &certificate, "--key", &key];
        broker.key = words.map(str::to_owned).to_vec();
        broker
    }

    async fn start(program: &'static str, port: u16, config: &str) -> Self {
        let folder = Folder::new();
        fs::write(folder.path().join(CONFIG), config).expect("the folder is ours");
        let mut broker = Self {
            port,
            program,
            key: Vec::new(),
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

/// For a sentinel.
fn watching(master: &Broker) -> String {
    format!(
        "bind 127.0.0.1\nsentinel monitor main 127.0.0.1 {} 1\n\
         sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n",
        master.port
    )
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
/// On this machine alone, and nothing is kept.
const REDIS_HERE: &str = "bind 127.0.0.1\nsave \"\"\nappendonly no\n";
const SENTINEL: &str = "sentinel";
const NATS: &str = "nats-server";
const CONFIG: &str = "broker.conf";
const OUTPUT: &str = "output";
const MISSING: &str = "install redis-server 7 and nats-server 2 (on Debian: apt-get install redis-server nats-server)";
