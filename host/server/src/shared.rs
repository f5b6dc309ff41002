//! What every event loop needs to know: the doors, the hub, the apps, and how the program is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use jackfield_driver::Driver;
use jackfield_hub::doors::Reach;
use jackfield_hub::{Gate, Hub, Seats};
use jackfield_stores::{AppTable, NoticeStore};
use jackfield_wasm::Registry;

use crate::reload::Reloads;
use crate::settings::Settings;

/// Shared by all threads.
pub(crate) struct Shared {
    pub(crate) apps: Arc<AppTable>,
    pub(crate) gate: Gate,
    pub(crate) hub: Arc<Hub>,
    pub(crate) cluster: Arc<Driver>,
    pub(crate) registry: Registry,
    pub(crate) notices: Arc<NoticeStore>,
    /// What may change while the program runs.
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) reloads: Reloads,
    /// This instance's name.
    pub(crate) node: String,
    /// What stands in front of every path: empty, or `/a/b`.
    pub(crate) path_prefix: String,
    /// Whether many sockets are written with one system call, where the kernel allows it.
    pub(crate) io_uring: bool,
    /// For the connections of all apps.
    pub(crate) seats: Arc<Seats>,
    pub(crate) development: bool,
    pub(crate) started: Instant,
    /// Set when the program is about to end: nothing new is taken in.
    pub(crate) draining: AtomicBool,
    /// One per event loop.
    pub(crate) counts: Vec<Counts>,
    pub(crate) api_requests: AtomicU64,
    /// Webhooks that came to nothing in the end.
    pub(crate) webhooks_given_up: Arc<AtomicU64>,
}

/// What one event loop counts. It alone writes; metrics read.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicU64,
    pub(crate) connected: AtomicU64,
    pub(crate) disconnected: AtomicU64,
    pub(crate) subscriptions: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) cut: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
}

impl Shared {
    /// What of the configuration may change. Held for as long as it takes to look something up.
    pub(crate) fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Milliseconds since the start, the hub's time.
    pub(crate) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Whether the program is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Why this instance should get no traffic, one line each; none if it is ready.
    pub(crate) fn unready(&self) -> Vec<String> {
        let mut reasons = self.registry.faults();
        // A plugin that is not there is named already, and better.
        if reasons.is_empty() {
            let health = self.hub.health();
            // Whoever shares a broker that is away with all others would leave the balancer with nobody.
            let unready = !health.open || self.cluster.reach() == Reach::Alone;
            let reason = health.degraded.filter(|_| unready);
            reasons.extend(reason.map(|reason| format!("adapter: {reason}")));
        }
        if self.is_draining() {
            reasons.push("this instance is about to end".to_owned());
        }
        reasons
    }

    /// Whether this instance does not know the others yet: nobody may connect before it does. One that is alone is to say
    /// itself what is wrong with it.
    pub(crate) fn is_joining(&self) -> bool {
        !self.hub.is_open() && self.cluster.reach() == Reach::Shared && self.registry.faults().is_empty()
    }

    /// Connections on all event loops.
    pub(crate) fn connections(&self) -> u64 {
        self.counts
            .iter()
            .map(|counts| counts.connections.load(Ordering::Relaxed))
            .sum()
    }
}
