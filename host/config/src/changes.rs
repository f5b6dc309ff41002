//! What is different in a configuration that is read while another one is in use: the keys, never what they hold.
//!
//! Compared is what was written, by file, environment and command line together; an app is known again by its id. Some keys hold
//! for the life of the process: a configuration that has others there is refused, since it would hold in parts only.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::ConfigError;
use super::mistakes::{Mistake, Source};
use super::raw::RawConfig;

/// A configuration as written. Secrets are in it as their digests, but for those in sections of plugins.
pub struct Written {
    source: Option<Source>,
    pub(super) keys: Value,
}

impl Written {
    pub(super) fn new(source: Option<Source>, raw: &RawConfig) -> Result<Self, String> {
        let keys = serde_json::to_value(raw).map_err(|error| error.to_string())?;
        Ok(Self { source, keys })
    }

    /// The keys that hold something else than in the configuration in use, whole: `apps[7].secret`, or `apps[8] (new)`.
    ///
    /// # Errors
    /// [`ConfigError`]: one of them takes a restart.
    pub fn changes_of(&self, in_use: &Self) -> Result<Vec<String>, ConfigError> {
        let mut changes = Vec::new();
        compare("", &in_use.keys, &self.keys, &mut changes);
        let pointer = |keys: &[&str]| format!("/{}", keys.join("/"));
        let taken = |keys: &&&[&str]| in_use.keys.pointer(&pointer(keys)) != self.keys.pointer(&pointer(keys));
        match FOR_LIFE.iter().find(taken) {
            Some(keys) => Err(self.mistake(keys, "a change of this takes a restart")),
            None => Ok(changes),
        }
    }

    /// Words a mistake that somebody else has found in what this key holds.
    pub fn mistake(&self, keys: &[&str], what: impl Into<String>) -> ConfigError {
        let mistake = keys
            .iter()
            .rev()
            .fold(Mistake::new(what), |mistake, key| mistake.at(key));
        self.tell(&mistake)
    }

    pub(super) fn tell(&self, mistake: &Mistake) -> ConfigError {
        ConfigError(match &self.source {
            Some(source) => source.tell(mistake),
            None => mistake.to_string(),
        })
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written([keys])")
    }
}

fn compare(path: &str, old: &Value, new: &Value, changes: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                compare_one(&path, old.get(name), new.get(name), changes);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.iter().chain(new).all(|item| id(item).is_some()) => {
            let ids: BTreeSet<&str> = old.iter().chain(new).filter_map(id).collect();
            let find = |list: &'_ [Value], wanted: &str| list.iter().position(|item| id(item) == Some(wanted));
            for wanted in ids {
                let (old, new) = (
                    find(old, wanted).map(|at| &old[at]),
                    find(new, wanted).map(|at| &new[at]),
                );
                compare_one(&format!("{path}[{wanted}]"), old, new, changes);
            }
        }
        _ if old != new => changes.push(path.to_owned()),
        _ => {}
    }
}

fn compare_one(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<String>) {
    match (old, new) {
        (Some(old), Some(new)) => compare(path, old, new, changes),
        (None, _) => changes.push(format!("{path} (new)")),
        (_, None) => changes.push(format!("{path} (gone)")),
    }
}

/// What tells an app from others.
fn id(item: &Value) -> Option<&str> {
    item.get("id")?.as_str()
}

/// Keys that hold as long as the process runs: sockets that are bound and how they are written, routes, the plugins folder, and who this is to others.
const FOR_LIFE: &[&[&str]] = &[
    &["host"],
    &["port"],
    &["path_prefix"],
    &["mode"],
    &["plugins"],
    &["io_uring"],
    &["instance", "process_id"],
    &["metrics", "enabled"],
    &["metrics", "host"],
    &["metrics", "port"],
    &["cluster", "key"],
    &["cache"],
];
