//! Ready instances of a plugin that is called on the caller's thread.
//!
//! Each slot is one instance behind a lock. Who asks picks the slot: its thread (any instance will do), a key's hash
//! (one key always meets the same instance) or the only one there is. A trapped instance is dropped at once, since its
//! store is poisoned; the next caller makes a fresh one, which takes microseconds.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jackfield_hub::doors::DoorError;
use parking_lot::Mutex;

use crate::context::begin_call;
use crate::imports::count_trap;
use crate::io::Fibers;
use crate::linkers::Mode;
use crate::plugin::{Door, Live, Plugin, reason};

/// Instances of one version of a plugin.
pub(crate) struct Pool<D> {
    pub(crate) plugin: Plugin<D>,
    /// The instances of a plugin that waits; the slots stay empty then.
    pub(crate) fibers: Fibers,
    slots: Box<[Mutex<Option<Live<D>>>]>,
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
            Mode::Io => D::try_out_waiting(&plugin)?,
        }
        Ok(Self {
            plugin,
            fibers: Fibers::default(),
            slots,
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
        let mut slot = self.slots[slot].lock();
        let live = match &mut *slot {
            Some(live) => live,
            empty => empty.insert(self.plugin.instantiate().map_err(|reason| self.plugin.failed(reason))?),
        };
        begin_call(&mut live.store);
        call(live).map_err(|error| {
            *slot = None;
            self.plugin.trapped(&error)
        })
    }
}

impl<D: Door> Plugin<D> {
    /// Counts and logs a trap.
    pub(crate) fn trapped(&self, error: &wasmtime::Error) -> DoorError {
        self.overdue(format!("was stopped: {}", reason(error)))
    }

    /// Counts and logs that the plugin did not answer; its instance is dropped.
    pub(crate) fn overdue(&self, reason: String) -> DoorError {
        count_trap(&self.identity);
        tracing::warn!(
            plugin = self.identity.name,
            door = D::NAME,
            reason,
            "a plugin's instance was dropped"
        );
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
