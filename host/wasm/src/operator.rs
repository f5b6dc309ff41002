//! `plugins/NAME.toml`: what the operator grants to a plugin. Without the file nothing beyond the harmless is granted.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

/// The operator's word on one plugin.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorFile {
    /// Interfaces of `jackfield:host` that the plugin may import besides those that are always granted.
    #[serde(default)]
    pub(crate) grants: BTreeSet<HostGrant>,
}

/// What can be granted. Each name is an interface in `wit/deps/host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HostGrant {
    Counters,
    Sign,
}

impl OperatorFile {
    /// Reads the file beside the plugin, if there is one.
    ///
    /// # Errors
    /// A text that names the file, the line and what is accepted.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_grants_are_refused() {
        for (text, wanted) in [
            ("grant = []", "unknown field `grant`"),
            ("grants = [\"files\"]", "`counters` or `sign`"),
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
