//! What an operator says about a broker. Unknown keys are refused: a misspelt one must not be a default in disguise.

use std::fmt::{Debug, Formatter};
use std::time::Duration;

use serde::Deserialize;

use super::cluster::Cluster;
use super::nats::Nats;
use super::place::{self, Login, Place, Schemes};
use super::redis::Reach;
use super::single::{Single, Source, Turn};
use crate::tls::{self, TlsOptions};

/// Text that is never shown.
#[derive(Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Debug for Secret {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.0.is_empty() { "[none]" } else { "[hidden]" })
    }
}

/// A single Redis server, or a master watched by sentinels. Times are milliseconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisOptions {
    /// `redis://user:password@host:port`, or `rediss://` for TLS. Not used with sentinels.
    pub publish_url: Secret,
    /// Where to subscribe, if elsewhere: a replica.
    pub subscribe_url: Secret,
    /// For URLs that name nobody.
    pub username: String,
    /// For URLs that name nobody.
    pub password: Secret,
    /// For `rediss://`.
    pub tls: TlsOptions,
    /// URLs of sentinels; any one that answers is believed.
    pub sentinels: Vec<Secret>,
    /// What the sentinels call the master.
    pub master_name: String,
    /// For URLs of sentinels that name nobody.
    pub sentinel_password: Secret,
    /// What the canary's subject begins with, for users who may use some channels only.
    pub canary_prefix: String,
    /// For a connection with everything that belongs to it.
    pub connect_timeout_ms: u64,
    /// For the answer to a command.
    pub request_timeout_ms: u64,
}

/// A Redis Cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisClusterOptions {
    /// URLs of some of its servers; the others are found through them, and user, password and TLS hold for all.
    pub nodes: Vec<Secret>,
    /// For URLs that name nobody.
    pub username: String,
    /// For URLs that name nobody.
    pub password: Secret,
    /// For `rediss://`.
    pub tls: TlsOptions,
    /// What a canary's subject begins with.
    pub canary_prefix: String,
    /// For a connection with everything that belongs to it.
    pub connect_timeout_ms: u64,
    /// For the answer to a command.
    pub request_timeout_ms: u64,
}

/// A NATS server or cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsOptions {
    /// `nats://host:port`, or `tls://` for TLS. Tried in turn.
    pub servers: Vec<Secret>,
    /// For URLs that name nobody.
    pub username: String,
    /// For URLs that name nobody.
    pub password: Secret,
    /// Instead of user and password.
    pub token: Secret,
    /// For `tls://` and for servers that ask for TLS.
    pub tls: TlsOptions,
    /// What the canary's subject begins with.
    pub canary_prefix: String,
    /// For a connection with everything that belongs to it.
    pub connect_timeout_ms: u64,
    /// For the answer to a command.
    pub request_timeout_ms: u64,
}

/// What options say, checked.
pub(super) struct Checked<B> {
    pub(super) broker: B,
    /// How long an answer may take.
    pub(super) answer: Duration,
    pub(super) canary_prefix: String,
}

impl<B> Checked<B> {
    fn new(broker: B, request_timeout_ms: u64, canary_prefix: &str) -> Result<Self, String> {
        Ok(Self {
            broker,
            answer: time("request_timeout_ms", request_timeout_ms)?,
            canary_prefix: canary_prefix.to_owned(),
        })
    }
}

impl RedisOptions {
    pub(super) fn check(&self) -> Result<Checked<Single>, String> {
        let login = login(&self.username, &self.password);
        let reach = reach(&self.tls, self.connect_timeout_ms)?;
        let source = if self.sentinels.is_empty() {
            let publish = one("publish_url", &self.publish_url, &place::REDIS, &login)?;
            let subscribe = if self.subscribe_url.is_empty() {
                publish.clone()
            } else {
                one("subscribe_url", &self.subscribe_url, &place::REDIS, &login)?
            };
            Source::Fixed { publish, subscribe }
        } else {
            if self.master_name.is_empty() {
                return Err("sentinels need a master_name".to_owned());
            }
            let watching = Login {
                username: String::new(),
                password: self.sentinel_password.clone(),
            };
            let sentinels = all("sentinels", &self.sentinels, &place::SENTINEL, &watching)?;
            Source::Master {
                sentinels: Turn::new(sentinels),
                name: self.master_name.clone(),
                login,
            }
        };
        Checked::new(Single { source, reach }, self.request_timeout_ms, &self.canary_prefix)
    }
}

impl RedisClusterOptions {
    pub(super) fn check(&self) -> Result<Checked<Cluster>, String> {
        let login = login(&self.username, &self.password);
        let seeds = all("nodes", &self.nodes, &place::REDIS, &login)?;
        let cluster = Cluster::new(seeds, reach(&self.tls, self.connect_timeout_ms)?);
        Checked::new(cluster, self.request_timeout_ms, &self.canary_prefix)
    }
}

