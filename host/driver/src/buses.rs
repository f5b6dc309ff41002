//! The adapters that the cluster goes over: one, and two while it goes over from one to another.

use std::sync::Arc;

use jackfield_cluster::{BusId, Event, MAX_BUSES};
use jackfield_hub::cluster::Listener;
use jackfield_hub::doors::{Adapter, AdapterNews, DoorError, Reach, Traffic};

use super::{Core, Driver, Item};

/// An adapter, and how it is told from others.
pub struct Bus {
    /// For operators.
    pub name: String,
    /// Two with the same settings are the same way to the others. Never shown.
    pub settings: String,
    /// What carries.
    pub adapter: Arc<dyn Adapter>,
}

/// How an attached adapter stands, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusReport {
    /// Its name.
    pub name: String,
    /// Why it has no link; none if it has one.
    pub down: Option<String>,
    /// The configuration names it.
    pub target: bool,
    /// What is published here goes over it.
    pub publishes: bool,
    /// Nobody needs it any more, as far as is known; it listens for whoever does, and is given up after ten minutes.
    pub left: bool,
}

/// Too many adapters are attached.
#[derive(Debug, thiserror::Error)]
#[error("{MAX_BUSES} adapters are attached already; those that nobody needs are given up after ten minutes")]
pub struct TooMany;

impl Driver {
    /// The attached adapter with these settings, if there is one.
    pub fn attached(&self, settings: &str) -> Option<Arc<Bus>> {
        let buses = self.buses.load();
        let found = buses.iter().find(|(_, bus)| bus.settings == settings);
        found.map(|(_, bus)| Arc::clone(bus))
    }

    /// Whether one more can be attached.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn room(&self) -> Result<(), TooMany> {
        let full = self.buses.load().len() >= usize::from(MAX_BUSES);
        if full { Err(TooMany) } else { Ok(()) }
    }

    /// Goes over to this adapter: over both until all others are there too, then over it alone. There must be [`room`](Self::room).
    pub fn go_over(&self, bus: Arc<Bus>) {
        *self.wanted.lock() = Arc::clone(&bus);
        self.push(Item::GoOver(bus));
        self.ring();
    }

    /// The adapter that was asked for last.
    pub fn wanted(&self) -> Arc<Bus> {
        Arc::clone(&self.wanted.lock())
    }

    /// How the attached adapters stand, and the names of the instances for which going over waits.
    pub fn report(&self) -> (Vec<BusReport>, Vec<Arc<str>>) {
        let (core, buses) = (self.core.lock(), self.buses.load());
        let reports = core.cluster.buses().filter_map(|state| {
            let (_, bus) = buses.iter().find(|(id, _)| *id == state.id)?;
            Some(BusReport {
                name: bus.name.clone(),
                down: core.down.get(&state.id).cloned(),
                target: state.target,
                publishes: state.publishes,
                left: state.left,
            })
        });
        (reports.collect(), core.cluster.swap_waits_for())
    }

    /// Whether there is anybody else to reach.
    pub fn reach(&self) -> Reach {
        let shared = |(_, bus): &(BusId, Arc<Bus>)| bus.adapter.reach() == Reach::Shared;
        if self.buses.load().iter().any(shared) {
            Reach::Shared
        } else {
            Reach::Alone
        }
    }

    /// What the adapters' own threads are to call when something has come: it lets the hub drive. Told once.
    pub fn on_news(&self, drive: impl Fn() + Send + Sync + 'static) {
        // There is one hub for the life of a cluster.
        let _ = self.on_news.set(Arc::new(drive));
        for (_, bus) in self.buses.load().iter() {
            self.listen(bus);
        }
    }

    fn listen(&self, bus: &Bus) {
        if let Some(drive) = self.on_news.get() {
            let drive = Arc::clone(drive);
            bus.adapter.on_news(Box::new(move || drive()));
        }
    }

    /// Whether any adapter takes anything.
    pub(super) fn check(&self) -> Result<(), DoorError> {
        let mut checked = Ok(());
        for (_, bus) in self.buses.load().iter() {
            checked = bus.adapter.check();
            if checked.is_ok() {
                break;
            }
        }
        checked
    }

    pub(super) fn drive_adapters(&self) {
        for (_, bus) in self.buses.load().iter() {
            bus.adapter.drive(&Line(self, bus));
        }
    }

    pub(super) fn tell_go_over(&self, core: &mut Core, bus: Arc<Bus>, hub: &dyn Listener) {
        // What is given up in time is given up now, not between here and there.
        self.handle(core, Event::Wake, hub);
        let buses = self.buses.load();
        let known = buses.iter().find(|(_, known)| known.settings == bus.settings);
        let free = || {
            (0..MAX_BUSES)
                .map(BusId)
                .find(|id| buses.iter().all(|(used, _)| used != id))
        };
        let Some(id) = known.map(|(id, _)| *id).or_else(free) else {
            return tracing::error!(adapter = bus.name, "{TooMany}");
        };
        tracing::info!(adapter = bus.name, "going over to another adapter");
        if known.is_none() {
            self.attach(core, id, bus, hub);
        }
        self.handle(core, Event::Target(id), hub);
    }

    fn attach(&self, core: &mut Core, id: BusId, bus: Arc<Bus>, hub: &dyn Listener) {
        let reach = bus.adapter.reach();
        self.listen(&bus);
        core.down.insert(id, NOT_STARTED.to_owned());
        let mut buses = self.buses.load().to_vec();
        buses.push((id, bus));
        self.buses.store(Arc::new(buses));
        self.handle(core, Event::Attach(id, reach), hub);
    }

    pub(super) fn tell_left(&self, id: BusId) {
        if let Some((_, bus)) = self.buses.load().iter().find(|(known, _)| *known == id) {
            let to = &self.wanted.lock().name;
            tracing::info!(
                from = bus.name,
                to,
                "gone over: all instances use the new adapter, and the old one is left"
            );
        }
    }

    pub(super) fn detach(&self, core: &mut Core, id: BusId) {
        core.down.remove(&id);
        let mut buses = self.buses.load().to_vec();
        if let Some(at) = buses.iter().position(|(known, _)| *known == id) {
            let (_, bus) = buses.remove(at);
            tracing::info!(adapter = bus.name, "an adapter that nobody needs any more is given up");
        }
        self.buses.store(Arc::new(buses));
    }

    /// None: it is attached no longer, and another one may have got its number.
    pub(super) fn id_of(&self, bus: &Arc<Bus>) -> Option<BusId> {
        let buses = self.buses.load();
        let found = buses.iter().find(|(_, known)| Arc::ptr_eq(known, bus));
        found.map(|(id, _)| *id)
    }
}

/// Where an adapter tells: into the queue, because it does so while the cluster is taken.
struct Line<'a>(&'a Driver, &'a Arc<Bus>);

impl Traffic for Line<'_> {
    fn tell(&self, told: AdapterNews) {
        self.0.push(Item::Adapter(Arc::clone(self.1), told));
    }
}

pub(super) const NOT_STARTED: &str = "the adapter has not started";
