//! The whole program on one screen: makes every room, connects them, and takes them down in order.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jackfield_cluster::Setup;
use jackfield_config::{Config, Origin};
use jackfield_driver::Driver;
use jackfield_hub::doors::{Reach, WebhookSink};
use jackfield_hub::{App, Gate, Hub, ShardHandle};
use jackfield_protocol::signature::sha256_hex;
use jackfield_stores::{AppTable, DuplicateApp, NoticeStore};
use jackfield_wasm::{OpenedAdapter, Registry};
use jackfield_watch::watch_file;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::acceptor::Acceptor;
use crate::admin::Desk;
use crate::change_adapter::bus;
use crate::metrics::Metrics;
use crate::reload::{Cause, Reloads};
use crate::settings::{Settings, wanted};
use crate::shared::{Counts, Shared};
use crate::{acceptor, admin, event_loop, reload, webhooks};

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Closes the port.
    close: oneshot::Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be bound.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The plugin runtime cannot be started.
    #[error("{0}")]
    Plugins(String),
    /// There is no randomness to tell this process from others.
    #[error("the operating system has no random source: {0}")]
    Random(getrandom::Error),
    /// The app table is not one.
    #[error("configuration: {0}")]
    Apps(#[from] DuplicateApp),
}

/// Makes a server and starts it. `origin` is where the configuration was read, and will be again; `background` runs what is not on an
/// event loop.
///
/// # Errors
/// [`StartError`]. A plugin that is missing or wrong is no error: its door is closed and says so.
pub fn assemble(mut config: Config, origin: Origin, background: &Runtime) -> Result<Server, StartError> {
    let listener = listen(config.listen)?;
    let metrics_listener = config.metrics.map(listen).transpose()?;
    let address = listener
        .local_addr()
        .map_err(|error| StartError::Listen(config.listen, error))?;

    let (wanted, shards) = (wanted(&config), config.shards);
    let digest = digest(&config.apps);
    let settings = Settings::of(&mut config);
    let apps = Arc::new(AppTable::new(config.apps)?);
    let registry = Registry::load(&wanted, Arc::clone(&apps) as _, background.handle().clone());
    let (registry, adapter) = registry.map_err(StartError::Plugins)?;
    let gate = Gate::new(registry.authorizer(), registry.limiter());
    let notices = Arc::new(NoticeStore::default());
    let (handles, wakes): (Vec<ShardHandle>, Vec<Arc<Notify>>) = (0..shards).map(|_| event_loop::handle()).unzip();
    let key = config.cluster_key.as_ref().map(|key| key.as_bytes().to_vec());
    let driver = start_cluster(&config.node, digest, key, adapter)?;
    let hub = Hub::new(
        handles,
        Arc::clone(&driver) as _,
        Arc::clone(&notices) as _,
        Arc::clone(&apps) as _,
        config.node.clone(),
    );
    hub.drive();
    wake(&driver, &hub, background);
    let sink = registry.webhook_sink();
    let (reloads, orders) = Reloads::new(origin.overrides.file.clone());
    let shared = Arc::new(Shared {
        apps,
        gate,
        hub,
        cluster: driver,
        registry,
        notices,
        settings: ArcSwap::from_pointee(settings),
        reloads,
        node: config.node,
        path_prefix: config.path_prefix,
        io_uring: config.io_uring,
        seats: Arc::default(),
        development: config.development,
        started: Instant::now(),
        draining: AtomicBool::new(false),
        counts: (0..shards).map(|_| Counts::default()).collect(),
        api_requests: AtomicU64::new(0),
        webhooks_given_up: Arc::default(),
    });
    start_background(&shared, metrics_listener, sink, background);
    let reloading = reload::run(Arc::clone(&shared), origin, config.written, orders);
    background.handle().spawn(reloading);
    watch_configuration(&shared)?;
    let (close, closed) = oneshot::channel();
    let acceptor = Acceptor::new(listener).map_err(|error| StartError::Listen(address, error))?;
    let threads = start_threads(&shared, acceptor, closed, wakes).map_err(StartError::Thread)?;
    Ok(Server {
        shared,
        address,
        close,
        threads,
    })
}

impl Server {
    /// Why this instance is not ready, one line each; none if it is.
    pub fn unready(&self) -> Vec<String> {
        self.shared.unready()
    }

