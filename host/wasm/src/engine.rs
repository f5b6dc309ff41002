//! The one wasmtime engine of the process, and the clock that stops runaway guests.
//!
//! Guests that run on the caller's thread and guests that wait on fibers share the engine and their compiled code; only
//! stores differ. The epoch ticker is an operating system thread, because a task could be starved by the very guest
//! that it has to stop. It sleeps while nobody calls a guest: a thousand wake-ups a second would be the largest cost of an
//! idle server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use jackfield_files::{MEMORY_CEILING, TABLE_CEILING, WAITING};
use jackfield_threads::be_prompt;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// The engine with its ticker.
pub(crate) struct Pulse {
    pub(crate) engine: Engine,
    /// A guest was called, or seen running, since the last tick.
    busy: AtomicBool,
    /// The ticker sleeps until it is woken.
    asleep: AtomicBool,
    ticker: OnceLock<Thread>,
}

impl Pulse {
    /// Makes the engine and starts its ticker, which ends when the last user of the pulse is gone.
    pub(crate) fn start() -> wasmtime::Result<Arc<Self>> {
        let pulse = Arc::new(Self {
            engine: Engine::new(&config())?,
            busy: AtomicBool::new(true),
            asleep: AtomicBool::default(),
            ticker: OnceLock::new(),
        });
        let ticked = Arc::downgrade(&pulse);
        let ticker = thread::Builder::new()
            .name("epoch-ticker".to_owned())
            .spawn(move || tick(&ticked))?;
        pulse.ticker.get_or_init(|| ticker.thread().clone());
        Ok(pulse)
    }

    /// Keeps the ticker going. Called whenever a guest is called, and whenever one is seen to be running still: a call
    /// that outlives the ticker's patience has passed its deadline by then, is looked at, and so wakes it again.
    pub(crate) fn keep_going(&self) {
        if self.busy.load(Ordering::Relaxed) {
            return;
        }
        self.busy.store(true, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(ticker) = self.ticker.get() {
            ticker.unpark();
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.wake();
    }
}

fn tick(pulse: &Weak<Pulse>) {
    // Else it may wait for milliseconds behind the very guest that it has to stop.
    let prompt = be_prompt();
    let _ = prompt.inspect_err(|error| tracing::debug!(%error, "the epoch ticker is a thread like others"));
    let mut quiet = 0;
    while let Some(pulse) = pulse.upgrade() {
        pulse.engine.increment_epoch();
        quiet = if pulse.busy.swap(false, Ordering::SeqCst) {
            0
        } else {
            quiet + 1
        };
        if quiet < PATIENCE {
            drop(pulse);
            thread::sleep(TICK);
            continue;
        }
        pulse.asleep.store(true, Ordering::SeqCst);
        // Whoever became busy before this look did not see the ticker asleep; whoever does so after it wakes it.
        let busy = pulse.busy.load(Ordering::SeqCst);
        let asleep = Arc::downgrade(&pulse);
        drop(pulse);
        if !busy {
            thread::park();
        }
        let Some(pulse) = asleep.upgrade() else { return };
        pulse.asleep.store(false, Ordering::SeqCst);
        quiet = 0;
    }
}

/// How the engine is made: what stops a guest, and where its instances come from. The bench takes away one thing at a time, and shows
/// what it costs.
pub fn config() -> Config {
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get() as u32);
    let instances = INSTANCES + INSTANCES_PER_THREAD * threads;
    let mut pooling = PoolingAllocationConfig::default();
    pooling
        .total_core_instances(instances * CORE_INSTANCES)
        .total_component_instances(instances)
        .total_memories(instances)
        .total_tables(instances * CORE_INSTANCES)
        .total_stacks(WAITING)
        .max_memory_size(MEMORY_CEILING)
        .table_elements(TABLE_CEILING);
    let mut config = Config::new();
    config
        // Halves the cost of a call; the contract has no async functions.
        .concurrency_support(false)
        .epoch_interruption(true)
        // Nobody reads them, and that of a guest which recursed for ever takes longer than all it did.
        .wasm_backtrace_max_frames(None)
        .max_wasm_stack(WASM_STACK_BYTES)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    config
}

/// The time between two epochs: the granularity at which a guest can be stopped.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without any guest call before the ticker sleeps. Waking it costs the next caller a system call, so it should
/// not sleep between the calls of a server that has something to do.
const PATIENCE: u32 = 50;

/// Instances of all plugins together: those that no thread has for itself (limits by key, adapters, plugins that wait, a version
/// on its way in or out), and those of each thread. Only address space is reserved for them.
const INSTANCES: u32 = 192;
const INSTANCES_PER_THREAD: u32 = 16;

/// Core modules that make up one component, on average: a guest and its shims, or an interpreter in many parts.
const CORE_INSTANCES: u32 = 8;

/// A guest's stack: deep recursion is a fault, not a need.
const WASM_STACK_BYTES: usize = 256 << 10;

/// Address space of each memory: all that a guest can name, so that its code need not check where it reads and writes. What it
/// may use of it is [`MEMORY_CEILING`] at most.
const MEMORY_RESERVATION: u64 = 4 << 30;

/// Guard behind each memory, for offsets that instructions add.
const MEMORY_GUARD_BYTES: u64 = 64 << 10;
