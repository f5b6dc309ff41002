//! All plugins that the configuration wants, by door.
//!
//! Loading never fails as a whole: a slot whose plugin cannot be loaded stays empty and its door answers with the
//! reason, while the others work. [`Registry::faults`] is what readiness looks at. The
//! reloader changes what stands in the slots while they are used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Instant;

use jackfield_compiled::Compiler;
use jackfield_files::Secrets;
use jackfield_hub::Apps;
use jackfield_hub::doors::{Adapter, Authorizer, Limiter, WebhookSink};
use jackfield_protocol::signature::sha256_hex;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::OwnedRwLockWriteGuard;

use crate::adapter::{AdapterDoor, Bus};
use crate::auth::AuthDoor;
use crate::context::HostSide;
use crate::discard::Discard;
use crate::doors::Doors;
use crate::engine::Pulse;
use crate::pool::Spread;
use crate::rate_limit::RateLimitDoor;
use crate::refit::{Misfit, Refit};
use crate::reloader::{Outcome, Place, Reloader};
use crate::report::PluginReport;
use crate::slot::Slot;
use crate::webhook::WebhookDoor;

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
    /// Where compiled code is kept for the next start; none: nowhere.
    pub compiled: Option<PathBuf>,
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
    doors: Arc<Doors>,
    /// Those that are open.
    adapters: Mutex<Vec<Weak<Slot<Bus>>>>,
    reloader: Arc<Reloader>,
    host: Arc<HostSide>,
    folder: PathBuf,
    node: String,
}

/// The plugins of another configuration, loaded. Until they are put into their places or dropped, nothing else is changed.
pub struct Prepared {
    refit: Refit,
    doors: Arc<Doors>,
    reloader: Arc<Reloader>,
    waiting: Handle,
    _turn: OwnedRwLockWriteGuard<()>,
}

impl Prepared {
    /// From when this comes back, they stand at the doors.
    pub async fn put(self) {
        let put = move || {
            self.refit.put(&self.doors);
            self.reloader.look_after(&self.doors.places());
        };
        if self.waiting.spawn_blocking(put).await.is_err() {
            tracing::error!("the plugins of another configuration did not take their places");
        }
    }
}

impl Wanted {
    /// What is handed to a plugin.
    pub(crate) fn section(&self, plugin: &str) -> &str {
        self.configs.get(plugin).map_or("{}", String::as_str)
    }
}

impl Registry {
    /// Loads what is wanted; with the adapter. Must not be called from an asynchronous task; `waiting` is where plugins that wait
    /// will run.
    ///
    /// # Errors
    /// When the engine cannot be started on this machine. A plugin that is missing or wrong is no error here.
    pub fn load(wanted: &Wanted, apps: Arc<dyn Apps>, waiting: Handle) -> Result<(Self, OpenedAdapter), String> {
        let pulse = Pulse::start().map_err(|error| format!("the WebAssembly engine cannot start: {error:#}"))?;
        let discard = Discard::start().map_err(|error| format!("no thread to end plugins: {error}"))?;
        let host = Arc::new(HostSide {
            apps,
            pulse,
            discard,
            compiler: Compiler::new(wanted.compiled.as_deref()),
            started: Instant::now(),
            waiting,
        });
        let doors = Arc::new(Doors::new(wanted));
        let adapter = AdapterPlace::new(&wanted.folder, &wanted.adapter, &wanted.configs);
        let mut places: Vec<Arc<dyn Place>> = vec![Arc::clone(&adapter.slot) as _];
        places.extend(doors.places());
        let reloader = Reloader::start(Arc::clone(&host), wanted.folder.clone(), &places)
            .map_err(|error| format!("no thread to look after the plugins: {error}"))?;
        let registry = Self {
            doors,
            adapters: Mutex::default(),
            reloader: Arc::new(reloader),
            host,
            folder: wanted.folder.clone(),
            node: wanted.node.clone(),
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
        let slot: Arc<dyn Place> = Arc::clone(&place.slot) as _;
        self.reloader.add(&slot).await?;
        Ok(self.opened(place))
    }

    fn opened(&self, place: AdapterPlace) -> OpenedAdapter {
        let AdapterPlace {
            slot,
            secrets,
            settings,
        } = place;
        let mut adapters = self.adapters.lock();
        adapters.retain(|slot| slot.strong_count() > 0);
        adapters.push(Arc::downgrade(&slot));
        let name = slot.name.clone();
        let door = AdapterDoor::new(slot, self.node.clone(), secrets);
        OpenedAdapter {
            name,
            settings,
            door: Arc::new(door),
        }
    }

    /// The auth door.
    pub fn authorizer(&self) -> Arc<dyn Authorizer> {
        Arc::new(AuthDoor(Arc::clone(&self.doors)))
    }

    /// The rate-limit door.
    pub fn limiter(&self) -> Arc<dyn Limiter> {
        Arc::new(RateLimitDoor {
            doors: Arc::clone(&self.doors),
            started: self.host.started,
        })
    }

    /// The webhook door.
    pub fn webhook_sink(&self) -> Arc<dyn WebhookSink> {
        Arc::new(WebhookDoor(Arc::clone(&self.doors)))
    }

    /// Loads the plugins that another configuration wants at the doors, but for the adapter's, beside those that stand there. Nothing
    /// changes before [`Prepared::put`].
    ///
    /// # Errors
    /// [`Misfit`]: the first of them that cannot be loaded.
    pub async fn prepare(&self, wanted: Wanted) -> Result<Prepared, Misfit> {
        let turn = self.reloader.alone().await;
        let (doors, host, folder) = (Arc::clone(&self.doors), Arc::clone(&self.host), self.folder.clone());
        let limiter = wanted.rate_limit.clone();
        let preparing = move || Refit::prepare(&doors, &host, &folder, &wanted);
        let prepared = self.host.waiting.spawn_blocking(preparing).await;
        let refit = prepared.unwrap_or_else(|error| {
            Err(Misfit {
                plugin: limiter,
                door: "rate-limit",
                in_section: false,
                reason: error.to_string(),
            })
        })?;
        Ok(Prepared {
            refit,
            doors: Arc::clone(&self.doors),
            reloader: Arc::clone(&self.reloader),
            waiting: self.host.waiting.clone(),
            _turn: turn,
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
        let adapters: Vec<_> = self.adapters.lock().iter().filter_map(Weak::upgrade).collect();
        let adapters = adapters.iter().map(|slot| slot.report());
        let others = self.doors.places();
        adapters.chain(others.iter().map(|place| place.report())).collect()
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
            slot: Arc::new(Slot::new(&name, &config, Spread::Single)),
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
