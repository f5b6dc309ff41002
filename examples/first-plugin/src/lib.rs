//! A first plugin: only the addresses on a list may subscribe to `private-admin-…` channels.

use jackfield_sdk::{Auth, Connection, SubscribeRequest, Verdict, export_auth};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct AdminsOnly {
    addresses: Vec<String>,
}

impl Auth for AdminsOnly {
    fn new(config: &str) -> Result<Self, String> {
        serde_json::from_str(config).map_err(|error| error.to_string())
    }

    fn subscribe(&mut self, client: &Connection, request: &SubscribeRequest) -> Verdict {
        let is_admin = self.addresses.contains(&client.remote_address);
        if request.channel.starts_with("private-admin-") && !is_admin {
            return Verdict::refuse(403, "this channel is for the administrators' addresses");
        }
        Verdict::Pass
    }
}

export_auth!(AdminsOnly);

#[cfg(test)]
mod tests {
    use jackfield_sdk::{Auth, Connection, Verdict, double};

    use super::AdminsOnly;

    fn subscribe(address: &str, channel: &str) -> Verdict {
        let client = Connection {
            remote_address: address.to_owned(),
            ..double::client()
        };
        let mut plugin = AdminsOnly::new(r#"{"addresses":["10.0.0.1","fd00::1"]}"#).expect("a good configuration");
        plugin.subscribe(&client, &double::subscription(channel))
    }

    #[test]
    fn admin_channels_are_for_listed_addresses() {
        assert_eq!(subscribe("10.0.0.1", "private-admin-alerts"), Verdict::Pass);
        assert!(matches!(
            subscribe("10.0.0.2", "private-admin-alerts"),
            Verdict::Refuse(_)
        ));
    }

    #[test]
    fn other_channels_are_somebody_elses_business() {
        for channel in ["private-room", "private-administration", "admin-room", "room"] {
            assert_eq!(subscribe("10.0.0.2", channel), Verdict::Pass, "{channel}");
        }
    }

    #[test]
    fn a_wrong_key_is_named_to_the_operator() {
        let error = AdminsOnly::new(r#"{"adresses":[]}"#).err().expect("a misspelt key");
        assert!(error.contains("adresses"), "{error}");
    }

    #[test]
    fn the_authors_guide_quotes_this_plugin() {
        let plugin = include_str!("lib.rs")
            .split("\n#[cfg(test)]")
            .next()
            .expect("the part above the tests");
        assert!(include_str!("../../../host/docs/plugin-authors.md").contains(plugin));
        assert!(plugin.lines().count() <= 30, "it shall stay a plugin in 30 lines");
    }
}
