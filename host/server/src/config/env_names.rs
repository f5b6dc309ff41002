//! Environment variables that override keys of the file: a table, not code.

use std::path::PathBuf;

use super::raw::{Mode, RawConfig};

/// Sets one key from a text; the error says what is accepted.
type Set = fn(&mut RawConfig, &str) -> Result<(), String>;

pub(super) const ENV_NAMES: &[(&str, Set)] = &[
    ("HOST", |raw, text| {
        raw.host = text.to_owned();
        Ok(())
    }),
    ("PORT", |raw, text| number(text).map(|port| raw.port = port)),
    ("ENVIRONMENT", |raw, text| mode(text).map(|mode| raw.mode = mode)),
    ("JACKFIELD_PLUGINS", |raw, text| {
        raw.plugins = PathBuf::from(text);
        Ok(())
    }),
    ("ADAPTER_DRIVER", |raw, text| {
        raw.adapter.driver = text.to_owned();
        Ok(())
    }),
    ("INSTANCE_PROCESS_ID", |raw, text| {
        raw.instance.process_id = Some(text.to_owned());
        Ok(())
    }),
    ("SHUTDOWN_GRACE_PERIOD", |raw, text| {
        number(text).map(|seconds| raw.shutdown_grace_period = seconds)
    }),
    ("METRICS_HOST", |raw, text| {
        raw.metrics.host = text.to_owned();
        Ok(())
    }),
    ("METRICS_PORT", |raw, text| {
        number(text).map(|port| raw.metrics.port = port)
    }),
];

/// Applies every variable that is set.
///
/// # Errors
/// A text that names the variable.
pub(super) fn apply(raw: &mut RawConfig, lookup: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    for (name, set) in ENV_NAMES {
        if let Some(text) = lookup(name) {
            set(raw, &text).map_err(|accepted| format!("environment variable {name}=`{text}`: {accepted}"))?;
        }
    }
    Ok(())
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "must be a whole number in range".to_owned())
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "production" => Ok(Mode::Production),
        "development" => Ok(Mode::Development),
        _ => Err("must be `production` or `development`".to_owned()),
    }
}
