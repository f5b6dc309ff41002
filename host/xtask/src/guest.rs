//! A crate that is built for WebAssembly: a default plugin, an example, or a guest that only tests load.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The name of a guest's package, which is also its plugin's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Guest(String);

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
        &self.0
    }

    /// What rustc calls this package's core module.
    pub(crate) fn core_file(&self) -> String {
        format!("{}.wasm", self.0.replace('-', "_"))
    }

    /// What the plugin is called where the host finds it.
    pub(crate) fn plugin_file(&self) -> String {
        format!("{}.wasm", self.0)
    }

    fn declared_by(manifest: &str) -> Option<Self> {
        manifest
            .contains("\"cdylib\"")
            .then(|| package_name(manifest))
            .flatten()
            .map(Self)
    }
}

/// `name` of the `[package]` section.
fn package_name(manifest: &str) -> Option<String> {
    let package = manifest.split_once("[package]")?.1;
    let section = package.split("\n[").next()?;
    let value = section.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "name").then_some(value)
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
    fn the_name_comes_from_the_package_section() {
        let manifest =
            "[lib]\nname = \"wrong\"\ncrate-type = [\"cdylib\"]\n[package]\nedition = \"2024\"\nname=\"right\"";
        assert_eq!(package_name(manifest).as_deref(), Some("right"));
        assert_eq!(
            package_name("[package]\nedition = \"2024\"\n[lib]\nname = \"wrong\""),
            None
        );
    }

    #[test]
    fn every_default_plugin_is_found() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let names: Vec<_> = Guest::list(&plugins)
            .unwrap()
            .into_iter()
            .map(|guest| guest.0)
            .collect();
        for name in ["adapter-local", "auth-pusher", "rate-limit-local", "webhook-http"] {
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
