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
use jackfield_files::Files;
use jackfield_hub::doors::DoorError;
use jackfield_protocol::signature::sha256_hex;
use parking_lot::Mutex;

use crate::context::HostSide;
use crate::plugin::{Door, Plugin, Source};
use crate::pool::{Pool, Spread};
use crate::reloader::{Occasion, Outcome, Place};
use crate::report::{PluginReport, State, VersionReport};

/// The place of one plugin at one door.
pub(crate) struct Slot<D: Door> {
    /// The plugin's name: its file's stem.
    pub(crate) name: String,
    spread: Spread,
    /// By which keys find their instance, in all versions alike.
    hasher: RandomState,
    live: ArcSwapOption<Pool<D>>,
    /// Why nothing is live, or why the last attempt to load failed.
    fault: Mutex<Option<String>>,
    /// How the live version stands, by what became of changes; `past` is taken while one is made.
    state: Mutex<State>,
    /// Taken by this place's keeper alone, for as long as it takes.
    past: Mutex<Past<D>>,
}

struct Past<D: Door> {
    generations: u64,
    /// Its section of the configuration, as JSON: that of every version that is loaded from now on.
    section: Arc<str>,
    /// What the live version was made of, and the one before it.
    made_of: Option<Material>,
    before: Option<Material>,
    probation: Option<Probation<D>>,
    /// What failed on probation, or was rolled back by hand.
    quarantine: VecDeque<String>,
}

/// What a version is made of.
#[derive(Clone, PartialEq, Eq)]
struct Material {
    files: Arc<Files>,
    section: Arc<str>,
}

/// A version that can take its place.
pub(crate) struct Ready<D: Door> {
    slot: Arc<Slot<D>>,
    material: Material,
    pool: Pool<D>,
}

/// A new version is watched for a while, and the one before it kept ready.
struct Probation<D: Door> {
    before: Arc<Pool<D>>,
    until: Instant,
}

