//! One place where the configuration wants a plugin, and the versions that stood there.
//!
//! The live version is one pointer: a call uses the version that it found, and a new one takes its place between two
//! calls. An empty slot remembers why it is empty, for whoever asks at its door.

use std::collections::VecDeque;
use std::hash::RandomState;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use jackfield_hub::doors::DoorError;
use parking_lot::Mutex;

use crate::context::HostSide;
use crate::files::Files;
use crate::plugin::{Door, Plugin, Source};
use crate::pool::{Pool, Spread};
use crate::reloader::{Occasion, Outcome, Place, PluginReport};

/// The place of one plugin at one door.
pub(crate) struct Slot<D: Door> {
    /// The plugin's name: its file's stem.
    pub(crate) name: String,
    /// Its section of the configuration, as JSON.
    config: String,
    spread: Spread,
    /// By which keys find their instance, in all versions alike.
    hasher: RandomState,
    live: ArcSwapOption<Pool<D>>,
    /// Why nothing is live, or why the last attempt to load failed.
    fault: Mutex<Option<String>>,
    /// Taken by the reloader alone, for as long as it takes.
    past: Mutex<Past<D>>,
}

struct Past<D: Door> {
    generations: u64,
    /// What the live version was made of, and the one before it.
    files: Option<Arc<Files>>,
    before: Option<Arc<Files>>,
    probation: Option<Probation<D>>,
    /// Digests of what failed on probation, or was rolled back by hand.
    quarantine: VecDeque<String>,
}

/// A new version is watched for a while, and the one before it kept ready.
struct Probation<D: Door> {
    before: Arc<Pool<D>>,
    until: Instant,
}

