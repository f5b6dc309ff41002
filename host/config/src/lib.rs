//! The configuration, in two steps: the file as written ([`raw`]), and what the program means by it ([`Config`]).
//!
//! Later words win: defaults, file, environment, command line. Every mistake stops the start with a message that names
//! the place and what is accepted. While the program runs all of it is read again in just the same way, and compared.

mod changes;
mod env_names;
mod mistakes;
mod network;
mod raw;
mod raw_adapter;
mod raw_app;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use jackfield_hub::doors::Rule;
use jackfield_hub::{App, Policy, Secret, per_seconds};
use jackfield_protocol::pusher::session::Features;

pub use changes::Written;
use mistakes::Mistake;
use raw::{RawBatching, RawConfig, RawMetrics, RawRule};
use raw_adapter::{Choice, Section};
use raw_app::RawApp;
pub use token::Token;

/// What the program needs to know. No option, no default hidden elsewhere.
#[derive(Debug)]
pub struct Config {
    /// Where clients and servers connect.
    pub listen: SocketAddr,
    /// What stands in front of every path that is served: empty, or `/a/b`.
    pub path_prefix: String,
    /// What a proxy takes away from the front of a path: likewise.
    pub external_path_prefix: String,
    /// The proxies whose word on the caller is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections at a time, of all apps; none: no limit.
    pub max_connections: Option<NonZeroU64>,
    /// Where metrics are served; none if they are switched off.
    pub metrics: Option<SocketAddr>,
    /// What operators show, beside the metrics.
    pub admin_token: Option<Token>,
    /// Whether the development page is served.
    pub development: bool,
    /// With what instances seal what they say to each other; none: they do not.
    pub cluster_key: Option<Token>,
    /// This instance's name, unique in the cluster.
    pub node: String,
    /// The plugins folder.
    pub plugins: PathBuf,
    /// Where compiled plugins are kept; none: nowhere.
    pub compiled: Option<PathBuf>,
    /// Which plugins stand where.
    pub doors: Doors,
    /// The apps, at least one.
    pub apps: Vec<App>,
    /// How notices are gathered into webhooks.
    pub batching: Batching,
    /// Whether webhooks may go to addresses that are not public.
    pub private_webhooks: bool,
    /// Headers of handshakes and requests that auth plugins see, in lower case.
    pub seen_headers: Vec<String>,
    /// Whether live subscriptions are asked for again when whoever decides has changed.
    pub recheck: bool,
    /// The largest message of a client.
    pub max_message_bytes: usize,
    /// How many connections one address may open; none: no limit.
    pub connect_rule: Option<Rule>,
    /// Silence after which a connection is asked for a sign of life.
    pub activity_timeout: Duration,
    /// Over which time connections are closed when the program ends.
    pub shutdown_grace: Duration,
    /// Whether many sockets are written with one system call, where the kernel allows it.
    pub io_uring: bool,
    /// Event loops.
    pub shards: usize,
    /// All of it as written, to be compared with what is written later.
    pub written: Written,
}

/// Which plugin stands at which door, and what each is handed.
#[derive(Clone, Debug)]
pub struct Doors {
    /// `adapter.driver`, and what has decided on it.
    pub adapter: String,
    pub adapter_because: &'static str,
    /// `auth.chain`.
    pub auth: Vec<String>,
    /// `rate_limiter.plugin`.
    pub rate_limit: String,
    /// `webhooks.plugin`.
    pub webhook: String,
    /// JSON objects by plugin name.
    pub configs: BTreeMap<String, String>,
}

/// How many notices one webhook may bear, and how long they gather.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// At least 1.
    pub size: usize,
    /// Zero: no longer than it takes.
    pub pause: Duration,
}

/// What the command line says; it wins over everything else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// `--port N`.
    pub port: Option<u16>,
    /// `--plugins DIR`.
    pub plugins: Option<PathBuf>,
    /// `--dev`.
    pub development: bool,
}

/// Where a configuration is read from, as often as it is to be read.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The command line, and in it the file.
    pub overrides: Overrides,
    /// The environment.
    pub lookup: fn(&str) -> Option<String>,
}

/// Something in the configuration is wrong.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct ConfigError(String);

impl Origin {
    /// Reads the configuration as it is now.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(&self) -> Result<Config, ConfigError> {
        Config::load(self.overrides.clone(), self.lookup)
    }
}

impl Config {
    /// Reads the file, the environment (as `lookup` gives it) and the command line.
    ///
    /// # Errors
    /// [`ConfigError`], for the operator to read.
    pub fn load(overrides: Overrides, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let (mut raw, source) = match &overrides.file {
            Some(path) => raw::read(path)
                .map(|(raw, source)| (raw, Some(source)))
                .map_err(ConfigError)?,
            None => (RawConfig::default(), None),
        };
        env_names::apply(&mut raw, &lookup).map_err(ConfigError)?;
        if raw.cache.directory.is_none() {
            raw.cache.directory = users_cache(lookup);
        }
        if let Some(port) = overrides.port {
            raw.port = port;
        }
        if let Some(plugins) = overrides.plugins {
            raw.plugins = plugins;
        }
        if overrides.development {
            raw.mode = raw::Mode::Development;
        }
        let written = Written::new(source, &raw).map_err(ConfigError)?;
        meant(raw, written)
    }
}

