//! The adapter over a Redis Cluster: sharded Pub/Sub where the servers know it (7.0), else the ordinary kind.
//!
//! One channel per topic; the cluster's hash slots spread them over its servers. Connections, the map of slots, reconnects and
//! passwords are the host's.

use jackfield_sdk::export_adapter;
use jackfield_sdk::host::links::Broker;
use jackfield_sdk::linked::{Linked, OverLink, Prefixed};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The adapter.
pub struct RedisCluster(Linked<Prefixed>);

/// `adapter.redis-cluster`, or `adapter.cluster` as other Pusher servers call it.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// What every channel at the broker begins with: tells deployments on one cluster apart.
    prefix: String,
    /// URLs of some servers; the others are found through them.
    nodes: Vec<String>,
    /// For URLs that name nobody.
    username: String,
    password: String,
    /// Files with certificates, for `rediss://`: `ca_file`, `cert_file`, `key_file`.
    tls: Map<String, Value>,
    /// How long a server may take for an answer, and for a connection, in milliseconds.
    #[serde(alias = "requests_timeout", alias = "requests_timeout_ms")]
    request_timeout_ms: u64,
    connection_timeout_ms: u64,
    /// Connections are always managed; the key is understood because other servers have it.
    use_connection_manager: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "jackfield_cluster:".to_owned(),
            nodes: Vec::new(),
            username: String::new(),
            password: String::new(),
            tls: Map::new(),
            request_timeout_ms: 5_000,
            connection_timeout_ms: 5_000,
            use_connection_manager: true,
        }
    }
}

impl Settings {
    /// For the host's link.
    fn options(&self) -> Value {
        json!({
            "nodes": self.nodes,
            "username": self.username,
            "password": self.password,
            "tls": self.tls,
            "canary_prefix": format!("{}/canary/", self.prefix),
            "request_timeout_ms": self.request_timeout_ms,
            "connect_timeout_ms": self.connection_timeout_ms,
        })
    }

    fn check(self) -> Result<Self, String> {
        if !self.use_connection_manager {
            return Err("`use_connection_manager` can only be true: connections are always managed".to_owned());
        }
        Ok(self)
    }
}

impl OverLink for RedisCluster {
    type Subjects = Prefixed;

    fn open(config: &str) -> Result<Self, String> {
        let settings: Settings = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let settings = settings.check()?;
        let options = settings.options().to_string();
        Ok(Self(Linked::new(
            Prefixed(settings.prefix),
            Broker::RedisCluster,
            options,
        )))
    }

    fn linked(&self) -> &Linked<Prefixed> {
        &self.0
    }
}

export_adapter!(RedisCluster);

#[cfg(test)]
mod tests {
    use jackfield_sdk::Adapter;
    use jackfield_sdk::double::take_links;

    use super::*;

    // A configuration as other servers' guides have it.
    #[test]
    fn the_keys_of_other_servers_are_understood() {
        let config = r#"{"nodes": ["redis://n1:7000", "redis://n2:7001"], "prefix": "app_cluster:",
            "request_timeout_ms": 5000, "use_connection_manager": true}"#;
        let mut adapter = RedisCluster::new(config).expect("good settings");
        adapter.start("node-1").expect("the double opens it");
        let (_, broker, options) = take_links().opened.remove(0);
        let options: Value = serde_json::from_str(&options).expect("an object");
        assert_eq!(broker, Broker::RedisCluster);
        assert_eq!(options["nodes"], json!(["redis://n1:7000", "redis://n2:7001"]));
    }

    #[test]
    fn what_cannot_be_switched_off_is_refused() {
        let error = RedisCluster::new(r#"{"use_connection_manager": false}"#).err();
        assert!(error.expect("refused").contains("use_connection_manager"));
    }
}
