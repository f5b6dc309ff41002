//! A server of one's own: the real binary, in a folder of its own, on ports of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;

use tokio::time::sleep;

pub(crate) use super::folder::{Folder, free_port};
use super::http::{DEVELOPMENT, Http, Keys, get};
use super::wait::{GLANCE, LIMIT, until, within};

/// What a server is to be started with. By default: the default plugins, development mode, no metrics.
pub(crate) struct Setup {
    /// What lies in the plugins folder.
    plugins: BTreeMap<String, Vec<u8>>,
    config: String,
    /// Its file: TOML, or JSON.
    file: &'static str,
    prefix: &'static str,
    mode: &'static str,
    metrics: bool,
    env: Vec<(String, String)>,
    /// How long its first answer may take. It listens at once, and answers when its plugins are loaded.
    patience: Duration,
}

/// A running server, ended and cleared away with this value.
pub(crate) struct Server {
    child: Child,
    folder: Folder,
    /// Its configuration's file.
    config: PathBuf,
    pub(crate) port: u16,
    metrics_port: u16,
}

/// A server that ended by itself.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it wrote on its standard error.
    pub(crate) errors: String,
}

impl Default for Setup {
    fn default() -> Self {
        let setup = Self {
            plugins: BTreeMap::new(),
            config: String::new(),
            file: "jackfield.toml",
            prefix: "",
            mode: "development",
            metrics: false,
            env: Vec::new(),
            patience: LIMIT,
        };
        let built = place("JACKFIELD_PLUGINS_BUILT");
        DEFAULT_PLUGINS
            .iter()
            .fold(setup, |setup, name| setup.plugin_from(&built, name))
    }
}

impl Setup {
    /// Adds a plugin that only tests load, with the operator's file that lies beside it, if there is one.
    pub(crate) fn guest(self, name: &str) -> Self {
        self.plugin_from(&place("JACKFIELD_GUESTS"), name)
    }

    /// Adds one of the default plugins that are not in every folder, with its operator's file.
    pub(crate) fn built(self, name: &str) -> Self {
        self.plugin_from(&place("JACKFIELD_PLUGINS_BUILT"), name)
    }

    /// Takes a plugin away.
    pub(crate) fn without(mut self, plugin: &str) -> Self {
        let gone = self.plugins.remove(&format!("{plugin}.wasm"));
        assert!(gone.is_some(), "there is no plugin {plugin}");
        self
    }

    /// Puts a file into the plugins folder.
    pub(crate) fn file(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.plugins.insert(name.to_owned(), bytes.into());
        self
    }

