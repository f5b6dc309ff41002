//! Environment variables that override keys of the file: a table, not code.

use std::path::PathBuf;
use std::str::FromStr;

use super::raw::{Mode, RawConfig};
use super::token::Token;

/// Sets one key from a text; the error says what is accepted.
type Set = fn(&mut RawConfig, &str) -> Result<(), String>;

/// Variable, key, and how it is set.
pub(super) const ENV_NAMES: &[(&str, &str, Set)] = &[
    ("HOST", "host", |raw, text| text.parse().map(|host| raw.host = host)),
    ("PORT", "port", |raw, text| port(text).map(|port| raw.port = port)),
    ("PATH_PREFIX", "path_prefix", |raw, text| {
        text.parse().map(|prefix| raw.path_prefix = prefix)
    }),
    ("TRUSTED_PROXIES", "trusted_proxies", |raw, text| {
        list(text).map(|proxies| raw.trusted_proxies = proxies)
    }),
    ("MAX_CONNECTIONS", "max_connections", |raw, text| {
        number(text).map(|connections| raw.max_connections = connections)
    }),
    ("ENVIRONMENT", "mode", |raw, text| {
        mode(text).map(|mode| raw.mode = mode)
    }),
    ("JACKFIELD_PLUGINS", "plugins", |raw, text| {
        raw.plugins = PathBuf::from(text);
        Ok(())
    }),
    ("ADAPTER_DRIVER", "adapter.driver", |raw, text| {
        raw.adapter.driver = Some(text.to_owned());
        Ok(())
    }),
    ("REDIS_URL", "adapter.redis.url", |raw, text| {
        let section = raw.adapter.mean("redis", "REDIS_URL");
        section.retain(|key, _| !matches!(key.as_str(), "redis_pub_options" | "redis_sub_options" | "sentinels"));
        section.insert("url".to_owned(), text.into());
        Ok(())
    }),
    ("REDIS_CLUSTER_NODES", "adapter.redis-cluster.nodes", |raw, text| {
        let section = raw.adapter.mean("redis-cluster", "REDIS_CLUSTER_NODES");
        section.insert("nodes".to_owned(), texts(text));
        Ok(())
    }),
    ("NATS_URL", "adapter.nats.servers", |raw, text| {
        let section = raw.adapter.mean("nats", "NATS_URL");
        section.insert("servers".to_owned(), texts(text));
        Ok(())
    }),
    ("NATS_SERVERS", "adapter.nats.servers", |raw, text| {
        let section = raw.adapter.mean("nats", "NATS_SERVERS");
        section.insert("servers".to_owned(), texts(text));
        Ok(())
    }),
    ("NATS_USERNAME", "adapter.nats.username", |raw, text| {
        nats(raw, "username", text)
    }),
    ("NATS_PASSWORD", "adapter.nats.password", |raw, text| {
        nats(raw, "password", text)
    }),
    ("NATS_TOKEN", "adapter.nats.token", |raw, text| nats(raw, "token", text)),
    ("INSTANCE_PROCESS_ID", "instance.process_id", |raw, text| {
        raw.instance.process_id = Some(text.to_owned());
        Ok(())
    }),
    ("SHUTDOWN_GRACE_PERIOD", "shutdown_grace_period", |raw, text| {
        number(text).map(|seconds| raw.shutdown_grace_period = seconds)
    }),
    ("METRICS_HOST", "metrics.host", |raw, text| {
        text.parse().map(|host| raw.metrics.host = host)
    }),
    ("JACKFIELD_CLUSTER_KEY", "cluster.key", |raw, text| {
        raw.cluster.key = Some(Token::try_from(text.to_owned())?);
        Ok(())
    }),
    ("JACKFIELD_ADMIN_TOKEN", "admin.token", |raw, text| {
        raw.admin.token = Some(Token::try_from(text.to_owned())?);
        Ok(())
    }),
    ("METRICS_PORT", "metrics.port", |raw, text| {
        port(text).map(|port| raw.metrics.port = port)
    }),
];

/// Applies every variable that is set.
///
/// # Errors
/// A text that names the variable and its key.
pub(super) fn apply(raw: &mut RawConfig, lookup: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    for (name, key, set) in ENV_NAMES {
        if let Some(text) = lookup(name) {
            set(raw, &text).map_err(|accepted| format!("environment variable {name}=`{text}`: `{key}`: {accepted}"))?;
        }
    }
    Ok(())
}

/// One key of the section for NATS.
fn nats(raw: &mut RawConfig, key: &str, text: &str) -> Result<(), String> {
    let section = raw.adapter.sections.entry("nats".to_owned()).or_default();
    section.insert(key.to_owned(), text.into());
    Ok(())
}

/// Separated by commas, as a section holds them.
fn texts(text: &str) -> serde_json::Value {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.collect()
}

fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| "must be a whole number from 0 to 65535".to_owned())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "must be a whole number".to_owned())
}

/// Separated by commas.
fn list<T: FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::parse).collect()
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "production" => Ok(Mode::Production),
        "development" => Ok(Mode::Development),
        _ => Err("must be `production` or `development`".to_owned()),
    }
}