/// The name, key and secret of the app that development mode offers. Digits, because some libraries insist on them.
pub const DEVELOPMENT_APP: (&str, &str, &str) = ("1001", "app-key", "app-secret");

fn meant(raw: RawConfig, written: Written) -> Result<Config, ConfigError> {
    let development = raw.mode == raw::Mode::Development;
    let adapter = raw.adapter.choose();
    let configs = plugin_configs(&adapter, &raw.plugin);
    let apps = apps(&raw.apps, development).map_err(|mistake| written.tell(&mistake))?;
    let RawMetrics { enabled, host, port } = raw.metrics;
    Ok(Config {
        listen: SocketAddr::new(raw.host.0, raw.port),
        path_prefix: raw.path_prefix.0,
        external_path_prefix: raw.http_api.external_path_prefix.0,
        trusted_proxies: raw.trusted_proxies.iter().map(|network| network.0).collect(),
        max_connections: NonZeroU64::new(raw.max_connections),
        metrics: enabled.then(|| SocketAddr::new(host.0, port)),
        admin_token: raw.admin.token,
        cluster_key: raw.cluster.key,
        development,
        node: raw.instance.process_id.unwrap_or_else(made_up_name),
        plugins: raw.plugins,
        // A folder of its own: it must be closed to others, which the one around it need not be.
        compiled: (raw.cache.directory.filter(|_| raw.cache.enabled)).map(|folder| folder.join("compiled")),
        doors: Doors {
            configs,
            adapter: adapter.driver,
            adapter_because: adapter.because,
            auth: raw.auth.chain,
            rate_limit: raw.rate_limiter.plugin,
            webhook: raw.webhooks.plugin,
        },
        apps,
        batching: batching(raw.webhooks.batching),
        // Whoever tries things out has the receiver on the same machine.
        private_webhooks: raw.webhooks.allow_private_addresses || development,
        recheck: raw.auth.recheck,
        seen_headers: raw.auth.headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
        max_message_bytes: raw.websocket_max_payload_kb.get() * 1_024,
        connect_rule: raw.rate_limiter.websocket_rate_limit.map(rule),
        activity_timeout: Duration::from_secs(raw.activity_timeout.get()),
        shutdown_grace: Duration::from_secs(raw.shutdown_grace_period),
        io_uring: raw.io_uring,
        shards: std::thread::available_parallelism().map_or(1, usize::from),
        written,
    })
}

/// The apps, each with an id and a key of its own; in development mode there is always one.
fn apps(raw: &[RawApp], development: bool) -> Result<Vec<App>, Mistake> {
    let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
    let mut apps = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let wrong = |mistake: Mistake| mistake.in_item("apps", index);
        apps.push(raw.meant().map_err(wrong)?);
        for (what, value, known) in [("id", &raw.id, &mut ids), ("key", &raw.key, &mut keys)] {
            if !known.insert(value) {
                let text = format!("two apps have the {what} `{value}`; each needs its own");
                return Err(wrong(Mistake::new(text).at(what)));
            }
        }
        if raw.secret == DEVELOPMENT_APP.2 && !development {
            let text = format!("app `{}` has the development secret, which everybody knows", raw.id);
            return Err(wrong(Mistake::new(text).at("secret")));
        }
    }
    if apps.is_empty() && development {
        apps.push(development_app());
    }
    if apps.is_empty() {
        let text = "there are no apps; add one, or start with --dev to try things out";
        return Err(Mistake::new(text).at("apps"));
    }
    Ok(apps)
}

/// Everything on, so that whatever is tried out works.
fn development_app() -> App {
    let (id, key, secret) = DEVELOPMENT_APP;
    let policy = Policy {
        features: Features {
            client_events: true,
            user_authentication: true,
            watchlist: true,
        },
        subscription_count: true,
        ..Policy::default()
    };
    App::new(id, key, Secret::new(secret), policy)
}

fn batching(raw: RawBatching) -> Batching {
    if raw.enabled {
        Batching {
            size: raw.size.get(),
            pause: Duration::from_millis(raw.duration),
        }
    } else {
        Batching {
            size: 1,
            pause: Duration::ZERO,
        }
    }
}

fn rule(raw: RawRule) -> Rule {
    per_seconds(raw.max_requests.get(), raw.window_seconds.get())
}

/// `adapter.DRIVER` is for the adapter, `plugin.NAME` for any other plugin.
fn plugin_configs(adapter: &Choice, others: &BTreeMap<String, Section>) -> BTreeMap<String, String> {
    let text = |section: &Section| serde_json::Value::Object(section.clone()).to_string();
    let mut configs = BTreeMap::new();
    for (name, section) in &adapter.sections {
        configs.insert(format!("adapter-{name}"), text(section));
        configs.insert(name.clone(), text(section));
    }
    configs.extend(others.iter().map(|(name, section)| (name.clone(), text(section))));
    configs
}

/// An instance without a configured name is told apart by chance.
fn made_up_name() -> String {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    format!("node-{}", bytes.map(|byte| format!("{byte:02x}")).concat())
}

/// The folder for what can be made anew, as the XDG Base Directory Specification names it; none without a home.
fn users_cache(lookup: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| lookup(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("jackfield"))
}

/// The file that is used when none is named on the command line, if it exists.
pub fn default_file() -> Option<PathBuf> {
    let path = Path::new("jackfield.toml");
    path.exists().then(|| path.to_path_buf())
}

#[cfg(test)]
mod tests;
