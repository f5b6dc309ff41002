//! Who changes plugins: each place has a keeper, a thread that looks after its files, loads what is new, and takes back what fails.
//! So a component that takes long to compile holds up nobody but its own next version.
//!
//! While the plugins of another configuration wait to take their places, keepers change nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use jackfield_files::print;
use jackfield_watch::{Folders, Look, POLL, Print, SOON, Settling};
use parking_lot::Mutex;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, oneshot};

use crate::context::HostSide;
use crate::report::PluginReport;

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
    /// Another configuration wants it, or wants it otherwise.
    Refit,
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

/// The way to the keepers, which end with it.
pub(crate) struct Reloader {
    host: Arc<HostSide>,
    folder: PathBuf,
    keepers: Arc<Mutex<Vec<Keeper>>>,
    /// Keepers share it while they change something; whoever changes the configuration has it alone.
    turn: Arc<RwLock<()>>,
    _folders: Folders,
}

/// The way to one plugin's keeper, which ends with the place.
struct Keeper {
    place: Weak<dyn Place>,
    tasks: Arc<Tasks>,
}

/// What a keeper is to do, in order.
struct Tasks {
    queue: SyncSender<Task>,
    /// Whether it has been told to look and has not begun to.
    told: AtomicBool,
}

enum Task {
    /// Something has happened in the folder.
    Look,
    /// Load what the files hold, now, and answer.
    Reload(oneshot::Sender<Outcome>),
    RollBack(oneshot::Sender<Outcome>),
}

/// What became of plugins, by name.
type Outcomes = Vec<(String, Outcome)>;

impl Reloader {
    /// Loads all places for the first time, and looks after them from then on. One that takes very long is not waited for.
    pub(crate) fn start(host: Arc<HostSide>, folder: PathBuf, places: &[Arc<dyn Place>]) -> std::io::Result<Self> {
        let keepers = Arc::<Mutex<Vec<Keeper>>>::default();
        let told = Arc::clone(&keepers);
        // Before anything is read: what changes meanwhile must not be missed.
        let mut folders = Folders::new(move || told.lock().iter().for_each(|keeper| keeper.tasks.look()));
        folders.add(&folder);
        let reloader = Self {
            host,
            folder,
            keepers,
            turn: Arc::default(),
            _folders: folders,
        };
        let (loaded, all_loaded) = sync_channel(places.len());
        for place in places {
            let loaded = loaded.clone();
            reloader.load(place, move |_| {
                // Nobody may wait any more.
                let _ = loaded.send(());
            })?;
        }
        let until = Instant::now() + FIRST_LOADS;
        for _ in places {
            let left = until.saturating_duration_since(Instant::now());
            if all_loaded.recv_timeout(left).is_err() {
                let seconds = FIRST_LOADS.as_secs();
                tracing::warn!("not all plugins are loaded after {seconds} s; they go live when they are");
                break;
            }
        }
        Ok(reloader)
    }