impl NatsOptions {
    pub(super) fn check(&self) -> Result<Checked<Nats>, String> {
        let login = login(&self.username, &self.password);
        let servers = all("servers", &self.servers, &place::NATS, &login)?;
        let Reach { tls, connect } = reach(&self.tls, self.connect_timeout_ms)?;
        let nats = Nats {
            servers: Turn::new(servers),
            token: self.token.expose().to_owned(),
            tls,
            connect,
        };
        Checked::new(nats, self.request_timeout_ms, &self.canary_prefix)
    }
}

fn login(username: &str, password: &Secret) -> Login {
    Login {
        username: username.to_owned(),
        password: password.clone(),
    }
}

fn one(key: &str, url: &Secret, schemes: &Schemes, login: &Login) -> Result<Place, String> {
    Place::parse(url.expose(), schemes, login).map_err(|error| format!("{key}: {error}"))
}

fn all(key: &str, urls: &[Secret], schemes: &Schemes, login: &Login) -> Result<Vec<Place>, String> {
    if urls.is_empty() {
        return Err(format!("{key}: name at least one server"));
    }
    urls.iter().map(|url| one(key, url, schemes, login)).collect()
}

fn reach(options: &TlsOptions, connect_ms: u64) -> Result<Reach, String> {
    Ok(Reach {
        tls: tls::client(options)?,
        connect: time("connect_timeout_ms", connect_ms)?,
    })
}

/// A time that an operator gave in milliseconds.
fn time(key: &str, ms: u64) -> Result<Duration, String> {
    if ms == 0 {
        return Err(format!("{key} must be above 0"));
    }
    Ok(Duration::from_millis(ms))
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            publish_url: Secret::new("redis://127.0.0.1:6379"),
            subscribe_url: Secret::default(),
            username: String::new(),
            password: Secret::default(),
            tls: TlsOptions::default(),
            sentinels: Vec::new(),
            master_name: String::new(),
            sentinel_password: Secret::default(),
            canary_prefix: CANARY_PREFIX.to_owned(),
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            request_timeout_ms: REQUEST_TIMEOUT_MS,
        }
    }
}

impl Default for RedisClusterOptions {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            username: String::new(),
            password: Secret::default(),
            tls: TlsOptions::default(),
            canary_prefix: CANARY_PREFIX.to_owned(),
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            request_timeout_ms: REQUEST_TIMEOUT_MS,
        }
    }
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            servers: vec![Secret::new("nats://127.0.0.1:4222")],
            username: String::new(),
            password: Secret::default(),
            token: Secret::default(),
            tls: TlsOptions::default(),
            canary_prefix: CANARY_PREFIX.to_owned(),
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            request_timeout_ms: REQUEST_TIMEOUT_MS,
        }
    }
}

/// A name that nobody else uses, legal as a channel of Redis and as a subject of NATS.
const CANARY_PREFIX: &str = "jackfield-canary.";
/// A server in another region with TLS needs some tenths of a second.
const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// How long a publisher's caller waits; later answers help nobody.
const REQUEST_TIMEOUT_MS: u64 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused_and_secrets_hidden() {
        let wrong = serde_json::from_str::<RedisOptions>(r#"{"publish_uri": "redis://h"}"#);
        assert!(wrong.unwrap_err().to_string().contains("publish_uri"));
        let options: RedisOptions =
            serde_json::from_str(r#"{"publish_url": "redis://u:topsecret@h", "password": "topsecret"}"#).unwrap();
        assert!(!format!("{options:?}").contains("topsecret"));
    }

    #[test]
    fn what_makes_no_sense_is_said_at_once() {
        let refused = |json: &str| {
            let options: RedisOptions = serde_json::from_str(json).unwrap();
            options.check().err().expect("refused")
        };
        assert!(refused(r#"{"sentinels": ["h"]}"#).contains("master_name"));
        assert!(refused(r#"{"connect_timeout_ms": 0}"#).contains("connect_timeout_ms"));
        assert!(refused(r#"{"request_timeout_ms": 0}"#).contains("request_timeout_ms"));
        assert!(refused(r#"{"tls": {"ca_file": "/nowhere.pem"}}"#).contains("/nowhere.pem"));
        assert!(refused(r#"{"tls": {"key_file": "/nowhere.pem"}}"#).contains("go together"));
        let none = NatsOptions {
            servers: Vec::new(),
            ..NatsOptions::default()
        };
        assert!(none.check().err().expect("refused").contains("at least one"));
    }
}