    /// Takes nothing new in, closes connections over the grace period, and waits until they are gone.
    pub fn stop(self) {
        let Self {
            shared, close, threads, ..
        } = self;
        tracing::info!(connections = shared.connections(), "stopping");
        // First: whoever still gets in is to learn it.
        shared.draining.store(true, Ordering::Relaxed);
        // Nobody listens if the acceptor has ended already.
        let _ = close.send(());
        for thread in threads {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
        leave(&shared.cluster);
    }

    /// Reads the configuration again, and takes it if it is good: somebody has sent a signal.
    pub fn reload(&self) {
        self.shared.reloads.order(Cause::Signal);
    }

    /// Another instance uses this one's name: why this one must not run. Waits until that is so.
    pub async fn refused(&self) -> String {
        loop {
            if let Some(reason) = self.shared.cluster.refused() {
                return reason;
            }
            tokio::time::sleep(LONGEST_SLEEP).await;
        }
    }
}

/// Lets the other instances take over what was this one's, now that its connections are gone.
fn leave(cluster: &Driver) {
    if cluster.reach() == Reach::Alone {
        return;
    }
    cluster.leave();
    let until = Instant::now() + FAREWELL;
    while !cluster.is_gone() && Instant::now() < until {
        thread::sleep(LOOK_AGAIN);
    }
}

/// Tells other app tables from this one, by what is public in it: ids and keys.
pub(crate) fn digest(apps: &[App]) -> u64 {
    let mut lines: Vec<String> = apps.iter().map(|app| format!("{} {}\n", app.id, app.key)).collect();
    lines.sort_unstable();
    let hex = sha256_hex(lines.concat().as_bytes());
    // 0 would say nothing.
    u64::from_str_radix(&hex[..16], 16).map_or(1, |digest| digest.max(1))
}

fn start_cluster(
    node: &str,
    apps: u64,
    key: Option<Vec<u8>>,
    adapter: OpenedAdapter,
) -> Result<Arc<Driver>, StartError> {
    let random = || -> Result<u64, StartError> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(StartError::Random)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let mut setup = Setup::new(node, random()?, random()?);
    (setup.apps, setup.key) = (apps, key);
    let started = Instant::now();
    let clock = move || started.elapsed().as_micros() as u64;
    Ok(Driver::new(&setup, Arc::new(bus(adapter)), clock))
}

/// Whatever has come for the cluster from elsewhere drives the hub on its own thread; what is due in time, in the background.
fn wake(driver: &Arc<Driver>, hub: &Arc<Hub>, background: &Runtime) {
    let (told, due) = (Arc::downgrade(hub), Arc::new(Notify::new()));
    driver.on_news(move || {
        if let Some(hub) = told.upgrade() {
            hub.drive();
        }
    });
    let ring = Arc::clone(&due);
    driver.on_due(move || ring.notify_one());
    let (driver, hub) = (Arc::clone(driver), Arc::downgrade(hub));
    background.handle().spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(driver.idle().min(LONGEST_SLEEP)) => {}
                () = due.notified() => {}
            }
            let Some(hub) = hub.upgrade() else { return };
            hub.drive();
        }
    });
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    acceptor::bind(address).map_err(|error| StartError::Listen(address, error))
}

fn start_background(
    shared: &Arc<Shared>,
    metrics: Option<TcpListener>,
    sink: Arc<dyn WebhookSink>,
    background: &Runtime,
) {
    background
        .handle()
        .spawn(webhooks::run(Arc::clone(shared), Arc::clone(&shared.notices), sink));
    if let Some(listener) = metrics {
        let desk = Desk {
            shared: Arc::clone(shared),
            metrics: Arc::new(Metrics::new(Arc::clone(shared))),
        };
        background.handle().spawn(async move {
            if let Err(error) = admin::serve(listener, desk).await {
                tracing::error!(%error, "metrics are no longer served");
            }
        });
    }
}

/// A file that has changed is read again.
fn watch_configuration(shared: &Arc<Shared>) -> Result<(), StartError> {
    let Some(file) = shared.reloads.file.clone() else {
        return Ok(());
    };
    let told = Arc::downgrade(shared);
    let told = move || {
        let Some(shared) = told.upgrade() else { return false };
        shared.reloads.order(Cause::File);
        true
    };
    watch_file(file, told).map_err(StartError::Thread)
}

fn start_threads(
    shared: &Arc<Shared>,
    acceptor: Acceptor,
    closed: oneshot::Receiver<()>,
    wakes: Vec<Arc<Notify>>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    let mut loops = Vec::new();
    for (index, wake) in wakes.into_iter().enumerate() {
        let (sender, accepted) = mpsc::channel(ACCEPTED);
        loops.push(sender);
        let shared = Arc::clone(shared);
        threads.push(
            thread::Builder::new()
                .name(format!("event-loop-{index}"))
                .spawn(move || {
                    if let Err(error) = event_loop::run(index, shared, wake, accepted) {
                        tracing::error!(%error, index, "an event loop could not be started");
                    }
                })?,
        );
    }
    let accepting = thread::Builder::new().name("acceptor".to_owned());
    threads.push(accepting.spawn(move || acceptor.run(&loops, closed))?);
    Ok(threads)
}

/// What was said last is acknowledged within two beats of a second; nobody waits longer for whoever goes.
const FAREWELL: Duration = Duration::from_secs(3);
/// Nothing is so far away that a look in between would cost anything.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Accepted connections that may wait for an event loop; more wait in the kernel.
const ACCEPTED: usize = 256;
