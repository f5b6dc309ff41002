//! The configuration file as written: TOML, or JSON with comments. Unknown keys are refused with their line.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::net::Ipv4Addr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::mistakes::Source;
use super::network::{Host, Network, PathPrefix};
use super::raw_adapter::{RawAdapter, Section};
use super::raw_app::RawApp;
use super::token::Token;

/// The whole file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    /// The address to listen on.
    pub(super) host: Host,
    /// The port for WebSocket clients and the HTTP API.
    pub(super) port: u16,
    /// What stands in front of every path.
    pub(super) path_prefix: PathPrefix,
    /// The proxies whose word on the caller is believed.
    pub(super) trusted_proxies: Vec<Network>,
    /// Connections at a time, of all apps; 0: no limit.
    pub(super) max_connections: u64,
    /// `production` or `development`.
    pub(super) mode: Mode,
    /// The folder with the `.wasm` files.
    pub(super) plugins: PathBuf,
    /// Seconds of silence before a client is asked for a sign of life.
    pub(super) activity_timeout: NonZeroU64,
    /// Seconds over which connections are closed when the program ends.
    pub(super) shutdown_grace_period: u64,
    /// The largest message of a client.
    pub(super) websocket_max_payload_kb: NonZeroUsize,
    /// Whether many sockets are written with one system call, where the kernel allows it.
    pub(super) io_uring: bool,
    pub(super) instance: RawInstance,
    pub(super) adapter: RawAdapter,
    pub(super) auth: RawAuth,
    pub(super) rate_limiter: RawRateLimiter,
    pub(super) webhooks: RawWebhooks,
    /// Sections handed to plugins, by plugin name.
    pub(super) plugin: BTreeMap<String, Section>,
    pub(super) http_api: RawHttpApi,
    pub(super) metrics: RawMetrics,
    pub(super) admin: RawAdmin,
    pub(super) cluster: RawCluster,
    pub(super) cache: RawCache,
    pub(super) apps: Vec<RawApp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Production,
    Development,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawInstance {
    /// Unique per instance; made up if absent.
    pub(super) process_id: Option<String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHttpApi {
    /// What a proxy takes away from the front of a path that a client has signed.
    pub(super) external_path_prefix: PathPrefix,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAuth {
    /// Plugins that are asked in this order.
    pub(super) chain: Vec<String>,
    /// Request headers that they get to see.
    pub(super) headers: Vec<String>,
    /// Whether live subscriptions are asked for again when whoever decides has changed.
    pub(super) recheck: bool,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRateLimiter {
    pub(super) plugin: String,
    /// Connections that one address may open.
    pub(super) websocket_rate_limit: Option<RawRule>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) max_requests: NonZeroU32,
    pub(super) window_seconds: NonZeroU32,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawWebhooks {
    pub(super) plugin: String,
    pub(super) batching: RawBatching,
    /// Whether they may go to addresses that are not public.
    pub(super) allow_private_addresses: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawBatching {
    /// Whether one request may bear several events.
    pub(super) enabled: bool,
    /// Milliseconds in which they gather.
    pub(super) duration: u64,
    /// How many at most.
    pub(super) size: NonZeroUsize,
}

impl Default for RawBatching {
    fn default() -> Self {
        Self {
            enabled: false,
            duration: 50,
            size: NonZeroUsize::MIN.saturating_add(99),
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawMetrics {
    pub(super) enabled: bool,
    pub(super) host: Host,
    pub(super) port: u16,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            host: Host(Ipv4Addr::UNSPECIFIED.into()),
            port: 6001,
            path_prefix: PathPrefix::default(),
            trusted_proxies: Vec::new(),
            max_connections: 0,
            mode: Mode::Production,
            plugins: PathBuf::from("plugins"),
            activity_timeout: NonZeroU64::MIN.saturating_add(119),
            shutdown_grace_period: 10,
            // An event of 10 KB may be escaped to several times its size.
            websocket_max_payload_kb: NonZeroUsize::MIN.saturating_add(63),
            io_uring: true,
            instance: RawInstance::default(),
            adapter: RawAdapter::default(),
            auth: RawAuth::default(),
            rate_limiter: RawRateLimiter::default(),
            webhooks: RawWebhooks::default(),
            plugin: BTreeMap::new(),
            http_api: RawHttpApi::default(),
            metrics: RawMetrics::default(),
            admin: RawAdmin::default(),
            cluster: RawCluster::default(),
            cache: RawCache::default(),
            apps: Vec::new(),
        }
    }
}

impl Default for RawAuth {
    fn default() -> Self {
        Self {
            chain: vec!["auth-pusher".to_owned()],
            headers: Vec::new(),
            recheck: false,
        }
    }
}

impl Default for RawRateLimiter {
    fn default() -> Self {
        Self {
            plugin: "rate-limit-local".to_owned(),
            websocket_rate_limit: None,
        }
    }
}

impl Default for RawWebhooks {
    fn default() -> Self {
        Self {
            plugin: "webhook-http".to_owned(),
            batching: RawBatching::default(),
            allow_private_addresses: false,
        }
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAdmin {
    /// What whoever looks at plugins, or changes them, must show. Without it that is possible on this machine alone.
    pub(super) token: Option<Token>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCluster {
    /// What all instances know, and nobody else who can reach the broker.
    pub(super) key: Option<Token>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCache {
    /// Whether compiled plugins are kept for the next start.
    pub(super) enabled: bool,
    /// The folder for that; the user's cache folder if absent.
    pub(super) directory: Option<PathBuf>,
}

impl Default for RawCache {
    fn default() -> Self {
        Self {
            enabled: true,
            directory: None,
        }
    }
}

impl Default for RawMetrics {
    fn default() -> Self {
        Self {
            enabled: true,
            host: Host(Ipv4Addr::LOCALHOST.into()),
            port: 9601,
        }
    }
}

/// Reads a file.
///
/// # Errors
/// A text with the file, the line and the key.
pub(super) fn read(path: &Path) -> Result<(RawConfig, Source), String> {
    let source = Source::open(path)?;
    Ok((source.read(PhantomData)?, source))
}
