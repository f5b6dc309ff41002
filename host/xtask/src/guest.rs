//! A crate that is built for WebAssembly: a default plugin, an example, or a guest that only tests load.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::wasip2;

/// One such crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Guest {
    /// The name of its package, which is also its plugin's name.
    name: String,
    /// Whether it is built for [`crate::wasip2::TARGET`], as its manifest says under `package.metadata.jackfield`.
    pub(crate) is_wasip2: bool,
}

impl Guest {
    /// Every folder of `parent` whose manifest makes a `cdylib`, sorted by name. No such parent: none.
    pub(crate) fn list(parent: &Path) -> Result<Vec<Self>> {
        let mut guests = Vec::new();
        if !parent.is_dir() {
            return Ok(guests);
        }
        for entry in fs::read_dir(parent)? {
            let manifest = entry?.path().join("Cargo.toml");
            if !manifest.is_file() {
                continue;
            }
            let text = fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
            guests.extend(Self::declared_by(&text));
        }
        guests.sort();
        Ok(guests)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What rustc calls this package's core module.
    pub(crate) fn core_file(&self) -> String {
        format!("{}.wasm", self.name.replace('-', "_"))
    }

    /// What the plugin is called where the host finds it.
    pub(crate) fn plugin_file(&self) -> String {
        format!("{}.wasm", self.name)
    }

    fn declared_by(manifest: &str) -> Option<Self> {
        if !manifest.contains("\"cdylib\"") {
            return None;
        }
        Some(Self {
            name: value(manifest, "package", "name")?,
            is_wasip2: value(manifest, "package.metadata.jackfield", "target").as_deref() == Some(wasip2::TARGET),
        })
    }
}

/// The text `key` of a section.
fn value(manifest: &str, section: &str, key: &str) -> Option<String> {
    let behind = manifest.split_once(&format!("[{section}]"))?.1;
    let section = behind.split("\n[").next()?;
    let value = section.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then_some(value)
    })?;
    Some(value.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = "[package]\nname = \"rate-limit-local\"\n\n[lib]\nname = \"x\"\ncrate-type = [\"cdylib\"]\n";

    #[test]
    fn a_core_module_has_underscores_and_a_plugin_has_none() {
        let guest = Guest::declared_by(PLUGIN).unwrap();
        assert_eq!(guest.core_file(), "rate_limit_local.wasm");
        assert_eq!(guest.plugin_file(), "rate-limit-local.wasm");
    }

    #[test]
    fn a_crate_without_cdylib_is_no_guest() {
        assert_eq!(Guest::declared_by(&PLUGIN.replace("cdylib", "rlib")), None);
    }

    #[test]
    fn a_guest_says_which_target_it_is_for() {
        assert!(!Guest::declared_by(PLUGIN).unwrap().is_wasip2);
        let other = format!("{PLUGIN}[package.metadata.jackfield]\ntarget = \"wasm32-wasip2\"\n");
        assert!(Guest::declared_by(&other).unwrap().is_wasip2);
    }

    #[test]
    fn the_name_comes_from_the_package_section() {
        let manifest =
            "[lib]\nname = \"wrong\"\ncrate-type = [\"cdylib\"]\n[package]\nedition = \"2024\"\nname=\"right\"";
        assert_eq!(value(manifest, "package", "name").as_deref(), Some("right"));
        assert_eq!(
            value(
                "[package]\nedition = \"2024\"\n[lib]\nname = \"wrong\"",
                "package",
                "name"
            ),
            None
        );
    }

    #[test]
    fn every_default_plugin_is_found() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let names: Vec<_> = Guest::list(&plugins)
            .unwrap()
            .into_iter()
            .map(|guest| guest.name)
            .collect();
        for name in [
            "adapter-local",
            "adapter-nats",
            "adapter-redis",
            "adapter-redis-cluster",
            "auth-pusher",
            "rate-limit-local",
            "webhook-http",
        ] {
            assert!(
                names.iter().any(|found| found == name),
                "{name} is missing from {names:?}"
            );
        }
    }

    #[test]
    fn a_missing_folder_holds_no_guests() {
        assert_eq!(Guest::list(Path::new("/nowhere/at/all")).unwrap(), []);
    }
}