    /// Loads a place more, and looks after it as long as somebody has it.
    ///
    /// # Errors
    /// Why it cannot be loaded.
    pub(crate) async fn add(&self, place: &Arc<dyn Place>) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let keeping = self.load(place, move |outcome| {
            let _ = answer.send(outcome);
        });
        keeping.map_err(|error| format!("no thread to look after it: {error}"))?;
        match answered.await {
            Ok(Outcome::Live(_) | Outcome::Unchanged) => Ok(()),
            Ok(Outcome::Refused(why)) => Err(why),
            Err(_) => Err("the program is about to end".to_owned()),
        }
    }

    /// Looks after those of these places that nobody looks after yet: they are loaded.
    pub(crate) fn look_after(&self, places: &[Arc<dyn Place>]) {
        for place in places {
            let is_it = |keeper: &Keeper| std::ptr::addr_eq(keeper.place.as_ptr(), Arc::as_ptr(place));
            if self.keepers.lock().iter().any(is_it) {
                continue;
            }
            // The files may have changed since they were read: a look finds out.
            if let Err(error) = self.keep(place, |_, _| Settling::new(Print::default())) {
                tracing::error!(plugin = place.name(), %error, "no thread to look after it");
            }
        }
    }

    /// Until what comes back is dropped, nothing changes by itself, nor by an operator's order.
    pub(crate) async fn alone(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.turn).write_owned().await
    }

    /// Loads what the files of one plugin hold, or of all; with what became of each. Nothing if there is no such plugin.
    pub(crate) async fn reload(&self, name: Option<String>) -> Outcomes {
        self.ask(name.as_deref(), Task::Reload).await
    }

    /// Brings back the version before this one.
    pub(crate) async fn roll_back(&self, name: String) -> Outcomes {
        self.ask(Some(&name), Task::RollBack).await
    }

    /// Who is busy answers when what it does has come to its end.
    async fn ask(&self, name: Option<&str>, task: impl Fn(oneshot::Sender<Outcome>) -> Task) -> Outcomes {
        let mut asked = Vec::new();
        for keeper in self.keepers.lock().iter() {
            let Some(place) = keeper.place.upgrade() else { continue };
            if name.is_none_or(|name| name == place.name()) {
                let (answer, answered) = oneshot::channel();
                let put = keeper.tasks.queue.try_send(task(answer));
                asked.push((place.name().to_owned(), put.ok().map(|()| answered)));
            }
        }
        let mut outcomes = Vec::new();
        for (name, answered) in asked {
            let outcome = match answered {
                Some(answered) => answered.await.ok(),
                None => None,
            };
            let busy = || Outcome::Refused("it is busy with earlier orders; ask again later".to_owned());
            outcomes.push((name, outcome.unwrap_or_else(busy)));
        }
        outcomes
    }

    fn load(&self, place: &Arc<dyn Place>, loaded: impl FnOnce(Outcome) + Send + 'static) -> std::io::Result<()> {
        let host = Arc::clone(&self.host);
        self.keep(place, move |place, folder| {
            let files = Settling::new(print(folder, place.name()));
            loaded(place.load(&host, folder, Occasion::Start));
            files
        })
    }

    fn keep(
        &self,
        place: &Arc<dyn Place>,
        begin: impl FnOnce(&dyn Place, &Path) -> Settling + Send + 'static,
    ) -> std::io::Result<()> {
        let (queue, received) = sync_channel(TASKS);
        let told = AtomicBool::new(false);
        let tasks = Arc::new(Tasks { queue, told });
        let (host, folder, turn) = (Arc::clone(&self.host), self.folder.clone(), Arc::clone(&self.turn));
        let (first, told) = (Arc::clone(place), Arc::downgrade(&tasks));
        let mut keepers = self.keepers.lock();
        keepers.retain(|keeper| keeper.place.strong_count() > 0);
        keepers.push(Keeper {
            place: Arc::downgrade(place),
            tasks,
        });
        drop(keepers);
        let keeping = move || {
            let files = begin(&*first, &folder);
            let work = Work {
                place: Arc::downgrade(&first),
                files,
                host,
                folder,
                turn,
            };
            drop(first);
            work.run(&told, &received);
        };
        let builder = thread::Builder::new().name("plugin-keeper".to_owned());
        builder.spawn(keeping).map(drop)
    }
}

impl Tasks {
    fn look(&self) {
        if !self.told.swap(true, Ordering::SeqCst) && self.queue.try_send(Task::Look).is_err() {
            // So many orders wait that it will look anyway.
            self.told.store(false, Ordering::SeqCst);
        }
    }
}

/// What a keeper's thread has.
struct Work {
    place: Weak<dyn Place>,
    files: Settling,
    host: Arc<HostSide>,
    folder: PathBuf,
    turn: Arc<RwLock<()>>,
}

impl Work {
    fn run(mut self, told: &Weak<Tasks>, tasks: &Receiver<Task>) {
        let mut pause = POLL;
        loop {
            let task = tasks.recv_timeout(pause);
            let Some(place) = self.place.upgrade() else { return };
            let lock = Arc::clone(&self.turn);
            let turn = lock.try_read();
            match task {
                Ok(Task::Look) => {
                    if let Some(tasks) = told.upgrade() {
                        tasks.told.store(false, Ordering::SeqCst);
                    }
                }
                Ok(Task::Reload(answer) | Task::RollBack(answer)) if turn.is_err() => {
                    let why = "the configuration is being changed; try again".to_owned();
                    let _ = answer.send(Outcome::Refused(why));
                }
                Ok(Task::Reload(answer)) => {
                    self.files.read(print(&self.folder, place.name()));
                    let _ = answer.send(place.load(&self.host, &self.folder, Occasion::Order));
                }
                Ok(Task::RollBack(answer)) => {
                    let _ = answer.send(place.roll_back(&self.host));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let busy = turn.is_err() || self.look(&*place) || place.tend(&self.host);
            pause = if busy { SOON } else { POLL };
        }
    }

    /// Loads what has changed and has not gone on changing. Whether something still may.
    fn look(&mut self, place: &dyn Place) -> bool {
        let look = self.files.look(print(&self.folder, place.name()));
        if look == Look::Changed {
            place.load(&self.host, &self.folder, Occasion::Change);
        }
        look != Look::Same
    }
}

/// Requests of operators that may wait for one plugin.
const TASKS: usize = 64;

/// How long the first loads are waited for: some large components on a busy machine. Nobody can stop a compilation, and one that
/// takes for ever must not keep a server from starting.
const FIRST_LOADS: Duration = Duration::from_secs(120);
