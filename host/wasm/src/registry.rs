//! All plugins that the configuration wants, by door.
//!
//! Loading never fails as a whole: a slot whose plugin cannot be loaded stays empty and its door answers with the
//! reason, while the others work. [`Registry::faults`] is what readiness looks at. The
//! reloader changes what stands in the slots while they are used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use jackfield_hub::Apps;
use jackfield_hub::doors::{Adapter, Authorizer, Limiter, WebhookSink};

use crate::adapter::{AdapterDoor, Bus};
use crate::auth::AuthChain;
use crate::context::HostSide;
use crate::engine::Pulse;
use crate::plugin::Door;
use crate::pool::Spread;
use crate::rate_limit::{RateLimit, RateLimitDoor};
use crate::reloader::{Outcome, Place, PluginReport, Reloader};
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
    places: Vec<Arc<dyn Place>>,
    reloader: Reloader,
    node: String,
    /// Those of the adapter's configuration.
    adapter_secrets: Secrets,
    /// Where links live, and plugins that wait.
    waiting: tokio::runtime::Handle,
    started: Instant,
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
        let adapter = Arc::new(Slot::new(adapter, config, Spread::Single));
        let auth = AuthChain { slots: auth.collect() };
        let rate_limit = slot(wanted, &wanted.rate_limit, Spread::Keyed);
        let webhook = slot(wanted, &wanted.webhook, Spread::PerThread);
        let mut places: Vec<Arc<dyn Place>> = vec![
            Arc::clone(&adapter) as _,
            Arc::clone(&rate_limit) as _,
            Arc::clone(&webhook) as _,
        ];
        places.extend(auth.slots.iter().map(|slot| Arc::clone(slot) as _));
        let (waiting, started) = (host.waiting.clone(), host.started);
        let reloader = Reloader::start(host, wanted.folder.clone(), places.clone())
            .map_err(|error| format!("no thread to look after the plugins: {error}"))?;
        Ok(Self {
            adapter,
            auth,
            rate_limit,
            webhook,
            places,
            reloader,
            node: wanted.node.clone(),
            adapter_secrets,
            waiting,
            started,
        })
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

    /// What is wrong with the slots where nothing is live, one line each.
    pub fn faults(&self) -> Vec<String> {
        let empty = self.plugins().into_iter().filter(|plugin| plugin.live.is_none());
        let told = empty.map(|plugin| {
            let fault = plugin.fault.unwrap_or_default();
            format!("{} plugin `{}`: {fault}", plugin.door, plugin.name)
        });
        told.collect()
    }

    /// The plugins, in the order of their doors.
    pub fn plugins(&self) -> Vec<PluginReport> {
        self.places.iter().map(|place| place.report()).collect()
    }

    /// Loads what the files of one plugin hold, or of all; with what became of each. Nothing if there is no such plugin.
    pub async fn reload(&self, name: Option<String>) -> Vec<(String, Outcome)> {
        self.reloader.reload(name).await
    }

    /// Brings back the version before the live one, which is not loaded again by itself.
    pub async fn roll_back(&self, name: String) -> Vec<(String, Outcome)> {
        self.reloader.roll_back(name).await
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
