//! The adapter over one Redis server, or over the master that sentinels name: Redis Pub/Sub, one channel per topic.
//!
//! `redis-cli monitor` shows `PUBLISH jackfield_adapter:1001/room …`. Connections, reconnects and passwords are the host's.

use jackfield_sdk::export_adapter;
use jackfield_sdk::host::links::Broker;
use jackfield_sdk::linked::{Linked, OverLink, Prefixed};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The adapter.
pub struct Redis(Linked<Prefixed>);

/// `adapter.redis`. The keys `requests_timeout`, `redis_pub_options` and `redis_sub_options` are also those of other Pusher servers.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// What every channel at the broker begins with: tells deployments on one Redis apart.
    prefix: String,
    /// `redis://user:password@host:port/0`; `rediss://` with TLS.
    url: String,
    /// In place of `url` for publishing.
    redis_pub_options: Server,
    /// In place of `url` for subscribing.
    redis_sub_options: Server,
    /// For a URL that names nobody.
    username: String,
    password: String,
    /// URLs of sentinels, what they call the master, and their password.
    sentinels: Vec<String>,
    master_name: String,
    sentinel_password: String,
    /// Files with certificates, for `rediss://`: `ca_file`, `cert_file`, `key_file`.
    tls: Map<String, Value>,
    /// How long the broker may take for an answer, and for a connection, in milliseconds.
    #[serde(alias = "request_timeout_ms", alias = "requests_timeout_ms")]
    requests_timeout: u64,
    connection_timeout_ms: u64,
}

/// A server by its URL.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Server {
    url: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "jackfield_adapter:".to_owned(),
            url: "redis://127.0.0.1:6379".to_owned(),
            redis_pub_options: Server::default(),
            redis_sub_options: Server::default(),
            username: String::new(),
            password: String::new(),
            sentinels: Vec::new(),
            master_name: String::new(),
            sentinel_password: String::new(),
            tls: Map::new(),
            requests_timeout: 5_000,
            connection_timeout_ms: 5_000,
        }
    }
}

impl Settings {
    /// For the host's link.
    fn options(&self) -> Value {
        let or = |url: &str| {
            if url.is_empty() {
                self.url.clone()
            } else {
                url.to_owned()
            }
        };
        json!({
            "publish_url": or(&self.redis_pub_options.url),
            "subscribe_url": or(&self.redis_sub_options.url),
            "username": self.username,
            "password": self.password,
            "sentinels": self.sentinels,
            "master_name": self.master_name,
            "sentinel_password": self.sentinel_password,
            "tls": self.tls,
            "canary_prefix": format!("{}/canary/", self.prefix),
            "request_timeout_ms": self.requests_timeout,
            "connect_timeout_ms": self.connection_timeout_ms,
        })
    }
}

impl OverLink for Redis {
    type Subjects = Prefixed;

    fn open(config: &str) -> Result<Self, String> {
        let settings: Settings = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let options = settings.options().to_string();
        Ok(Self(Linked::new(Prefixed(settings.prefix), Broker::Redis, options)))
    }

    fn linked(&self) -> &Linked<Prefixed> {
        &self.0
    }
}

export_adapter!(Redis);

#[cfg(test)]
mod tests {
    use jackfield_sdk::Adapter;
    use jackfield_sdk::double::take_links;

    use super::*;

    fn opened(config: &str) -> Value {
        let mut adapter = Redis::new(config).expect("good settings");
        adapter.start("node-1").expect("the double opens it");
        let (_, broker, options) = take_links().opened.remove(0);
        assert_eq!(broker, Broker::Redis);
        serde_json::from_str(&options).expect("an object")
    }

    #[test]
    fn one_url_serves_both_ways() {
        let options = opened(r#"{"url": "redis://h:1"}"#);
        assert_eq!(options["publish_url"], "redis://h:1");
        assert_eq!(options["subscribe_url"], "redis://h:1");
    }

    // A configuration as other servers' guides have it.
    #[test]
    fn the_keys_of_other_servers_are_understood() {
        let options = opened(
            r#"{"requests_timeout": 7000, "prefix": "app_adapter:",
                "redis_pub_options": {"url": "redis://p:6379/0"}, "redis_sub_options": {"url": "redis://s:6379/0"}}"#,
        );
        assert_eq!(
            (&options["publish_url"], &options["subscribe_url"]),
            (&json!("redis://p:6379/0"), &json!("redis://s:6379/0"))
        );
        assert_eq!(
            (&options["request_timeout_ms"], &options["canary_prefix"]),
            (&json!(7000), &json!("app_adapter:/canary/"))
        );
    }

    #[test]
    fn a_topic_is_readable_at_the_broker() {
        let mut adapter = Redis::new("{}").expect("defaults");
        adapter.follow(&["1001/private-room.eu".to_owned()]).expect("taken");
        assert_eq!(take_links().followed, ["jackfield_adapter:1001/private-room.eu"]);
    }

    #[test]
    fn a_key_that_nobody_reads_is_refused() {
        let error = Redis::new(r#"{"prefx": "x"}"#).err().expect("refused");
        assert!(error.contains("prefx") && error.contains("expected one of"), "{error}");
    }
}
