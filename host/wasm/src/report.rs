//! What operators are told of plugins.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use jackfield_vitals::CallTimes;

use crate::context::Identity;

/// One plugin, for logs, metrics and the operator.
#[derive(Clone, Debug)]
pub struct PluginReport {
    /// The file's stem.
    pub name: String,
    /// Its door.
    pub door: &'static str,
    /// How it stands there.
    pub state: State,
    /// Why nothing is live, or why the last change was not made or not kept.
    pub fault: Option<String>,
    /// The live version.
    pub live: Option<VersionReport>,
}

/// How a plugin stands at its door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is live.
    Missing,
    /// It failed too often and is not called for a while.
    Paused,
    /// A new version that is watched.
    Probation,
    /// What was live before, in the place of a version that was taken back.
    RolledBack,
    /// As it should be.
    Live,
}

/// One version of a plugin.
#[derive(Clone, Debug)]
pub struct VersionReport {
    /// SHA-256 of the file.
    pub digest: String,
    /// What its author calls it, if the component says so.
    pub version: Option<String>,
    /// The how-manieth version of this run it is.
    pub generation: u64,
    /// What it was granted.
    pub grants: Vec<&'static str>,
    /// Guest calls since it went live.
    pub calls: u64,
    /// How long those took that were timed.
    pub times: CallTimes,
    /// Calls that ended in a trap or ran out of time.
    pub traps: u64,
    /// Instances that there are.
    pub instances: u64,
    /// What their memories hold.
    pub memory_bytes: u64,
    /// Whether it is paused because it failed too often.
    pub paused: bool,
    /// How often it was paused.
    pub pauses: u64,
    /// Messages that it delivered as an adapter, on topics of channels; this instance's own come back too.
    pub channel_messages: u64,
    /// The same on the cluster's own topics.
    pub cluster_messages: u64,
    /// Its own counters.
    pub counters: BTreeMap<String, u64>,
}

impl State {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Paused => "paused",
            Self::Probation => "probation",
            Self::RolledBack => "rolled back",
            Self::Live => "live",
        }
    }
}

impl VersionReport {
    pub(crate) fn new(identity: &Identity) -> Self {
        let figures = &identity.figures;
        Self {
            digest: identity.digest.clone(),
            version: identity.version.clone(),
            generation: identity.generation,
            grants: identity.grants.iter().map(|grant| grant.word()).collect(),
            calls: figures.calls.load(Ordering::Relaxed),
            times: figures.times.now(),
            traps: figures.traps.load(Ordering::Relaxed),
            instances: figures.instances.load(Ordering::Relaxed),
            memory_bytes: figures.memory_bytes.load(Ordering::Relaxed),
            paused: identity.breaker.is_paused(),
            pauses: identity.breaker.trips.load(Ordering::Relaxed),
            channel_messages: identity.delivered.channels.load(Ordering::Relaxed),
            cluster_messages: identity.delivered.cluster.load(Ordering::Relaxed),
            counters: identity.counters.lock().clone(),
        }
    }
}
