//! The one thread that changes plugins: it looks after the plugins folder, loads what is new, and takes back what fails.
//!
//! The folder is watched, not the files, since whoever saves often puts another file in the place of the old one; and it is looked at
//! from time to time, since some file systems say nothing. Files are read when they have not changed for a moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::context::{HostSide, Identity};
use crate::files::Print;

/// A slot, whatever its door.
pub(crate) trait Place: Send + Sync {
    /// The plugin's name.
    fn name(&self) -> &str;

    /// Reads the files, and puts what they hold into place if it is new and good.
    fn load(&self, host: &Arc<HostSide>, folder: &Path, occasion: Occasion) -> Outcome;

    /// Puts the version before this one into its place.
    fn roll_back(&self, host: &Arc<HostSide>) -> Outcome;

    /// Looks at a version that is on probation, and rolls it back if it fails. Whether it still is on probation.
    fn tend(&self, host: &Arc<HostSide>) -> bool;

    /// What stands here.
    fn report(&self) -> PluginReport;
}

/// Why a plugin is loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The program starts: nobody is served yet.
    Start,
    /// Its files have changed.
    Change,
    /// The operator says so: also what was rolled back before.
    Order,
}

/// What became of an attempt to change a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This generation is live now.
    Live(u64),
    /// The live version is what the files hold.
    Unchanged,
    /// Why not. What was live still is.
    Refused(String),
}

/// One plugin, for logs, metrics and the operator.
#[derive(Clone, Debug)]
pub struct PluginReport {
    /// The file's stem.
    pub name: String,
    /// Its door.
    pub door: &'static str,
    /// Why nothing is live, or why the last change was not made or not kept.
    pub fault: Option<String>,
    /// The live version.
    pub live: Option<VersionReport>,
}

/// One version of a plugin.
#[derive(Clone, Debug)]
pub struct VersionReport {
    /// SHA-256 of the file.
    pub digest: String,
    /// The how-manieth version of this run it is.
    pub generation: u64,
    /// Guest calls since it went live.
    pub calls: u64,
    /// Calls that ended in a trap or ran out of time.
    pub traps: u64,
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

impl PluginReport {
    pub(crate) fn new(name: &str, door: &'static str, live: Option<&Identity>, fault: Option<String>) -> Self {
        Self {
            name: name.to_owned(),
            door,
            fault,
            live: live.map(|identity| VersionReport {
                digest: identity.digest.clone(),
                generation: identity.generation,
                calls: identity.calls.load(Ordering::Relaxed),
                traps: identity.traps.load(Ordering::Relaxed),
                paused: identity.breaker.is_paused(),
                pauses: identity.breaker.trips.load(Ordering::Relaxed),
                channel_messages: identity.delivered.channels.load(Ordering::Relaxed),
                cluster_messages: identity.delivered.cluster.load(Ordering::Relaxed),
                counters: identity.counters.lock().clone(),
            }),
        }
    }
}

/// The way to the reloader, which ends with it.
pub(crate) struct Reloader {
    tasks: Arc<SyncSender<Task>>,
    /// A place is looked after as long as its door is there.
    places: Arc<Mutex<Vec<Weak<dyn Place>>>>,
}

enum Task {
    /// Something has happened in the folder.
    Look,
    /// A place more. What is refused is not looked after.
    Add(Arc<dyn Place>, oneshot::Sender<Outcome>),
    /// Now, and answer. All plugins, or one.
    Reload(Option<String>, oneshot::Sender<Vec<(String, Outcome)>>),
    RollBack(String, oneshot::Sender<Vec<(String, Outcome)>>),
}

impl Reloader {
    /// Loads all places for the first time, and looks after them from then on.
    pub(crate) fn start(host: Arc<HostSide>, folder: PathBuf, places: Vec<Arc<dyn Place>>) -> std::io::Result<Self> {
        let (tasks, received) = sync_channel(TASKS);
        let tasks = Arc::new(tasks);
        let known = places.iter().map(Arc::downgrade).collect();
        let mut work = Work {
            watched: Vec::new(),
            places: Arc::new(Mutex::new(known)),
            _watcher: watch(&folder, &tasks),
            host,
            folder,
        };
        for place in &places {
            let (watched, _) = work.begin(place);
            work.watched.push(watched);
        }
        let places = Arc::clone(&work.places);
        thread::Builder::new()
            .name("plugin-reloader".to_owned())
            .spawn(move || work.run(&received))?;
        Ok(Self { tasks, places })
    }

    /// Loads a place more, and looks after it if that goes well.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) async fn add(&self, place: Arc<dyn Place>) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let _ = self.tasks.try_send(Task::Add(place, answer));
        match answered.await {
            Ok(Outcome::Refused(why)) => Err(why),
            Ok(Outcome::Live(_) | Outcome::Unchanged) => Ok(()),
            Err(_) => Err("too many changes of plugins wait already".to_owned()),
        }
    }

    /// What stands where, in the order in which the places came.
    pub(crate) fn reports(&self) -> Vec<PluginReport> {
        let places = self.places.lock();
        let there = places.iter().filter_map(Weak::upgrade);
        there.map(|place| place.report()).collect()
    }

    /// Loads what the files of one plugin hold, or of all; with what became of each. Nothing if there is no such plugin.
    pub(crate) async fn reload(&self, name: Option<String>) -> Vec<(String, Outcome)> {
        self.ask(|answer| Task::Reload(name, answer)).await
    }