impl<D: Door> Slot<D> {
    /// An empty slot.
    pub(crate) fn new(name: &str, section: &str, spread: Spread) -> Self {
        Self {
            name: name.to_owned(),
            spread,
            hasher: RandomState::new(),
            live: ArcSwapOption::empty(),
            fault: Mutex::new(Some("it is still being loaded".to_owned())),
            state: Mutex::new(State::Missing),
            past: Mutex::new(Past {
                generations: 0,
                section: section.into(),
                made_of: None,
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

    /// Whether this is the section that versions are loaded with.
    pub(crate) fn has_section(&self, section: &str) -> bool {
        *self.past.lock().section == *section
    }

    /// What its files hold; of files that cannot be read, what the live version was made of.
    pub(crate) fn files(&self, folder: &Path) -> Result<Arc<Files>, String> {
        let live = || {
            self.past
                .lock()
                .made_of
                .as_ref()
                .map(|made_of| Arc::clone(&made_of.files))
        };
        let read = Files::read(folder, &self.name).map(Arc::new);
        read.or_else(|fault| live().ok_or(fault))
    }

    fn make(
        &self,
        host: &Arc<HostSide>,
        past: &Past<D>,
        material: &Material,
        occasion: Occasion,
    ) -> Result<Pool<D>, String> {
        let Material { files, section } = material;
        let (live, generation) = (self.live(), past.generations + 1);
        let same = past.made_of.as_ref().is_some_and(|made_of| made_of.files == *files);
        let plugin = match &live {
            Ok(live) if same => live.plugin.again(section, generation),
            _ => Plugin::load(&Source {
                host,
                name: &self.name,
                files,
                config: section,
                generation,
                // Nobody waits for a door that was never open, and everybody at one that is.
                nice: live.is_ok() || occasion == Occasion::Refit,
            })?,
        };
        let pool = Pool::start(plugin, self.spread, self.hasher.clone())?;
        match live {
            Ok(live) if live.plugin.has_peers != pool.plugin.has_peers => Err(NEEDS_RESTART.to_owned()),
            _ => Ok(pool),
        }
    }

    /// A version that is good takes its place, on probation if there was one before it.
    fn go_live(&self, past: &mut Past<D>, material: Material, pool: Pool<D>) -> Outcome {
        let (plugin, generation) = (self.name.as_str(), pool.plugin.identity.generation);
        past.generations = generation;
        past.probation = self.live().ok().map(|before| Probation {
            before,
            until: Instant::now() + PROBATION,
        });
        let digest = material.files.digest[..DIGEST_SHOWN].to_owned();
        past.before = past.made_of.replace(material);
        let state = past.probation.as_ref().map_or(State::Live, |_| State::Probation);
        self.put(Arc::new(pool));
        *self.fault.lock() = None;
        *self.state.lock() = state;
        tracing::info!(plugin, door = D::NAME, digest, generation, "plugin is live");
        Outcome::Live(generation)
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
            (None, Some(material)) => match self.make(host, past, material, Occasion::Order) {
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
        let left = std::mem::replace(&mut past.made_of, past.before.take());
        if let Some(left) = left {
            past.quarantine.push_back(left.digest());
            if past.quarantine.len() > QUARANTINED {
                past.quarantine.pop_front();
            }
        }
        let (plugin, digest) = (self.name.as_str(), &identity.digest[..DIGEST_SHOWN]);
        tracing::warn!(plugin, door = D::NAME, digest, why, "plugin was rolled back");
        *self.fault.lock() = Some(why);
        *self.state.lock() = State::RolledBack;
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
        let section = Arc::clone(&past.section);
        let material = Material { files, section };
        if past.made_of.as_ref() == Some(&material) {
            return Outcome::Unchanged;
        }
        if occasion == Occasion::Order {
            past.quarantine.retain(|digest| *digest != material.digest());
        } else if past.quarantine.contains(&material.digest()) {
            return self.refuse(format!(
                "{}.wasm: this version was rolled back, and is not tried again by itself",
                self.name
            ));
        }
        match self.make(host, &past, &material, occasion) {
            Ok(pool) => self.go_live(&mut past, material, pool),
            Err(fault) => self.refuse(fault),
        }
    }

    fn roll_back(&self, host: &Arc<HostSide>) -> Outcome {
        self.back(&mut self.past.lock(), host, "by hand".to_owned())
    }

    fn tend(&self, host: &Arc<HostSide>) -> bool {
        let mut past = self.past.lock();
        let (Some(probation), Ok(live)) = (&past.probation, self.live()) else {
            return false;
        };
        let traps = live.plugin.identity.figures.traps.load(Ordering::Relaxed);
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
            *self.state.lock() = State::Live;
        }
        past.probation.is_some()
    }

    fn report(&self) -> PluginReport {
        let live = self.live().ok();
        let live = live.map(|pool| VersionReport::new(&pool.plugin.identity));
        let state = match &live {
            None => State::Missing,
            Some(version) if version.paused => State::Paused,
            Some(_) => *self.state.lock(),
        };
        PluginReport {
            name: self.name.clone(),
            door: D::NAME,
            state,
            fault: self.fault.lock().clone(),
            live,
        }
    }
}

impl<D: Door> Ready<D> {
    /// Makes the version of these files and this section. Nothing changes for anybody yet.
    pub(crate) fn prepare(
        slot: &Arc<Slot<D>>,
        host: &Arc<HostSide>,
        files: Arc<Files>,
        section: &str,
    ) -> Result<Self, String> {
        let section = section.into();
        let material = Material { files, section };
        let pool = slot.make(host, &slot.past.lock(), &material, Occasion::Refit)?;
        let slot = Arc::clone(slot);
        Ok(Self { slot, material, pool })
    }

    /// It takes its place, and its section is the plugin's from now on.
    pub(crate) fn put(self) {
        let mut past = self.slot.past.lock();
        past.section = Arc::clone(&self.material.section);
        self.slot.go_live(&mut past, self.material, self.pool);
    }
}

impl Material {
    /// Tells it from others. A version whose section is to blame may come again with another one.
    fn digest(&self) -> String {
        sha256_hex([&self.files.digest, "\n", &self.section].concat().as_bytes())
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
