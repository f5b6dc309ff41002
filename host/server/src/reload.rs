//! The configuration is read again while the program runs: because its file has changed, on SIGHUP, or because an operator says so.
//!
//! It is read as at the start, checked as a whole, and takes effect as a whole or not at all: first everything that can fail is
//! made ready beside what is in use, the plugins in particular, then all of it takes its place. What is refused leaves one line in the
//! log that says where the mistake is.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jackfield_config::{ConfigError, Origin, Written};
use jackfield_wasm::Misfit;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use crate::change_adapter;
use crate::settings::{Settings, wanted};
use crate::shared::Shared;

/// What came of reloads, and the way to have another one.
pub(crate) struct Reloads {
    /// None if the program was started without one.
    pub(crate) file: Option<PathBuf>,
    /// Event loops hear of it: their connections may have to follow.
    generation: watch::Sender<u64>,
    /// What is in use took effect at this time, in seconds since 1970.
    since_unix_s: AtomicU64,
    /// Why what is written now is not in use, and since when.
    refusal: Mutex<Option<(u64, String)>>,
    /// By outcome, in the order of [`OUTCOMES`].
    counts: [AtomicU64; 3],
    orders: mpsc::Sender<Order>,
}

/// Somebody wants the configuration to be read again.
pub(crate) struct Order {
    cause: Cause,
    answer: Option<oneshot::Sender<Outcome>>,
}

/// Who that is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The file has changed.
    File,
    /// SIGHUP.
    Signal,
    /// Somebody at the listener for operators.
    Operator(SocketAddr),
}

/// What came of it.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// These keys have changed.
    Applied(Vec<String>),
    /// What is written is what is in use.
    Unchanged,
    /// Why not. Nothing has changed.
    Refused(String),
}

impl Reloads {
    /// With what carries out the orders.
    pub(crate) fn new(file: Option<PathBuf>) -> (Self, mpsc::Receiver<Order>) {
        let (orders, given) = mpsc::channel(ORDERS);
        let reloads = Self {
            file,
            generation: watch::Sender::new(1),
            since_unix_s: AtomicU64::new(unix_s()),
            refusal: Mutex::default(),
            counts: Default::default(),
            orders,
        };
        (reloads, given)
    }

    /// The how-manieth configuration of this run is in use.
    pub(crate) fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    /// Tells whenever another configuration is in use.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Since when the configuration is in use, in seconds since 1970.
    pub(crate) fn since_unix_s(&self) -> u64 {
        self.since_unix_s.load(Ordering::Relaxed)
    }

    /// Why what is written now is not in use, and since when.
    pub(crate) fn refusal(&self) -> Option<(u64, String)> {
        self.refusal.lock().clone()
    }

    /// How often what came of it, since the start.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        OUTCOMES.into_iter().zip(counts)
    }

    /// Has the configuration read again. Nobody waits for it; if much waits already, what does reads what is written now.
    pub(crate) fn order(&self, cause: Cause) {
        let _ = self.orders.try_send(Order { cause, answer: None });
    }

    /// The same, and waits.
    pub(crate) async fn ask(&self, cause: Cause) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let answer = Some(answer);
        // Neither fails before the program ends.
        let _ = self.orders.send(Order { cause, answer }).await;
        let ending = Outcome::Refused("the program is about to end".to_owned());
        answered.await.unwrap_or(ending)
    }

    fn note(&self, cause: Cause, outcome: &Outcome) {
        // Files are touched, and looked at once when nothing has happened.
        if !(matches!(outcome, Outcome::Unchanged) && cause == Cause::File) {
            self.counts[outcome.number()].fetch_add(1, Ordering::Relaxed);
        }
        let generation = self.generation();
        let mut refusal = self.refusal.lock();
        *refusal = None;
        match outcome {
            Outcome::Applied(changes) => {
                let changes = changes.join(", ");
                tracing::info!(%cause, generation, changes, "the configuration has changed");
            }
            Outcome::Unchanged if cause == Cause::File => {}
            Outcome::Unchanged => tracing::info!(%cause, generation, "the configuration is as it was"),
            Outcome::Refused(reason) => {
                tracing::error!(%cause, generation, reason, "the configuration was not changed; the one before holds");
                *refusal = Some((unix_s(), reason.clone()));
            }
        }
    }
}

impl Outcome {
    fn number(&self) -> usize {
        match self {
            Self::Applied(_) => 0,
            Self::Unchanged => 1,
            Self::Refused(_) => 2,
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        OUTCOMES[self.number()]
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Signal => f.write_str("SIGHUP"),
            Self::Operator(caller) => write!(f, "operator {caller}"),
        }
    }
}

/// Carries out orders, one after the other, until the program ends. `in_use` is what it was started with.
pub(crate) async fn run(shared: Arc<Shared>, origin: Origin, mut in_use: Written, mut orders: mpsc::Receiver<Order>) {
    while let Some(Order { cause, answer }) = orders.recv().await {
        let outcome = match reload(&shared, &origin, &mut in_use).await {
            Ok(changes) if changes.is_empty() => Outcome::Unchanged,
            Ok(changes) => Outcome::Applied(changes),
            Err(error) => Outcome::Refused(error.to_string()),
        };
        shared.reloads.note(cause, &outcome);
        if let Some(answer) = answer {
            let _ = answer.send(outcome);
        }
    }
}

/// The keys that have changed; none if nothing has.
async fn reload(shared: &Arc<Shared>, origin: &Origin, in_use: &mut Written) -> Result<Vec<String>, ConfigError> {
    let mut config = origin.read()?;
    let changes = config.written.changes_of(in_use)?;
    if changes.is_empty() {
        return Ok(changes);
    }
    let plugins = shared.registry.prepare(wanted(&config)).await;
    let plugins = plugins.map_err(|misfit| told(&config.written, &misfit))?;
    let (settings, apps) = (Settings::of(&mut config), std::mem::take(&mut config.apps));
    let adapter = change_adapter::prepare(shared, &config.doors).await;
    let adapter = adapter.map_err(|reason| config.written.mistake(&["adapter"], reason))?;
    // The last that could fail, were it not checked already; from here on everything takes its place.
    let digest = crate::assemble::digest(&apps);
    let replaced = shared.apps.replace(apps);
    replaced.map_err(|error| config.written.mistake(&["apps"], error.to_string()))?;
    plugins.put().await;
    if let Some(bus) = adapter {
        shared.cluster.go_over(bus);
    }
    shared.cluster.serve(digest);
    shared.settings.store(Arc::new(settings));
    *in_use = config.written;
    let reloads = &shared.reloads;
    reloads.since_unix_s.store(unix_s(), Ordering::Relaxed);
    reloads.generation.send_modify(|generation| *generation += 1);
    Ok(changes)
}

/// A plugin's words, at the key that they are about.
fn told(written: &Written, misfit: &Misfit) -> ConfigError {
    let Misfit { plugin, reason, .. } = misfit;
    if misfit.in_section {
        return written.mistake(&["plugin", plugin], reason.clone());
    }
    let key = match misfit.door {
        "auth" => ["auth", "chain"],
        "rate-limit" => ["rate_limiter", "plugin"],
        _ => ["webhooks", "plugin"],
    };
    written.mistake(&key, format!("plugin `{plugin}`: {reason}"))
}

fn unix_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// As operators and metrics name what came of a reload.
const OUTCOMES: [&str; 3] = ["applied", "unchanged", "refused"];

/// Orders that may wait; all of them would read the same.
const ORDERS: usize = 8;
