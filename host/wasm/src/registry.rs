//! All plugins that the configuration wants, by door.
//!
//! Loading never fails as a whole: a slot whose plugin cannot be loaded stays empty and its door answers with the
//! reason, while the others work. [`Registry::faults`] is what readiness looks at. The
//! reloader changes what stands in the slots while they are used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jackfield_hub::Apps;
use jackfield_hub::doors::{Adapter, Authorizer, Limiter, WebhookSink};
use jackfield_protocol::signature::sha256_hex;

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

/// An adapter as the configuration wants it.
pub struct OpenedAdapter {
    /// The plugin's name.
    pub name: String,
    /// What tells it from others: a digest of its name and its configuration.
    pub settings: String,
    /// Its door; it is looked after as long as somebody has this.
    pub door: Arc<dyn Adapter>,
}

/// What stands at the doors.
pub struct Registry {
    auth: AuthChain,
    rate_limit: Arc<Slot<RateLimit>>,
    webhook: Arc<Slot<Webhook>>,
    reloader: Reloader,
    folder: PathBuf,
    node: String,
    /// Where links live, and plugins that wait.
    waiting: tokio::runtime::Handle,
    started: Instant,
}

impl Registry {
    /// Loads what is wanted; with the adapter. Must not be called from an asynchronous task; `waiting` is where plugins that wait
    /// will run.
    ///
    /// # Errors
    /// When the engine cannot be started on this machine. A plugin that is missing or wrong is no error here.
    pub fn load(
        wanted: &Wanted,
        apps: Arc<dyn Apps>,
        waiting: tokio::runtime::Handle,
    ) -> Result<(Self, OpenedAdapter), String> {
        let pulse = Pulse::start().map_err(|error| format!("the WebAssembly engine cannot start: {error:#}"))?;
        let host = Arc::new(HostSide {
            apps,
            pulse,
            started: Instant::now(),
            waiting,
        });
        let auth = wanted.auth.iter().map(|name| slot(wanted, name, Spread::PerThread));
        let auth = AuthChain { slots: auth.collect() };
        let rate_limit = slot(wanted, &wanted.rate_limit, Spread::Keyed);
        let webhook = slot(wanted, &wanted.webhook, Spread::PerThread);
        let adapter = AdapterPlace::new(&wanted.folder, &wanted.adapter, &wanted.configs);
        let mut places: Vec<Arc<dyn Place>> = vec![
            Arc::clone(&adapter.slot) as _,
            Arc::clone(&rate_limit) as _,
            Arc::clone(&webhook) as _,
        ];
        places.extend(auth.slots.iter().map(|slot| Arc::clone(slot) as _));
        let (waiting, started) = (host.waiting.clone(), host.started);
        let reloader = Reloader::start(host, wanted.folder.clone(), places)
            .map_err(|error| format!("no thread to look after the plugins: {error}"))?;
        let registry = Self {
            auth,
            rate_limit,
            webhook,
            reloader,
            folder: wanted.folder.clone(),
            node: wanted.node.clone(),
            waiting,
            started,
        };
        let opened = registry.opened(adapter);
        Ok((registry, opened))
    }

    /// What tells the adapter that is wanted from others: see [`OpenedAdapter::settings`].
    pub fn adapter_settings(&self, driver: &str, configs: &BTreeMap<String, String>) -> String {
        AdapterPlace::new(&self.folder, driver, configs).settings
    }

    /// Loads another adapter, beside those that are open.
    ///
    /// # Errors
    /// Why it cannot be loaded.
    pub async fn open_adapter(
        &self,
        driver: &str,
        configs: &BTreeMap<String, String>,
    ) -> Result<OpenedAdapter, String> {
        let place = AdapterPlace::new(&self.folder, driver, configs);
        self.reloader.add(Arc::clone(&place.slot) as _).await?;
        Ok(self.opened(place))
    }

    fn opened(&self, place: AdapterPlace) -> OpenedAdapter {
        let AdapterPlace {
            slot,
            secrets,
            settings,
        } = place;
        let name = slot.name.clone();
        let door = AdapterDoor::new(slot, self.node.clone(), secrets, self.waiting.clone());
        OpenedAdapter {
            name,
            settings,
            door: Arc::new(door),
        }
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
        self.reloader.reports()
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

/// Where an adapter will stand, and what was taken out of its configuration.
struct AdapterPlace {
    slot: Arc<Slot<Bus>>,
    secrets: Secrets,
    settings: String,
}

impl AdapterPlace {
    fn new(folder: &Path, driver: &str, configs: &BTreeMap<String, String>) -> Self {
        let name = adapter_name(folder, driver);
        let config = configs.get(&name).map_or("{}", String::as_str);
        let settings = sha256_hex(format!("{name} {config}").as_bytes());
        let (config, secrets) = Secrets::hide(config);
        Self {
            slot: Arc::new(Slot::new(name, config, Spread::Single)),
            secrets,
            settings,
        }
    }
}

/// The file that `adapter.driver` names: a dropped-in `mqtt.wasm` needs no prefix.
fn adapter_name(folder: &Path, driver: &str) -> String {
    let bare = folder.join(format!("{driver}.wasm"));
    let prefixed = format!("adapter-{driver}");
    let there = folder.join(format!("{prefixed}.wasm")).exists();
    if !there && bare.exists() {
        driver.to_owned()
    } else {
        prefixed
    }
}
