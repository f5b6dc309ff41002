//! The plugins to which the contract is put: those of the house, and one that somebody brings along.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::server::{named, place};
use crate::harness::stand::{Layout, Stand};

/// A plugin, and what its operator gives it.
pub(super) struct Given {
    pub(super) door: &'static str,
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// `NAME.toml`: grants and limits.
    operator: Option<String>,
    /// Its section of the configuration.
    config: String,
}

impl Given {
    /// A plugin in a folder. `NAME.toml` and `NAME.json` beside it are its operator's file and its configuration.
    pub(super) fn new(door: &'static str, folder: &Path, name: &str) -> Self {
        let beside = |ending: &str| fs::read_to_string(folder.join(format!("{name}.{ending}"))).ok();
        Self {
            door,
            name: name.to_owned(),
            path: folder.join(format!("{name}.wasm")),
            operator: beside("toml"),
            config: beside("json").unwrap_or_else(|| "{}".to_owned()),
        }
    }

    /// With another operator's file and configuration.
    pub(super) fn with(mut self, operator: &str, config: &str) -> Self {
        self.operator = Some(operator.to_owned());
        self.config = config.to_owned();
        self
    }

    /// Puts it at its door.
    pub(super) fn layout(&self) -> Layout {
        let component = fs::read(&self.path);
        let component = component.unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        let layout = Layout::new()
            .at(self.door, &self.name, component)
            .config(&self.name, &self.config);
        match &self.operator {
            Some(text) => layout.file(&format!("{}.toml", self.name), text),
            None => layout,
        }
    }

    // wit/plugin.wit: "Called once per instance, before everything else, with the plugin's section of the host's configuration as a
    // JSON object (`{}` if there is none)."
    pub(super) fn stand(&self) -> Stand {
        self.layout().ready()
    }

    /// What every plugin is held to, whatever its door.
    // wit/plugin.wit: "An error keeps this version of the plugin from going live; its text is for the operator and should name
    // the key that is wrong."
    pub(super) fn keep(&self) {
        let mut config: serde_json::Value = serde_json::from_str(&self.config).expect("a configuration is JSON");
        config[NO_KEY] = true.into();
        let stand = self.layout().config(&self.name, &config.to_string()).stand();
        let faults = stand.registry.faults();
        // Who takes keys that it does not know has nothing to name.
        let own = faults.iter().find(|fault| fault.contains(&format!("`{}`", self.name)));
        if let Some(fault) = own {
            assert!(fault.contains(NO_KEY), "{}: `{fault}` does not name the key", self.name);
        }
    }
}

/// All plugins that are held to this door's contract.
pub(super) fn at(door: &'static str) -> Vec<Given> {
    let (built, guests) = (place("JACKFIELD_PLUGINS_BUILT"), place("JACKFIELD_GUESTS"));
    let http = "grants = [\"http\"]\n[http]\nallow = [\"http://127.0.0.1:1\"]\nprivate = true";
    let mut all = match door {
        "adapter" => vec![Given::new(door, &built, "adapter-local")],
        "auth" => vec![
            Given::new(door, &built, "auth-pusher").with("grants = [\"sign\"]", "{}"),
            Given::new(door, &guests, "first-plugin").with("", r#"{"addresses":["127.0.0.1"]}"#),
            // Nobody answers there, which is an answer of its own.
            Given::new(door, &guests, "auth-http").with(http, r#"{"url":"http://127.0.0.1:1/"}"#),
        ],
        "rate-limit" => vec![Given::new(door, &built, "rate-limit-local")],
        _ => vec![Given::new(door, &built, "webhook-http")],
    };
    all.extend(own(door).into_iter().filter(|own| faults(own).is_empty()));
    all
}

/// The plugin that `JACKFIELD_PLUGIN` names, seen from the root of the checkout.
pub(super) fn own_path() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    named("JACKFIELD_PLUGIN").map(|path| root.join(path))
}

/// Why it does not stand at the doors.
pub(super) fn own_faults() -> Vec<String> {
    super::DOORS
        .into_iter()
        .filter_map(own)
        .flat_map(|own| faults(&own))
        .collect()
}

fn own(door: &'static str) -> Option<Given> {
    let path = own_path()?;
    let name = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .expect("JACKFIELD_PLUGIN is a file");
    Some(Given::new(door, path.parent()?, name))
}

fn faults(given: &Given) -> Vec<String> {
    let faults = given.layout().stand().registry.faults().into_iter();
    faults
        .filter(|fault| fault.contains(&format!("`{}`", given.name)))
        .collect()
}

/// A key that no plugin has.
const NO_KEY: &str = "no_such_key_7";
