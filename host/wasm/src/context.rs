//! What belongs to one instance of a plugin while it lives: its limits, its budget, and what it told the host.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jackfield_compiled::Compiler;
use jackfield_files::{Limits, Lines};
use jackfield_hub::Apps;
use jackfield_hub::doors::{ApiRequest, Claim, Client};
use jackfield_vitals::{Breaker, Failure, Figures};
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{ResourceLimiter, Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};

use crate::asker::Asker;
use crate::budget::Budget;
use crate::discard::Discard;
use crate::engine::Pulse;
use crate::http::Requests;
use crate::links::Links;
use crate::operator::HostGrant;

/// What all plugins share of the host.
pub(crate) struct HostSide {
    /// Answers `sign.verify`; secrets stay behind it.
    pub(crate) apps: Arc<dyn Apps>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) discard: Discard,
    /// From a plugin's bytes to code.
    pub(crate) compiler: Compiler,
    /// The zero of `clock.monotonic-us`.
    pub(crate) started: Instant,
    /// Where plugins that wait run.
    pub(crate) waiting: tokio::runtime::Handle,
}

/// One version of one plugin, as logs and metrics name it.
pub(crate) struct Identity {
    pub(crate) name: String,
    /// SHA-256 of the file.
    pub(crate) digest: String,
    /// 1 for the first version that went live in a slot, then one more each time.
    pub(crate) generation: u64,
    /// What each of its instances may use.
    pub(crate) limits: Limits,
    pub(crate) breaker: Breaker,
    /// Why it cannot do its work after all, found when it was put to it.
    pub(crate) unfit: OnceLock<String>,
    /// What its author calls it.
    pub(crate) version: Option<String>,
    /// What it was granted.
    pub(crate) grants: Vec<HostGrant>,
    pub(crate) figures: Figures,
    pub(crate) delivered: Delivered,
    pub(crate) log_lines: Mutex<LogAllowance>,
    pub(crate) counters: Mutex<BTreeMap<String, u64>>,
}

/// How many messages an adapter has delivered.
#[derive(Default)]
pub(crate) struct Delivered {
    /// On topics of channels.
    pub(crate) channels: AtomicU64,
    /// On the cluster's own.
    pub(crate) cluster: AtomicU64,
}

/// How many lines a plugin may still log in this second.
pub(crate) struct LogAllowance {
    pub(crate) since: Instant,
    pub(crate) written: u32,
    pub(crate) dropped: u64,
}

/// The data of one store.
pub(crate) struct Context {
    pub(crate) identity: Arc<Identity>,
    pub(crate) host: Arc<HostSide>,
    /// What an adapter told during the call that is running.
    pub(crate) told: Vec<Told>,
    /// An adapter's links to brokers.
    pub(crate) links: Option<Arc<Links>>,
    /// What a running question to an auth plugin is about.
    pub(crate) subject: Subject,
    /// For granted requests of a plugin that waits.
    pub(crate) requests: Option<Requests>,
    /// What the guest has printed of a line that has not ended.
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
    /// Who waits for the answer of a plugin that waits.
    pub(crate) asker: Arc<Asker>,
    limits: Bounds,
    /// The running call's.
    pub(crate) budget: Budget,
}

/// What a question to an auth plugin is about, as far as the guest may ask for more of it.
pub(crate) enum Subject {
    None,
    Client(Arc<Client>),
    Request(Arc<ApiRequest>),
}

/// The limits of a store, and how far its memory has grown.
struct Bounds {
    identity: Arc<Identity>,
    limits: StoreLimits,
    memory_bytes: usize,
    /// The same when the instance had been initialised.
    began_with: usize,
    /// How far the running call may still let it grow.
    may_take: usize,
}

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired - current;
        wasmtime::ensure!(
            more <= self.may_take,
            "one question takes more than an eighth of `limits.memory_mb` anew"
        );
        let granted = self.limits.memory_growing(current, desired, maximum)?;
        // Beyond its own maximum it does not grow either.
        if granted && maximum.is_none_or(|most| desired <= most) {
            self.may_take -= more;
            self.memory_bytes += more;
            self.identity
                .figures
                .memory_bytes
                .fetch_add(more as u64, Ordering::Relaxed);
        }
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}

