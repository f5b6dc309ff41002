//! Ready instances of a plugin that is called on the caller's thread.
//!
//! Each slot is one instance behind a lock. Who asks picks the slot: its thread (any instance will do), a key's hash
//! (one key always meets the same instance) or the only one there is. A trapped instance is dropped at once, since its
//! store is poisoned; the next caller makes a fresh one, which takes microseconds.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jackfield_hub::doors::DoorError;
use parking_lot::Mutex;
use wasmtime::Trap;

use crate::breaker::Failure;
use crate::context::begin_call;
use crate::imports::{count_trap, may_log};
use crate::io::{self, Fibers};
use crate::linkers::Mode;
use crate::plugin::{Door, Live, Plugin, reason};

/// Instances of one version of a plugin.
pub(crate) struct Pool<D: Door> {
    pub(crate) plugin: Plugin<D>,
    /// The instances of a plugin that waits; the slots stay empty then.
    pub(crate) fibers: Fibers<D::Waiting>,
    slots: Box<[Mutex<Option<Live<D>>>]>,
    /// Whether an instance may be replaced between two calls: it keeps nothing that matters.
    forgetful: bool,
    hasher: RandomState,
}

/// How many instances a pool has, and how a caller finds one.
#[derive(Clone, Copy)]
pub(crate) enum Spread {
    /// One per thread that asks, for plugins without state.
    PerThread,
    /// A few; a key always reaches the same.
    Keyed,
    /// One.
    Single,
}

impl<D: Door> Pool<D> {
    /// A pool whose plugin has been tried out: one that cannot start never gets into a slot.
    pub(crate) fn start(plugin: Plugin<D>, spread: Spread) -> Result<Self, String> {
        let count = match spread {
            Spread::PerThread => THREAD_SLOTS,
            Spread::Keyed => KEYED_SLOTS,
            Spread::Single => 1,
        };
        let slots: Box<[_]> = (0..count).map(|_| Mutex::new(None)).collect();
        match plugin.mode {
            Mode::Hot => *slots[0].lock() = Some(plugin.instantiate()?),
            Mode::Io => io::try_out(&plugin)?,
        }
        Ok(Self {
            fibers: Fibers::new(&plugin.identity.limits),
            plugin,
            slots,
            forgetful: matches!(spread, Spread::PerThread),
            hasher: RandomState::new(),
        })
    }

    /// Calls an instance, whichever this thread uses.
    pub(crate) fn call_any<R>(&self, call: impl FnOnce(&mut Live<D>) -> wasmtime::Result<R>) -> Result<R, DoorError> {
        self.call(thread_slot() % self.slots.len(), call)
    }

    /// Calls the instance that keeps this key.
    pub(crate) fn call_keyed<R>(
        &self,
        key: impl Hash,
        call: impl FnOnce(&mut Live<D>) -> wasmtime::Result<R>,
    ) -> Result<R, DoorError> {
        self.call(self.hasher.hash_one(key) as usize % self.slots.len(), call)
    }

    /// Takes the instance that was tried out; for the adapter door, which keeps its single one itself.
    pub(crate) fn take_first(&self) -> Option<Live<D>> {
        self.slots[0].lock().take()
    }

    fn call<R>(&self, slot: usize, call: impl FnOnce(&mut Live<D>) -> wasmtime::Result<R>) -> Result<R, DoorError> {
        self.plugin.admit()?;
        let mut slot = self.slots[slot].lock();
        let live = match &mut *slot {
            Some(live) => live,
            empty => empty.insert(self.plugin.make()?),
        };
        begin_call(&mut live.store);
        match call(live) {
            Ok(answer) => {
                self.plugin.did_well();
                if self.forgetful && live.store.data().is_worn() {
                    *slot = None;
                }
                Ok(answer)
            }
            Err(error) => {
                *slot = None;
                Err(self.plugin.trapped(&error))
            }
        }
    }
}

impl<D: Door> Plugin<D> {
    /// Whether the plugin is called at all: not if it has failed too often of late.
    pub(crate) fn admit(&self) -> Result<(), DoorError> {
        let paused = |left: Duration| {
            let seconds = left.as_secs() + 1;
            self.failed(format!(
                "is paused because it failed too often; it is tried again within {seconds} s"
            ))
        };
        self.identity.breaker.check(Instant::now).map_err(paused)
    }

    /// An instance in the place of one that was dropped. That there is none counts like a trap: it must not be tried at
    /// every question, and a question after a pause has to come to some end.
    pub(crate) fn make(&self) -> Result<Live<D>, DoorError> {
        self.instantiate().map_err(|reason| self.overdue(Failure::Trap, reason))
    }

    /// A call came to a good end.
    pub(crate) fn did_well(&self) {
        if self.identity.breaker.succeeded() {
            tracing::info!(plugin = self.identity.name, door = D::NAME, "a plugin is called again");
        }
    }

    /// Counts and logs a trap.
    pub(crate) fn trapped(&self, error: &wasmtime::Error) -> DoorError {
        let failure = match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Failure::TimeOut,
            _ => Failure::Trap,
        };
        self.overdue(failure, format!("was stopped: {}", reason(error)))
    }

    /// Counts and logs that the plugin did not answer; its instance is dropped. Such lines are the plugin's own as far as
    /// their number is limited.
    pub(crate) fn overdue(&self, failure: Failure, reason: String) -> DoorError {
        let (plugin, door) = (self.identity.name.as_str(), D::NAME);
        count_trap(&self.identity);
        if may_log(&self.identity) {
            tracing::warn!(plugin, door, reason, "a plugin's instance was dropped");
        }
        if let Some(pause) = self.identity.breaker.failed(failure, Instant::now()) {
            let seconds = pause.as_secs();
            tracing::error!(plugin, door, seconds, "a plugin failed too often and is paused");
        }
        self.failed(reason)
    }

    /// The door's error for this plugin.
    pub(crate) fn failed(&self, reason: String) -> DoorError {
        DoorError::Failed {
            door: D::NAME,
            plugin: self.identity.name.clone(),
            reason,
        }
    }
}

/// A small number that is this thread's own, as long as there are fewer threads than slots.
fn thread_slot() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOT: Cell<Option<usize>> = const { Cell::new(None) };
    }
    SLOT.with(|slot| match slot.get() {
        Some(number) => number,
        None => {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            slot.set(Some(number));
            number
        }
    })
}

/// Handle to a pool, as slots hold it.
pub(crate) type SharedPool<D> = Arc<Pool<D>>;

/// More than the serving threads of a large machine; unused ones cost a pointer.
const THREAD_SLOTS: usize = 64;

/// Enough that threads seldom meet at one instance, few enough that each is warm.
const KEYED_SLOTS: usize = 8;
