//! The plugin runtime: the only crate that knows wasmtime.
//!
//! [`Registry`] loads components from the plugins folder into slots, one per place where the configuration wants a
//! plugin; the doors of [`jackfield_hub::doors`] are implemented here, each by one guest call (`adapter`, `auth`,
//! `rate_limit`, `webhook`: the same three parts in the same order). `pool` keeps ready instances, `io` runs plugins that
//! wait on fibers, `imports` is all that a guest can ask of the host.
//!
//! Invariants: no secret enters a guest; nothing is linked that is not granted; a trapped instance is dropped at once;
//! no native code stands in for a plugin that is missing.

mod adapter;
mod asker;
mod auth;
mod bindings;
mod budget;
mod context;
mod discard;
mod doors;
mod engine;
mod hashing;
mod http;
mod imports;
mod io;
mod lend;
mod linkers;
mod links;
mod operator;
mod plugin;
mod pool;
mod rate_limit;
mod refit;
mod registry;
mod reloader;
mod report;
mod slot;
mod waiting_auth;
mod wasi;
mod webhook;

pub use engine::config as engine_config;
pub use jackfield_vitals::CallTimes;
pub use refit::Misfit;
pub use registry::{OpenedAdapter, Prepared, Registry, Wanted};
pub use reloader::Outcome;
pub use report::{PluginReport, State, VersionReport};
