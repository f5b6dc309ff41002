//! One place where the configuration wants a plugin, and what stands there now.
//!
//! The live version is one pointer: a call uses the version that it found, and a new one takes its place between two
//! calls. An empty slot remembers why it is empty, for whoever asks at its door.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwapOption, Guard};
use jackfield_hub::doors::DoorError;
use parking_lot::Mutex;

use crate::context::HostSide;
use crate::plugin::{Door, Plugin, Source};
use crate::pool::{Pool, Spread};

/// The place of one plugin at one door.
pub(crate) struct Slot<D: Door> {
    /// The plugin's name: its file's stem.
    pub(crate) name: String,
    /// Its section of the configuration, as JSON.
    config: String,
    spread: Spread,
    live: ArcSwapOption<Pool<D>>,
    /// Why nothing is live, or why the last attempt to load failed.
    fault: Mutex<Option<String>>,
    generations: AtomicU64,
}

impl<D: Door> Slot<D> {
    /// An empty slot.
    pub(crate) fn new(name: String, config: String, spread: Spread) -> Self {
        let fault = Mutex::new(Some("it was not looked for yet".to_owned()));
        Self {
            name,
            config,
            spread,
            live: ArcSwapOption::empty(),
            fault,
            generations: AtomicU64::new(0),
        }
    }

    /// Loads the plugin from its file and puts it into place. What was there before stays if that fails.
    pub(crate) fn load(&self, host: &Arc<HostSide>, folder: &Path) {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let config = self.config.clone();
        let source = Source {
            host,
            folder,
            name: &self.name,
            config,
            generation,
        };
        match Plugin::load(source).and_then(|plugin| Pool::start(plugin, self.spread)) {
            Ok(pool) => {
                let identity = Arc::clone(&pool.plugin.identity);
                self.live.store(Some(Arc::new(pool)));
                *self.fault.lock() = None;
                let (plugin, digest) = (&self.name, &identity.digest[..DIGEST_SHOWN]);
                tracing::info!(plugin, door = D::NAME, digest, generation, "plugin is live");
            }
            Err(fault) => {
                tracing::error!(plugin = self.name, door = D::NAME, fault, "plugin was not loaded");
                *self.fault.lock() = Some(fault);
            }
        }
    }

    /// The live version.
    ///
    /// # Errors
    /// [`DoorError::Missing`], with the reason.
    pub(crate) fn live(&self) -> Result<Arc<Pool<D>>, DoorError> {
        let live: Guard<Option<Arc<Pool<D>>>> = self.live.load();
        live.as_ref().map(Arc::clone).ok_or_else(|| self.missing())
    }

    /// What is wrong with this slot, if anything is.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault
            .lock()
            .clone()
            .map(|fault| format!("{} plugin `{}`: {fault}", D::NAME, self.name))
    }

    fn missing(&self) -> DoorError {
        let reason = self.fault.lock().clone().unwrap_or_default();
        DoorError::Missing {
            door: D::NAME,
            plugin: self.name.clone(),
            reason,
        }
    }
}

/// Digits of a digest that a log line shows.
const DIGEST_SHOWN: usize = 12;
