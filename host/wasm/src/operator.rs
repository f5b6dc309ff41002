//! `plugins/NAME.toml`: what the operator grants to a plugin. Without the file nothing beyond the harmless is granted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jackfield_files::RawLimits;
use jackfield_links::http::{HttpClient, Places};
use serde::Deserialize;

use crate::http::Requests;

/// The operator's word on one plugin.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorFile {
    /// Interfaces of `jackfield:host` that the plugin may import besides those that are always granted.
    #[serde(default)]
    pub(crate) grants: BTreeSet<HostGrant>,
    /// What it may use, where that differs from the ordinary.
    #[serde(default)]
    pub(crate) limits: RawLimits,
    /// Where its requests may go.
    #[serde(default)]
    pub(crate) http: RawHttp,
}

/// `[http]`: for plugins with the grant `http`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawHttp {
    /// Places such as `https://auth.example.org/check`.
    pub(crate) allow: Vec<String>,
    /// Whether these may have addresses of private networks.
    pub(crate) private: bool,
    /// Headers that the host adds to every request, in place of the plugin's own: what must stay secret from it.
    pub(crate) headers: BTreeMap<String, String>,
}

/// What can be granted. Each name is an interface in `wit/deps/host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HostGrant {
    Counters,
    Http,
    Links,
    Sign,
}

impl HostGrant {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Counters => "counters",
            Self::Http => "http",
            Self::Links => "links",
            Self::Sign => "sign",
        }
    }
}

impl OperatorFile {
    /// What sends the plugin's requests; none if they are not granted.
    ///
    /// # Errors
    /// A text that names the place that is wrong.
    pub(crate) fn requests(&self, deadline: Duration) -> Result<Option<Requests>, String> {
        if !self.grants.contains(&HostGrant::Http) {
            return Ok(None);
        }
        let RawHttp {
            allow,
            private,
            headers,
        } = &self.http;
        let places = Places::parse(allow, *private)?;
        let client = HttpClient::new(places, deadline)?;
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        Ok(Some(Requests::new(client, headers.collect())))
    }

    /// What the file beside the plugin says. No file says as much as an empty one.
    ///
    /// # Errors
    /// A text that names the line and what is accepted.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_grants_are_refused() {
        for (text, wanted) in [
            ("grant = []", "unknown field `grant`"),
            (
                "grants = [\"files\"]",
                "expected one of `counters`, `http`, `links`, `sign`",
            ),
        ] {
            let error = toml::from_str::<OperatorFile>(text)
                .expect_err("must be refused")
                .to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn grants_are_read() {
        let file: OperatorFile = toml::from_str("grants = [\"sign\"]").expect("good");
        assert_eq!(file.grants, BTreeSet::from([HostGrant::Sign]));
    }
}