impl Drop for Bounds {
    fn drop(&mut self) {
        let (figures, bytes) = (&self.identity.figures, self.memory_bytes as u64);
        figures.memory_bytes.fetch_sub(bytes, Ordering::Relaxed);
        figures.instances.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One thing that an adapter told.
#[derive(Debug)]
pub(crate) enum Told {
    Confirmed(Vec<u64>),
    Failed(Vec<u64>),
    Following(Vec<String>),
    Lost(Vec<String>),
    Delivered(Vec<(String, Bytes)>),
    State(Option<String>),
}

impl Identity {
    pub(crate) fn new(name: &str, digest: String, generation: u64, limits: Limits) -> Self {
        Self {
            name: name.to_owned(),
            digest,
            generation,
            breaker: Breaker::new(limits.pause_after),
            unfit: OnceLock::new(),
            limits,
            version: None,
            grants: Vec::new(),
            figures: Figures::default(),
            delivered: Delivered::default(),
            log_lines: Mutex::new(LogAllowance {
                since: Instant::now(),
                written: 0,
                dropped: 0,
            }),
            counters: Mutex::default(),
        }
    }
}

/// A store whose calls are stopped when they have used up their CPU time.
pub(crate) fn hot_store(identity: Arc<Identity>, host: Arc<HostSide>) -> Store<Context> {
    let mut store = store(identity, host);
    store.epoch_deadline_callback(|mut store| {
        store.data().host.pulse.keep_going();
        Ok(store.data_mut().judge())
    });
    store
}

/// A store whose calls give way at every tick, and are stopped once nobody waits for them.
pub(crate) fn io_store(identity: Arc<Identity>, host: Arc<HostSide>, requests: Option<Requests>) -> Store<Context> {
    let mut store = store(identity, host);
    store.data_mut().requests = requests;
    // From the first instruction on: without ticks a guest that loops in its `init` would hold its thread for ever.
    store.data().host.pulse.keep_going();
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        store.data().host.pulse.keep_going();
        if store.data().asker.is_gone() {
            return Ok(UpdateDeadline::Interrupt);
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    store
}

/// Counts a call that somebody asked for, and gives it its full budget. When it began, if it is to be timed.
pub(crate) fn begin_call(store: &mut Store<Context>) -> Option<Instant> {
    let begun = store.data().identity.figures.begin();
    refill(store);
    begun
}

/// Gives the next hot call its full budget.
pub(crate) fn refill(store: &mut Store<Context>) {
    store.data().host.pulse.keep_going();
    store.set_epoch_deadline(1);
    let context = store.data_mut();
    context.budget = Budget::default();
    context.limits.may_take = usize::MAX;
    context.told.clear();
}

fn store(identity: Arc<Identity>, host: Arc<HostSide>) -> Store<Context> {
    let engine = host.pulse.engine.clone();
    let limits = StoreLimitsBuilder::new()
        .memory_size(identity.limits.memory_bytes)
        .table_elements(identity.limits.table_elements)
        .instances(CORE_INSTANCES)
        .memories(MEMORIES)
        .tables(CORE_INSTANCES)
        .trap_on_grow_failure(true)
        .build();
    let host_call_bytes = identity.limits.host_call_bytes;
    identity.figures.instances.fetch_add(1, Ordering::Relaxed);
    let bounds = Bounds {
        identity: Arc::clone(&identity),
        limits,
        memory_bytes: 0,
        began_with: 0,
        may_take: usize::MAX,
    };
    let context = Context {
        identity,
        host,
        told: Vec::new(),
        links: None,
        subject: Subject::None,
        requests: None,
        stdout: Lines::default(),
        stderr: Lines::default(),
        asker: Arc::default(),
        limits: bounds,
        budget: Budget::default(),
    };
    let mut store = Store::new(&engine, context);
    store.limiter(|context| &mut context.limits);
    store.set_hostcall_fuel(host_call_bytes);
    store.set_max_component_handles(HANDLES);
    store
}

impl Subject {
    pub(crate) fn of(claim: &Claim) -> Self {
        match claim {
            Claim::ApiRequest(request) => Self::Request(Arc::clone(request)),
            _ => claim
                .client()
                .map_or(Self::None, |client| Self::Client(Arc::clone(client))),
        }
    }

    pub(crate) fn client(&self) -> Option<&Client> {
        match self {
            Self::Client(client) => Some(client),
            _ => None,
        }
    }

    pub(crate) fn request(&self) -> Option<&ApiRequest> {
        match self {
            Self::Request(request) => Some(request),
            _ => None,
        }
    }
}

impl Context {
    /// The instance has been initialised.
    pub(crate) fn began(&mut self) {
        self.limits.began_with = self.limits.memory_bytes;
    }

    /// The call that begins is a question, and others wait on the event loop that asks it. One instruction can fill all memory
    /// that a call takes anew, which takes the kernel longer than anything else that a guest does between two looks at its budget.
    pub(crate) fn bound_growth(&mut self) {
        self.limits.may_take = self.identity.limits.memory_bytes / PER_CALL;
    }

    /// Whether the instance has used up more than half of the memory that it was left when it began. Interpreters leak a little
    /// with each call; a fresh instance in time spares the call that would hit the limit.
    pub(crate) fn is_worn(&self) -> bool {
        let bounds = &self.limits;
        let left = self.identity.limits.memory_bytes.saturating_sub(bounds.began_with);
        bounds.memory_bytes - bounds.began_with > left / 2
    }

    /// How the running call, which has just failed, is counted.
    pub(crate) fn failure(&self) -> Failure {
        self.budget.failure(thread_cpu_time())
    }

    fn judge(&mut self) -> UpdateDeadline {
        if self.budget.is_spent(thread_cpu_time(), self.identity.limits.cpu) {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(1)
        }
    }
}

fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Both parts of a CPU clock are never negative.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The part of its memory that a plugin may take in one question: 2 MiB of the ordinary 16, twice what an answer may hold.
const PER_CALL: usize = 8;

/// Core instances of one component: the guest itself and the shims that a component encoder adds; an interpreter comes
/// in dozens of parts.
const CORE_INSTANCES: usize = 100;

/// Handles that a guest may hold at a time: each is a few bytes of the host's own memory. A standard library holds a
/// handful.
const HANDLES: usize = 1_000;

/// Memories of one component: a guest's own, and one for an adapter of older interfaces.
const MEMORIES: usize = 2;