    /// Adds to the configuration, in TOML.
    pub(crate) fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self.config.push('\n');
        self
    }

    /// The configuration is JSON; what is added to it are members, each with its comma.
    pub(crate) fn json(mut self) -> Self {
        self.file = "jackfield.json";
        self
    }

    /// The development app with these settings and, beside them, what every app has by default.
    pub(crate) fn app(self, settings: &str) -> Self {
        let Keys { id, key, secret } = DEVELOPMENT;
        self.config(&format!(
            "[[apps]]\nid = \"{id}\"\nkey = \"{key}\"\nsecret = \"{secret}\"\n{settings}"
        ))
    }

    /// Everything is served under this path.
    pub(crate) fn under(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }

    pub(crate) fn production(mut self) -> Self {
        self.mode = "production";
        self
    }

    pub(crate) fn with_metrics(mut self) -> Self {
        self.metrics = true;
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// For plugins that take long to compile.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The bytes of a file in the plugins folder.
    pub(crate) fn bytes(&self, file: &str) -> Vec<u8> {
        self.plugins[file].clone()
    }

    /// Starts the server and waits until it answers.
    pub(crate) async fn start(self) -> Server {
        self.start_at("127.0.0.1").await
    }

    /// The same for a server that was told to listen on another address.
    pub(crate) async fn start_at(self, host: &str) -> Server {
        for _ in 0..ATTEMPTS {
            let port = free_port();
            if let Some(server) = self.start_on(host, port).await {
                return server;
            }
        }
        panic!("the server did not start; its standard error is above");
    }

    /// Starts the server in the place of another one, which is told to end.
    pub(crate) async fn start_in_place_of(self, mut old: Server) -> Server {
        old.terminate();
        old.ended().await;
        let server = self.start_on("127.0.0.1", old.port).await;
        server.expect("the port is free again")
    }

    /// Starts a server that is expected to end by itself.
    pub(crate) async fn run_on(&self, port: u16) -> Ended {
        let mut server = self.spawn(port);
        let status = within(self.patience, "the server to end", server.end()).await;
        Ended {
            status,
            errors: server.errors(),
        }
    }

    /// None if it ended at once, perhaps because somebody else had taken the port.
    async fn start_on(&self, host: &str, port: u16) -> Option<Server> {
        let mut server = self.spawn(port);
        let answers = until("the server's first answer", async || {
            if !server.runs() {
                eprintln!("{}", server.errors());
                return Some(false);
            }
            let mut http = Http::connect_to(host, server.port).await.ok()?.patient(self.patience);
            let live = http.get(&format!("{}/live", self.prefix)).await.ok()?;
            Some(live.status == 200)
        });
        answers.await.then_some(server)
    }

    fn spawn(&self, port: u16) -> Server {
        let folder = Folder::new();
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins).expect("the folder is ours");
        for (name, bytes) in &self.plugins {
            fs::write(plugins.join(name), bytes).expect("the folder is ours");
        }
        let metrics_port = free_port();
        let config = folder.path().join(self.file);
        fs::write(&config, self.configuration(port, metrics_port)).expect("the folder is ours");
        let errors = File::create(folder.path().join(ERRORS)).expect("the folder is ours");
        let mut command = jackfield();
        command
            .args(["serve".as_ref(), "--config".as_ref(), config.as_os_str()])
            .current_dir(folder.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(errors);
        let child = command.spawn().expect("JACKFIELD_BIN can be run");
        let own = self.env.iter().find(|(name, _)| name == "PORT");
        let port = own.and_then(|(_, port)| port.parse().ok()).unwrap_or(port);
        Server {
            child,
            folder,
            config,
            port,
            metrics_port,
        }
    }

    fn configuration(&self, port: u16, metrics_port: u16) -> String {
        let (prefix, mode, text, metrics) = (self.prefix, self.mode, &self.config, self.metrics);
        if self.file.ends_with("json") {
            return format!(
                "{{ \"host\": \"127.0.0.1\",\n\"port\": {port},\n\"mode\": \"{mode}\",\n\
                 \"metrics\": {{ \"enabled\": {metrics}, \"port\": {metrics_port} }},\n{text}\n\"activity_timeout\": 120\n}}\n"
            );
        }
        format!(
            "host = \"127.0.0.1\"\nport = {port}\npath_prefix = \"{prefix}\"\nmode = \"{mode}\"\n{text}\n\
             [metrics]\nenabled = {metrics}\nport = {metrics_port}\n"
        )
    }

    fn plugin_from(mut self, folder: &Path, name: &str) -> Self {
        let component = fs::read(folder.join(format!("{name}.wasm")));
        let component = component.unwrap_or_else(|error| panic!("{name}.wasm: {error}; run `cargo xtask test`"));
        self = self.file(&format!("{name}.wasm"), component);
        match fs::read(folder.join(format!("{name}.toml"))) {
            Ok(operator) => self.file(&format!("{name}.toml"), operator),
            Err(_) => self,
        }
    }
}

impl Server {
    /// A server with nothing special about it.
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    /// Its configuration's file.
    pub(crate) fn config_file(&self) -> &Path {
        &self.config
    }

