//! What stands at the doors: one pointer each, so that other plugins can take the place of those that are in use.
//!
//! A question goes to whoever stood there when it was put.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::auth::AuthChain;
use crate::pool::Spread;
use crate::rate_limit::RateLimit;
use crate::registry::Wanted;
use crate::reloader::Place;
use crate::slot::Slot;
use crate::webhook::Webhook;

/// The doors, but for adapters: of those several may be open.
pub(crate) struct Doors {
    pub(crate) auth: ArcSwap<AuthChain>,
    pub(crate) rate_limit: ArcSwap<Slot<RateLimit>>,
    pub(crate) webhook: ArcSwap<Slot<Webhook>>,
}

impl Doors {
    /// With empty slots for what is wanted.
    pub(crate) fn new(wanted: &Wanted) -> Self {
        let auth = wanted
            .auth
            .iter()
            .map(|name| Arc::new(Slot::new(name, wanted.section(name), Spread::PerThread)));
        let rate_limit = Slot::new(&wanted.rate_limit, wanted.section(&wanted.rate_limit), Spread::Keyed);
        let webhook = Slot::new(&wanted.webhook, wanted.section(&wanted.webhook), Spread::PerThread);
        Self {
            auth: ArcSwap::from_pointee(AuthChain { slots: auth.collect() }),
            rate_limit: ArcSwap::from_pointee(rate_limit),
            webhook: ArcSwap::from_pointee(webhook),
        }
    }

    /// All slots, in the order of their doors.
    pub(crate) fn places(&self) -> Vec<Arc<dyn Place>> {
        let mut places: Vec<Arc<dyn Place>> = vec![self.rate_limit.load_full() as _, self.webhook.load_full() as _];
        places.extend(self.auth.load().slots.iter().map(|slot| Arc::clone(slot) as _));
        places
    }
}
