//! The plugins of another configuration: all of them are loaded beside those that serve, and take their places together, or
//! nothing changes.
//!
//! Who stood at a door and still does keeps its place, and is a new version only if its section has changed: the same code is
//! not compiled again. Who stands there no longer ends with the last question that it was asked.

use std::path::Path;
use std::sync::Arc;

use crate::auth::AuthChain;
use crate::context::HostSide;
use crate::doors::Doors;
use crate::plugin::Door;
use crate::pool::Spread;
use crate::rate_limit::RateLimit;
use crate::registry::Wanted;
use crate::slot::{Ready, Slot};
use crate::webhook::Webhook;

/// Why the plugins of another configuration cannot take their places: one of them cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The plugin.
    pub plugin: String,
    /// `auth`, `rate-limit` or `webhook`.
    pub door: &'static str,
    /// Whether it is its section that does not fit, and not that it is wanted there.
    pub in_section: bool,
    /// What is wrong, with its file.
    pub reason: String,
}

/// What is to stand at the doors.
pub(crate) struct Refit {
    auth: AuthChain,
    rate_limit: Arc<Slot<RateLimit>>,
    webhook: Arc<Slot<Webhook>>,
    ready: Vec<Box<dyn Prepared>>,
}

/// A version that waits for its place, whatever its door.
trait Prepared: Send {
    fn put(self: Box<Self>);
}

impl Refit {
    /// Loads what is new. The adapter stays as it is.
    pub(crate) fn prepare(doors: &Doors, host: &Arc<HostSide>, folder: &Path, wanted: &Wanted) -> Result<Self, Misfit> {
        let mut ready = Vec::new();
        let mut fitting = Fitting {
            host,
            folder,
            wanted,
            ready: &mut ready,
        };
        let mut known = doors.auth.load().slots.to_vec();
        let auth = wanted.auth.iter().map(|name| {
            let at = known.iter().position(|slot| slot.name == *name);
            let slot = at.map(|at| known.swap_remove(at));
            fitting.fit(slot, name, Spread::PerThread)
        });
        let slots = auth.collect::<Result<_, Misfit>>()?;
        let known = Some(doors.rate_limit.load_full()).filter(|slot| slot.name == wanted.rate_limit);
        let rate_limit = fitting.fit(known, &wanted.rate_limit, Spread::Keyed)?;
        let known = Some(doors.webhook.load_full()).filter(|slot| slot.name == wanted.webhook);
        let webhook = fitting.fit(known, &wanted.webhook, Spread::PerThread)?;
        Ok(Self {
            auth: AuthChain { slots },
            rate_limit,
            webhook,
            ready,
        })
    }

    /// From now on these are asked.
    pub(crate) fn put(self, doors: &Doors) {
        self.ready.into_iter().for_each(Prepared::put);
        doors.auth.store(Arc::new(self.auth));
        doors.rate_limit.store(self.rate_limit);
        doors.webhook.store(self.webhook);
    }
}

/// Finds or makes the slots.
struct Fitting<'a> {
    host: &'a Arc<HostSide>,
    folder: &'a Path,
    wanted: &'a Wanted,
    ready: &'a mut Vec<Box<dyn Prepared>>,
}

impl Fitting<'_> {
    fn fit<D: Door>(
        &mut self,
        known: Option<Arc<Slot<D>>>,
        name: &str,
        spread: Spread,
    ) -> Result<Arc<Slot<D>>, Misfit> {
        let section = self.wanted.section(name);
        let slot = match &known {
            Some(slot) if slot.has_section(section) => return Ok(Arc::clone(slot)),
            Some(slot) => Arc::clone(slot),
            None => Arc::new(Slot::new(name, section, spread)),
        };
        let misfit = |in_section: bool| {
            move |reason: String| Misfit {
                plugin: name.to_owned(),
                door: D::NAME,
                in_section,
                reason,
            }
        };
        let files = slot.files(self.folder).map_err(misfit(false))?;
        let in_section = known.is_some() || self.wanted.configs.contains_key(name);
        let ready = Ready::prepare(&slot, self.host, files, section).map_err(misfit(in_section))?;
        self.ready.push(Box::new(ready));
        Ok(slot)
    }
}

impl<D: Door> Prepared for Ready<D> {
    fn put(self: Box<Self>) {
        Self::put(*self);
    }
}