    /// Brings back the version before this one.
    pub(crate) async fn roll_back(&self, name: String) -> Vec<(String, Outcome)> {
        self.ask(|answer| Task::RollBack(name, answer)).await
    }

    async fn ask(&self, task: impl FnOnce(oneshot::Sender<Vec<(String, Outcome)>>) -> Task) -> Vec<(String, Outcome)> {
        let (answer, answered) = oneshot::channel();
        // A reloader with so much to do says so by not answering.
        let _ = self.tasks.try_send(task(answer));
        answered.await.unwrap_or_default()
    }
}

/// What the file system's events are good for: a look, soon.
fn watch(folder: &Path, tasks: &Arc<SyncSender<Task>>) -> Option<RecommendedWatcher> {
    let tasks = Arc::downgrade(tasks);
    let told = move |_| {
        if let Some(tasks) = tasks.upgrade() {
            // Full: it will look anyway.
            let _ = tasks.try_send(Task::Look);
        }
    };
    let watching = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    let seconds = POLL.as_secs();
    watching
        .inspect_err(
            |error| tracing::warn!(%error, "the plugins folder cannot be watched; it is looked at every {seconds} s"),
        )
        .ok()
}

/// What the reloader's thread has.
struct Work {
    watched: Vec<Watched>,
    places: Arc<Mutex<Vec<Weak<dyn Place>>>>,
    host: Arc<HostSide>,
    folder: PathBuf,
    _watcher: Option<RecommendedWatcher>,
}

struct Watched {
    place: Weak<dyn Place>,
    /// What the files were like at the last look, and since when they have been.
    seen: Print,
    since: Instant,
    /// What they were like when they were read.
    done: Print,
}

impl Work {
    fn run(mut self, tasks: &Receiver<Task>) {
        let mut pause = POLL;
        loop {
            match tasks.recv_timeout(pause) {
                Ok(Task::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Task::Add(place, answer)) => {
                    let _ = answer.send(self.add(&place));
                }
                Ok(Task::Reload(name, answer)) => {
                    let _ = answer.send(self.reload(name.as_deref()));
                }
                Ok(Task::RollBack(name, answer)) => {
                    let _ = answer.send(self.roll_back(&name));
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.forget();
            let unsettled = self.look();
            let there = self.watched.iter().filter_map(|it| it.place.upgrade());
            let on_probation = there.filter(|place| place.tend(&self.host)).count() > 0;
            pause = if unsettled || on_probation { SOON } else { POLL };
        }
    }

    /// Loads a place for the first time.
    fn begin(&self, place: &Arc<dyn Place>) -> (Watched, Outcome) {
        let done = Print::of(&self.folder, place.name());
        let outcome = place.load(&self.host, &self.folder, Occasion::Start);
        let watched = Watched {
            place: Arc::downgrade(place),
            seen: done.clone(),
            since: Instant::now(),
            done,
        };
        (watched, outcome)
    }

    fn add(&mut self, place: &Arc<dyn Place>) -> Outcome {
        let (watched, outcome) = self.begin(place);
        if !matches!(outcome, Outcome::Refused(_)) {
            self.watched.push(watched);
            self.places.lock().push(Arc::downgrade(place));
        }
        outcome
    }

    /// Places whose doors are gone.
    fn forget(&mut self) {
        self.watched.retain(|it| it.place.strong_count() > 0);
        self.places.lock().retain(|place| place.strong_count() > 0);
    }

    /// Loads what has changed and has not gone on changing. Whether something still may.
    fn look(&mut self) -> bool {
        let mut unsettled = false;
        for it in &mut self.watched {
            let Some(place) = it.place.upgrade() else { continue };
            let print = Print::of(&self.folder, place.name());
            if print != it.seen {
                (it.seen, it.since) = (print, Instant::now());
            }
            if it.seen == it.done {
                continue;
            }
            if it.since.elapsed() < SETTLED {
                unsettled = true;
                continue;
            }
            it.done = it.seen.clone();
            place.load(&self.host, &self.folder, Occasion::Change);
        }
        unsettled
    }

    fn reload(&mut self, name: Option<&str>) -> Vec<(String, Outcome)> {
        let mut outcomes = Vec::new();
        for it in &mut self.watched {
            let Some(place) = it.place.upgrade() else { continue };
            if name.is_some_and(|name| name != place.name()) {
                continue;
            }
            it.done = Print::of(&self.folder, place.name());
            let outcome = place.load(&self.host, &self.folder, Occasion::Order);
            outcomes.push((place.name().to_owned(), outcome));
        }
        outcomes
    }

    fn roll_back(&self, name: &str) -> Vec<(String, Outcome)> {
        let there = self.watched.iter().filter_map(|it| it.place.upgrade());
        let found = there.filter(|place| place.name() == name);
        found
            .map(|place| (name.to_owned(), place.roll_back(&self.host)))
            .collect()
    }
}

/// Files that have not changed for so long are read: longer than a copy pauses.
const SETTLED: Duration = Duration::from_millis(250);

/// The next look while something is going on.
const SOON: Duration = Duration::from_millis(50);

/// The next look when nothing is said to have happened: a few system calls.
const POLL: Duration = Duration::from_secs(2);

/// Requests of operators, and events of the file system, that may wait.
const TASKS: usize = 64;