    /// A file in the plugins folder.
    pub(crate) fn plugin_file(&self, name: &str) -> PathBuf {
        self.folder.path().join("plugins").join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Status and body of `/ready`.
    pub(crate) async fn ready(&self) -> (u16, Value) {
        let answer = get(self.port, "/ready").await;
        (answer.status, answer.json())
    }

    /// Puts another configuration into the place of the one that it was started with.
    pub(crate) fn reconfigure(&self, setup: &Setup) {
        let (place, beside) = (self.folder.path().join(CONFIG), self.folder.path().join(".new.toml"));
        fs::write(&beside, setup.configuration(self.port, self.metrics_port)).expect("the folder is ours");
        fs::rename(beside, place).expect("the folder is ours");
    }

    /// All metrics, as text. Needs [`Setup::with_metrics`].
    pub(crate) async fn metrics(&self) -> String {
        get(self.metrics_port, "/metrics").await.body
    }

    /// The value of one metric, its labels included in `name`.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.unwrap_or_else(|| panic!("no metric {name} in\n{text}"));
        value.parse().expect("a count")
    }

    /// Calls of a plugin at a door since it went live.
    pub(crate) async fn calls(&self, plugin: &str, door: &str) -> u64 {
        let labels = format!("{{plugin=\"{plugin}\",door=\"{door}\"}}");
        self.metric(&format!("jackfield_plugin_calls_total{labels}")).await
    }

    /// Those of them that trapped or ran out of time.
    pub(crate) async fn traps(&self, plugin: &str, door: &str) -> u64 {
        let labels = format!("{{plugin=\"{plugin}\",door=\"{door}\"}}");
        self.metric(&format!("jackfield_plugin_traps_total{labels}")).await
    }

    /// Waits until a metric has this value.
    pub(crate) async fn reaches(&self, name: &str, wanted: u64) {
        let what = format!("{name} to become {wanted}");
        until(&what, async || (self.metric(name).await == wanted).then_some(())).await;
    }

    pub(crate) fn metrics_port(&self) -> u16 {
        self.metrics_port
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the process is ours");
    }

    /// Sends SIGHUP.
    pub(crate) fn hang_up(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("the process is ours");
    }

    /// Stops the process where it is, as a machine that is out of breath would.
    pub(crate) fn suspend(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("the process is ours");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("the process is ours");
    }

    /// Lets the process have the file descriptors that it has, and no other.
    pub(crate) fn leaves_no_more_files(&self) {
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the server runs");
        let numbers = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok());
        let taken: BTreeSet<u64> = numbers.collect();
        let lowest_free = (0..).find(|number| !taken.contains(number));
        let limit = Rlimit {
            current: lowest_free,
            maximum: lowest_free,
        };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).expect("the process is ours");
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        within(LIMIT, "the server to end", self.end()).await
    }

    async fn end(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("its state is known") {
                return status;
            }
            sleep(GLANCE).await;
        }
    }

    /// Whether the process has not ended yet.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("its state is known").is_none()
    }

    /// Memory that the process has now, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = kib.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("Linux says how much a process has") << 10
    }

    /// What the server has logged so far.
    pub(crate) fn errors(&self) -> String {
        let bytes = fs::read(self.folder.path().join(ERRORS)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- the server's standard error\n{}", self.errors());
        }
    }
}

/// The binary, with nothing of the caller's environment: it would be configuration.
pub(crate) fn jackfield() -> Command {
    let mut command = Command::new(place("JACKFIELD_BIN"));
    command.env_clear().env("NO_COLOR", "1");
    command
}

/// A place that `cargo xtask test` names.
pub(crate) fn place(variable: &str) -> PathBuf {
    named(variable)
        .unwrap_or_else(|| panic!("{variable} is not set; run `cargo xtask test`"))
        .into()
}

/// What somebody who runs the tests says in the environment.
pub(crate) fn named(variable: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "how the tests are told where things are")]
    std::env::var_os(variable)
}

/// The plugins that ship with the server.
pub(crate) const DEFAULT_PLUGINS: [&str; 4] = ["adapter-local", "auth-pusher", "rate-limit-local", "webhook-http"];

/// Where the configuration is.
const CONFIG: &str = "jackfield.toml";

/// Where a server's standard error goes.
const ERRORS: &str = "errors";

/// How often a server is started before the test gives up.
const ATTEMPTS: u32 = 3;
