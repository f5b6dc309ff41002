//! The adapter over a NATS server or a cluster of them: core NATS, one subject per topic.
//!
//! `nats-top` and `nats sub 'jackfield_nats:>'` show subjects such as `jackfield_nats:1001/room`. Connections, reconnects and
//! passwords are the host's.

use jackfield_sdk::export_adapter;
use jackfield_sdk::host::links::Broker;
use jackfield_sdk::linked::{Linked, OverLink};
use serde::Deserialize;
use serde_json::{Map, Value, json};

mod escaped;

pub use escaped::Escaped;

/// The adapter.
pub struct Nats(Linked<Escaped>);

/// `adapter.nats`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// What every subject begins with: tells deployments on one server apart.
    prefix: String,
    /// `nats://host:port`; `tls://` with TLS. Tried in turn.
    servers: Vec<String>,
    /// For URLs that name nobody. `null` is as good as nothing.
    username: Option<String>,
    password: Option<String>,
    /// In place of user and password.
    token: Option<String>,
    /// Files with certificates: `ca_file`, `cert_file`, `key_file`.
    tls: Map<String, Value>,
    /// How long a server may take for an answer, and for a connection, in milliseconds.
    #[serde(alias = "requests_timeout", alias = "requests_timeout_ms")]
    request_timeout_ms: u64,
    connection_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "jackfield_nats:".to_owned(),
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            username: None,
            password: None,
            token: None,
            tls: Map::new(),
            request_timeout_ms: 5_000,
            connection_timeout_ms: 5_000,
        }
    }
}

impl Settings {
    /// For the host's link.
    fn options(&self) -> Value {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        json!({
            "servers": self.servers,
            "username": text(&self.username),
            "password": text(&self.password),
            "token": text(&self.token),
            "tls": self.tls,
            "canary_prefix": format!("{}/canary/", self.prefix),
            "request_timeout_ms": self.request_timeout_ms,
            "connect_timeout_ms": self.connection_timeout_ms,
        })
    }

    /// A prefix stands in front of every subject as it is.
    fn check(self) -> Result<Self, String> {
        let bad =
            |character: char| character.is_whitespace() || character.is_control() || matches!(character, '*' | '>');
        if self.prefix.contains(bad) || self.prefix.split('.').any(str::is_empty) {
            return Err(
                "`prefix` must be no blank, no `*` or `>`, and must have no dot at its ends or beside another"
                    .to_owned(),
            );
        }
        Ok(self)
    }
}

impl OverLink for Nats {
    type Subjects = Escaped;

    fn open(config: &str) -> Result<Self, String> {
        let settings: Settings = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let settings = settings.check()?;
        let options = settings.options().to_string();
        Ok(Self(Linked::new(Escaped(settings.prefix), Broker::Nats, options)))
    }

    fn linked(&self) -> &Linked<Escaped> {
        &self.0
    }
}

export_adapter!(Nats);

#[cfg(test)]
mod tests {
    use jackfield_sdk::Adapter;
    use jackfield_sdk::double::take_links;

    use super::*;

    // A configuration as other servers' guides have it.
    #[test]
    fn the_keys_of_other_servers_are_understood() {
        let config = r#"{"servers": ["nats://n1:4222", "nats://n2:4222"], "prefix": "app_nats:", "request_timeout_ms": 5000,
            "connection_timeout_ms": 4000, "username": "u", "password": "p", "token": null}"#;
        let mut adapter = Nats::new(config).expect("good settings");
        adapter.start("node-1").expect("the double opens it");
        let (_, broker, options) = take_links().opened.remove(0);
        let options: Value = serde_json::from_str(&options).expect("an object");
        assert_eq!(broker, Broker::Nats);
        assert_eq!(
            (&options["token"], &options["connect_timeout_ms"]),
            (&json!(""), &json!(4000))
        );
    }

    #[test]
    fn a_prefix_that_is_no_subject_is_refused() {
        for prefix in ["a b", ".a", "a..b", "a.", "a>", "a*"] {
            let error = Nats::new(&json!({ "prefix": prefix }).to_string()).err();
            assert!(error.expect("refused").contains("prefix"));
        }
    }
}