impl<D: Door> Slot<D> {
    /// An empty slot.
    pub(crate) fn new(name: String, config: String, spread: Spread) -> Self {
        Self {
            name,
            config,
            spread,
            hasher: RandomState::new(),
            live: ArcSwapOption::empty(),
            fault: Mutex::new(Some("it was not looked for yet".to_owned())),
            past: Mutex::new(Past {
                generations: 0,
                files: None,
                before: None,
                probation: None,
                quarantine: VecDeque::new(),
            }),
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

    /// Whether this version is the live one.
    pub(crate) fn is_live(&self, pool: &Arc<Pool<D>>) -> bool {
        self.live.load().as_ref().is_some_and(|live| Arc::ptr_eq(live, pool))
    }

    fn missing(&self) -> DoorError {
        let reason = self.fault.lock().clone().unwrap_or_default();
        DoorError::Missing {
            door: D::NAME,
            plugin: self.name.clone(),
            reason,
        }
    }

    fn make(&self, host: &Arc<HostSide>, files: &Files, generation: u64) -> Result<Pool<D>, String> {
        let source = Source {
            host,
            name: &self.name,
            files,
            config: &self.config,
            generation,
            // Nobody waits for a door that was never open, and everybody at one that is.
            nice: self.live().is_ok(),
        };
        let pool = Plugin::load(&source).and_then(|plugin| Pool::start(plugin, self.spread, self.hasher.clone()))?;
        match self.live() {
            Ok(live) if live.plugin.has_peers != pool.plugin.has_peers => Err(NEEDS_RESTART.to_owned()),
            _ => Ok(pool),
        }
    }

    /// The next call meets this version.
    fn put(&self, pool: Arc<Pool<D>>) {
        match self.live() {
            Ok(old) => pool.succeed(&old, || self.live.store(Some(Arc::clone(&pool)))),
            Err(_) => self.live.store(Some(pool)),
        }
    }

    fn refuse(&self, fault: String) -> Outcome {
        let (plugin, door) = (self.name.as_str(), D::NAME);
        match self.live() {
            Ok(live) => {
                let serving = &live.plugin.identity.digest[..DIGEST_SHOWN];
                tracing::error!(
                    plugin,
                    door,
                    fault,
                    serving,
                    "plugin was not loaded; the version before serves on"
                );
            }
            Err(_) => tracing::error!(plugin, door, fault, "plugin was not loaded"),
        }
        *self.fault.lock() = Some(fault.clone());
        Outcome::Refused(fault)
    }

    fn back(&self, past: &mut Past<D>, host: &Arc<HostSide>, why: String) -> Outcome {
        let before = match (past.probation.take(), &past.before) {
            (Some(probation), _) => probation.before,
            (None, Some(files)) => match self.make(host, files, past.generations + 1) {
                Ok(pool) => {
                    past.generations += 1;
                    Arc::new(pool)
                }
                Err(fault) => return Outcome::Refused(fault),
            },
            (None, None) => return Outcome::Refused("there is no version before this one".to_owned()),
        };
        let identity = Arc::clone(&before.plugin.identity);
        self.put(before);
        let left = std::mem::replace(&mut past.files, past.before.take());
        if let Some(left) = left {
            past.quarantine.push_back(left.digest.clone());
            if past.quarantine.len() > QUARANTINED {
                past.quarantine.pop_front();
            }
        }
        let (plugin, digest) = (self.name.as_str(), &identity.digest[..DIGEST_SHOWN]);
        tracing::warn!(plugin, door = D::NAME, digest, why, "plugin was rolled back");
        *self.fault.lock() = Some(why);
        Outcome::Live(identity.generation)
    }
}

impl<D: Door> Place for Slot<D> {
    fn name(&self) -> &str {
        &self.name
    }

    fn load(&self, host: &Arc<HostSide>, folder: &Path, occasion: Occasion) -> Outcome {
        let mut past = self.past.lock();
        let files = match Files::read(folder, &self.name) {
            Ok(files) => Arc::new(files),
            Err(fault) => return self.refuse(fault),
        };
        if past.files.as_ref() == Some(&files) {
            return Outcome::Unchanged;
        }
        if occasion == Occasion::Order {
            past.quarantine.retain(|digest| *digest != files.digest);
        } else if past.quarantine.contains(&files.digest) {
            return self.refuse(format!(
                "{}.wasm: this version was rolled back, and is not tried again by itself",
                self.name
            ));
        }
        let generation = past.generations + 1;
        let pool = match self.make(host, &files, generation) {
            Ok(pool) => pool,
            Err(fault) => return self.refuse(fault),
        };
        past.generations = generation;
        past.probation = self.live().ok().map(|before| Probation {
            before,
            until: Instant::now() + PROBATION,
        });
        past.before = past.files.replace(Arc::clone(&files));
        self.put(Arc::new(pool));
        *self.fault.lock() = None;
        let (plugin, digest) = (self.name.as_str(), &files.digest[..DIGEST_SHOWN]);
        tracing::info!(plugin, door = D::NAME, digest, generation, "plugin is live");
        Outcome::Live(generation)
    }

    fn roll_back(&self, host: &Arc<HostSide>) -> Outcome {
        self.back(&mut self.past.lock(), host, "by hand".to_owned())
    }

    fn tend(&self, host: &Arc<HostSide>) -> bool {
        let mut past = self.past.lock();
        let (Some(probation), Ok(live)) = (&past.probation, self.live()) else {
            return false;
        };
        let traps = live.plugin.identity.traps.load(Ordering::Relaxed);
        if let Some(why) = live.plugin.identity.unfit.get() {
            self.back(&mut past, host, why.clone());
        } else if traps >= TRAPS_ON_PROBATION {
            self.back(
                &mut past,
                host,
                format!("it failed {traps} times in its first {} s", PROBATION.as_secs()),
            );
        } else if Instant::now() >= probation.until {
            past.probation = None;
        }
        past.probation.is_some()
    }

    fn report(&self) -> PluginReport {
        let live = self.live().ok();
        PluginReport::new(
            &self.name,
            D::NAME,
            live.as_ref().map(|pool| &*pool.plugin.identity),
            self.fault.lock().clone(),
        )
    }
}

const NEEDS_RESTART: &str = "one of this version and the one that serves reaches other instances and the other does not: \
                             that takes a restart";

/// Digits of a digest that a log line shows.
const DIGEST_SHOWN: usize = 12;

/// How long a new version is watched.
const PROBATION: Duration = Duration::from_secs(30);

/// So many traps in that time, and the version before is back: one may be chance.
const TRAPS_ON_PROBATION: u64 = 3;

/// Digests that are remembered. Whoever copies more faulty versions in one run has the oldest tried again.
const QUARANTINED: usize = 16;
