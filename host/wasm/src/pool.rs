//! Ready instances of a plugin that is called on the caller's thread.
//!
//! Each slot is one instance behind a lock. Who asks picks the slot: its thread (any instance will do), a key's hash
//! (one key always meets the same instance) or the only one there is. A trapped instance is dropped at once, since its
//! store is poisoned; the next caller makes a fresh one, which takes microseconds.

use std::cell::Cell;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jackfield_files::cleaned;
use jackfield_hub::doors::DoorError;
use jackfield_vitals::Failure;
use parking_lot::{Mutex, MutexGuard};

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
    /// What its instances kept belongs to another version.
    retired: AtomicBool,
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
    /// Versions of one slot share the `hasher`: a key stays with the place of its instance.
    pub(crate) fn start(plugin: Plugin<D>, spread: Spread, hasher: RandomState) -> Result<Self, String> {
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
            hasher,
            retired: AtomicBool::new(false),
        })
    }

    /// Calls an instance, whichever this thread uses.
    pub(crate) fn call_any<R>(&self, call: impl FnOnce(&mut Live<D>) -> wasmtime::Result<R>) -> Result<R, DoorError> {
        let slot = self.slots[thread_slot() % self.slots.len()].lock();
        self.plugin.admit()?;
        self.call(slot, call)
    }

    /// Calls the instance that keeps this key; none if what it kept belongs to another version by now, which is to be asked instead.
    pub(crate) fn call_keyed<R>(
        &self,
        key: impl Hash,
        call: impl FnOnce(&mut Live<D>) -> wasmtime::Result<R>,
    ) -> Option<Result<R, DoorError>> {
        let slot = self.slots[self.hasher.hash_one(key) as usize % self.slots.len()].lock();
        // Whoever asked while it was handed over has waited for the lock until now.
        if self.retired.load(Ordering::Relaxed) {
            return None;
        }
        // So has whoever asked while another's call went wrong there.
        Some(self.plugin.admit().and_then(|()| self.call(slot, call)))
    }

    /// Takes the place of `old`, whose instances hand over what they keep. Meanwhile nobody is called; then `put` is, before anybody
    /// is called again.
    pub(crate) fn succeed(&self, old: &Self, put: impl FnOnce()) {
        if self.slots.len() != old.slots.len() {
            return put();
        }
        if self.forgetful {
            self.replace_all(old);
            return put();
        }
        let mut left: Vec<MutexGuard<'_, _>> = old.slots.iter().map(Mutex::lock).collect();
        for (left, taken) in left.iter_mut().zip(&self.slots) {
            if let Some(left) = left.take()
                && self.plugin.mode == Mode::Hot
            {
                self.inherit(left, &mut taken.lock());
            }
        }
        self.retired.store(false, Ordering::Relaxed);
        old.retired.store(true, Ordering::Relaxed);
        put();
    }

    /// Makes an instance for each that `old` has. Else its callers would have to make theirs with the first question, and wait
    /// for the kernel's lock on this process's memory, which a compilation often has.
    fn replace_all(&self, old: &Self) {
        for (old, place) in old.slots.iter().zip(&self.slots) {
            if self.plugin.mode == Mode::Hot && old.lock().is_some() {
                let mut place = place.lock();
                if place.is_none() {
                    // Whoever calls next is told why there is none.
                    *place = self.plugin.instantiate().ok();
                }
            }
        }
    }

    fn inherit(&self, mut left: Live<D>, place: &mut Option<Live<D>>) {
        let mut hand_over = || -> Result<(), String> {
            let mut heir = match place.take() {
                Some(heir) => heir,
                None => self.plugin.instantiate()?,
            };
            // Once more than there may be: behind the last part it says that there is none.
            for _ in 0..=PARTS {
                begin_call(&mut left.store);
                let part = D::snapshot(&mut left).map_err(|error| format!("snapshot failed: {}", reason(&error)))?;
                let Some(part) = part else {
                    *place = Some(heir);
                    return Ok(());
                };
                begin_call(&mut heir.store);
                let restored =
                    D::restore(&mut heir, &part).map_err(|error| format!("restore failed: {}", reason(&error)))?;
                restored.map_err(|refusal| format!("restore refused: {}", cleaned(&refusal)))?;
            }
            Err(format!("it has more than {PARTS} parts"))
        };
        // The next question makes a fresh instance.
        if let Err(reason) = hand_over() {
            let plugin = self.plugin.identity.name.as_str();
            tracing::warn!(plugin, door = D::NAME, reason, "what an instance kept is lost");
        }
    }

    /// Takes the instance that was tried out; for the adapter door, which keeps its single one itself.
    pub(crate) fn take_first(&self) -> Option<Live<D>> {
        self.slots[0].lock().take()
    }

    fn call<R>(
        &self,
        mut slot: MutexGuard<'_, Option<Live<D>>>,
        call: impl FnOnce(&mut Live<D>) -> wasmtime::Result<R>,
    ) -> Result<R, DoorError> {
        let live = match &mut *slot {
            Some(live) => live,
            empty => empty.insert(self.plugin.make()?),
        };
        let begun = begin_call(&mut live.store);
        live.store.data_mut().bound_growth();
        let outcome = call(live);
        self.plugin.identity.figures.end(begun);
        match outcome {
            Ok(answer) => {
                self.plugin.did_well();
                if self.forgetful && live.store.data().is_worn() {
                    *slot = None;
                }
                Ok(answer)
            }
            Err(error) => {
                let failure = live.store.data().failure();
                self.plugin.host.discard.take(slot.take());
                Err(self.plugin.trapped(failure, &error))
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
                "is paused because it failed; it is tried again within {seconds} s"
            ))
        };
        self.identity.breaker.check(Instant::now).map_err(paused)
    }

    /// An instance in the place of one that was dropped. That there is none is a failure: it must not be tried at every
    /// question, and a question after a pause has to come to some end.
    pub(crate) fn make(&self) -> Result<Live<D>, DoorError> {
        self.instantiate()
            .map_err(|reason| self.overdue(Failure::Stall, reason))
    }

    /// A call came to a good end.
    pub(crate) fn did_well(&self) {
        if self.identity.breaker.succeeded() {
            tracing::info!(plugin = self.identity.name, door = D::NAME, "a plugin is called again");
        }
    }

    /// Counts and logs a trap.
    pub(crate) fn trapped(&self, failure: Failure, error: &wasmtime::Error) -> DoorError {
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

/// Parts of what one instance keeps, as `wit/deps/rate-limit` promises: twice what its memory holds ordinarily.
const PARTS: usize = 64;

/// Enough that threads seldom meet at one instance, few enough that each is warm.
const KEYED_SLOTS: usize = 8;
