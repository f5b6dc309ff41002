//! The adapter door: one instance, fed in batches by whichever thread finds it free.
//!
//! Requests, and what comes from the adapter's links, queue in order; `drive` takes the instance if nobody has it and works
//! off what has gathered, so a lone publish costs one call on its own thread and a rush of them shares calls. A trap drops
//! the instance: the batch fails, the state is degraded, and after a pause a fresh one starts, finds the links as they were, and is
//! asked again for all that is followed.

mod queue;
mod running;

use std::sync::Arc;

use jackfield_files::Secrets;
use jackfield_hub::doors::{Adapter, AdapterRequest, DoorError, Reach, Traffic};
use parking_lot::Mutex;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::hot::exports::jackfield::adapter::{bus, inbox};
use crate::context::Context;
use crate::io::Never;
use crate::links::Links;
use crate::plugin::{ADAPTER, Door, FoundDoor, exports};
use crate::slot::Slot;
pub(crate) use queue::Inbox;
use running::Running;

/// The guest's functions.
pub(crate) struct Bus {
    guest: bus::Guest,
    /// What adapters without links leave out.
    inbox: Option<inbox::Guest>,
}

struct Found {
    bus: bus::GuestIndices,
    inbox: Option<inbox::GuestIndices>,
}

/// The door.
pub(crate) struct AdapterDoor {
    slot: Arc<Slot<Bus>>,
    inbox: Arc<Inbox>,
    /// Taken with `try_lock` alone: who does not get it leaves the work to who has it.
    running: Mutex<Running>,
}

impl AdapterDoor {
    /// `secrets` are those of the plugin's configuration.
    pub(crate) fn new(slot: Arc<Slot<Bus>>, node: String, secrets: Secrets) -> Self {
        let inbox = Arc::new(Inbox::default());
        let links = Arc::new(Links::new(Arc::clone(&inbox), secrets));
        let running = Running::new(Arc::clone(&slot), node, links);
        Self {
            slot,
            inbox,
            running: Mutex::new(running),
        }
    }
}

impl Adapter for AdapterDoor {
    fn reach(&self) -> Reach {
        match self.slot.live() {
            Ok(pool) if !pool.plugin.has_peers => Reach::Alone,
            // Of a plugin that is not there nobody knows; it is not up either.
            _ => Reach::Shared,
        }
    }

    fn check(&self) -> Result<(), DoorError> {
        self.slot.live().map(|_| ())
    }

    fn submit(&self, request: AdapterRequest) -> Result<(), DoorError> {
        self.check()?;
        match self.inbox.put(request) {
            true => Ok(()),
            false => Err(DoorError::Busy { door: ADAPTER }),
        }
    }

    fn drive(&self, traffic: &dyn Traffic) {
        loop {
            let Some(mut running) = self.running.try_lock() else {
                return;
            };
            running.ensure_started(traffic);
            while let Some(batch) = self.inbox.next_batch() {
                running.work(batch, traffic);
            }
            drop(running);
            // Whoever queued since the last look found the instance taken and went away.
            if self.inbox.is_empty() {
                return;
            }
        }
    }

    fn on_news(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.inbox.on_news(wake);
    }
}

impl Door for Bus {
    const NAME: &'static str = ADAPTER;
    const INTERFACES: &'static [&'static str] = &["jackfield:adapter/bus"];
    type Waiting = Never;
    const MAY_WAIT: bool = false;

    fn find(pre: &InstancePre<Context>) -> wasmtime::Result<impl FoundDoor<Self>> {
        let inbox = exports(pre, INBOX).then(|| inbox::GuestIndices::new(pre));
        Ok(Found {
            bus: bus::GuestIndices::new(pre)?,
            inbox: inbox.transpose()?,
        })
    }
}

impl FoundDoor<Bus> for Found {
    fn bind(&self, store: &mut Store<Context>, instance: &Instance) -> wasmtime::Result<Bus> {
        let inbox = self.inbox.as_ref().map(|inbox| inbox.load(&mut *store, instance));
        Ok(Bus {
            inbox: inbox.transpose()?,
            guest: self.bus.load(store, instance)?,
        })
    }
}

const INBOX: &str = "jackfield:adapter/inbox";
