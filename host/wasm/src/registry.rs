//! All plugins that the configuration wants, by door.
//!
//! Loading never fails as a whole: a slot whose plugin cannot be loaded stays empty and its door answers with the
//! reason, while the others work. [`Registry::faults`] is what readiness looks at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use jackfield_hub::Apps;
use jackfield_hub::doors::{Adapter, Authorizer, Limiter, WebhookSink};

use crate::adapter::{AdapterDoor, Bus};
use crate::auth::AuthChain;
use crate::context::{HostSide, Identity};
use crate::engine::Pulse;
use crate::plugin::Door;
use crate::pool::Spread;
use crate::rate_limit::{RateLimit, RateLimitDoor};
use crate::secrets::Secrets;
use crate::slot::Slot;
use crate::webhook::{Webhook, WebhookDoor};

/// Which plugins the configuration wants, and what it hands to them.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The plugins folder.
    pub folder: PathBuf,
    /// `adapter.driver`: found as `adapter-DRIVER.wasm`, else as `DRIVER.wasm`.
    pub adapter: String,
    /// The auth chain, in order.
    pub auth: Vec<String>,
    /// The limiter.
    pub rate_limit: String,
    /// The webhook sink.
    pub webhook: String,
    /// JSON objects by plugin name.
    pub configs: BTreeMap<String, String>,
    /// This instance's name in the cluster.
    pub node: String,
}

/// What stands at the doors.
pub struct Registry {
    adapter: Arc<Slot<Bus>>,
    auth: AuthChain,
    rate_limit: Arc<Slot<RateLimit>>,
    webhook: Arc<Slot<Webhook>>,
    node: String,
    /// Those of the adapter's configuration.
    adapter_secrets: Secrets,
    /// Where links live, and plugins that wait.
    waiting: tokio::runtime::Handle,
    started: Instant,
}

/// One live plugin, for logs and metrics.
#[derive(Clone, Debug)]
pub struct PluginReport {
    /// The file's stem.
    pub name: String,
    /// Its door.
    pub door: &'static str,
    /// SHA-256 of the file.
    pub digest: String,
    /// How many versions have been live in this slot, this one included.
    pub generation: u64,
    /// Guest calls since it went live.
    pub calls: u64,
    /// Calls that ended in a trap or ran out of time.
    pub traps: u64,
    /// Whether it is paused because it failed too often.
    pub paused: bool,
    /// How often it was paused.
    pub pauses: u64,
    /// Its own counters.
    pub counters: BTreeMap<String, u64>,
}

impl Registry {
    /// Loads what is wanted. Must not be called from an asynchronous task; `waiting` is where plugins that wait will run.
    ///
    /// # Errors
    /// When the engine cannot be started on this machine. A plugin that is missing or wrong is no error here.
    pub fn load(wanted: &Wanted, apps: Arc<dyn Apps>, waiting: tokio::runtime::Handle) -> Result<Self, String> {
        let pulse = Pulse::start().map_err(|error| format!("the WebAssembly engine cannot start: {error:#}"))?;
        let host = Arc::new(HostSide {
            apps,
            pulse,
            started: Instant::now(),
            waiting,
        });
        let adapter = adapter_name(wanted);
        let config = wanted.configs.get(&adapter).map_or("{}", String::as_str);
        let (config, adapter_secrets) = Secrets::hide(config);
        let auth = wanted.auth.iter().map(|name| slot(wanted, name, Spread::PerThread));
        let registry = Self {
            adapter: Arc::new(Slot::new(adapter, config, Spread::Single)),
            auth: AuthChain { slots: auth.collect() },
            rate_limit: slot(wanted, &wanted.rate_limit, Spread::Keyed),
            webhook: slot(wanted, &wanted.webhook, Spread::PerThread),
            node: wanted.node.clone(),
            adapter_secrets,
            waiting: host.waiting.clone(),
            started: host.started,
        };
        registry.adapter.load(&host, &wanted.folder);
        for slot in registry.auth.slots.iter() {
            slot.load(&host, &wanted.folder);
        }
        registry.rate_limit.load(&host, &wanted.folder);
        registry.webhook.load(&host, &wanted.folder);
        Ok(registry)
    }

    /// The adapter door.
    pub fn adapter(&self) -> Arc<dyn Adapter> {
        let (slot, secrets) = (Arc::clone(&self.adapter), self.adapter_secrets.clone());
        Arc::new(AdapterDoor::new(slot, self.node.clone(), secrets, self.waiting.clone()))
    }

    /// The auth door.
    pub fn authorizer(&self) -> Arc<dyn Authorizer> {
        Arc::new(self.auth.clone())
    }

    /// The rate-limit door.
    pub fn limiter(&self) -> Arc<dyn Limiter> {
        Arc::new(RateLimitDoor {
            slot: Arc::clone(&self.rate_limit),
            started: self.started,
        })
    }

    /// The webhook door.
    pub fn webhook_sink(&self) -> Arc<dyn WebhookSink> {
        Arc::new(WebhookDoor {
            slot: Arc::clone(&self.webhook),
        })
    }

    /// What is wrong with the slots, one line each.
    pub fn faults(&self) -> Vec<String> {
        let auth = self.auth.slots.iter().filter_map(|slot| slot.fault());
        let others = [self.adapter.fault(), self.rate_limit.fault(), self.webhook.fault()];
        auth.chain(others.into_iter().flatten()).collect()
    }

    /// The live plugins.
    pub fn plugins(&self) -> Vec<PluginReport> {
        let auth = self.auth.slots.iter().filter_map(|slot| report(slot));
        let others = [report(&self.adapter), report(&self.rate_limit), report(&self.webhook)];
        others.into_iter().flatten().chain(auth).collect()
    }
}

fn slot<D: Door>(wanted: &Wanted, name: &str, spread: Spread) -> Arc<Slot<D>> {
    let config = wanted.configs.get(name).map_or("{}", String::as_str);
    Arc::new(Slot::new(name.to_owned(), config.to_owned(), spread))
}

/// The file that `adapter.driver` names: a dropped-in `mqtt.wasm` needs no prefix.
fn adapter_name(wanted: &Wanted) -> String {
    let bare = wanted.folder.join(format!("{}.wasm", wanted.adapter));
    let prefixed = format!("adapter-{}", wanted.adapter);
    let there = wanted.folder.join(format!("{prefixed}.wasm")).exists();
    if !there && bare.exists() {
        wanted.adapter.clone()
    } else {
        prefixed
    }
}

fn report<D: Door>(slot: &Slot<D>) -> Option<PluginReport> {
    let pool = slot.live().ok()?;
    let identity: &Identity = &pool.plugin.identity;
    Some(PluginReport {
        name: identity.name.clone(),
        door: D::NAME,
        digest: identity.digest.clone(),
        generation: identity.generation,
        calls: identity.calls.load(Ordering::Relaxed),
        traps: identity.traps.load(Ordering::Relaxed),
        paused: identity.breaker.is_paused(),
        pauses: identity.breaker.trips.load(Ordering::Relaxed),
        counters: identity.counters.lock().clone(),
    })
}
