//! The attached adapters, and the way from one to another without losing anything.
//!
//! Buses have no names on the wire: all that counts is on which of my links I hear whom. While two are attached, a node
//! follows everything on both. It publishes on the target alone as long as every live peer hears it there, else on all;
//! that is recomputed each time, never latched. When everybody publishes on the target alone for a while, the others are
//! left: of them only the topic of all nodes is still followed, so that somebody who comes up there alone is noticed.

use std::sync::Arc;

use jackfield_envelope::{Beat, Micros, NodeId, Publishes, Topic};
use jackfield_hub::doors::Reach;

use crate::cluster::Cluster;
use crate::event::{BusId, Degraded, Effect, MAX_BUSES};
use crate::peers::Peer;
use crate::rules::Rule;

/// All attached adapters.
#[derive(Default)]
pub(crate) struct Buses {
    list: Vec<Bus>,
    target: Option<BusId>,
    /// Something came over a link in the last beat.
    pub(crate) proven: bool,
    /// Since when everybody publishes on the target alone.
    agreed: Option<Micros>,
    /// Since when two are attached.
    swapping: Option<Micros>,
}

struct Bus {
    id: BusId,
    reach: Reach,
    up: bool,
    /// The topic of all nodes is followed.
    all: bool,
    /// This node's own topic is followed.
    inbox: bool,
    ready: bool,
    /// Something came since the last tick.
    heard: bool,
    /// Since when; none: it is used.
    left: Option<Micros>,
}

/// How an attached adapter stands, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusState {
    /// Which.
    pub id: BusId,
    /// Its link is up.
    pub up: bool,
    /// The configuration names it.
    pub target: bool,
    /// What is published here goes over it.
    pub publishes: bool,
    /// Nobody needs it any more, as far as is known; it listens for whoever does.
    pub left: bool,
}

impl Bus {
    const fn is_left(&self) -> bool {
        self.left.is_some()
    }
}

impl BusId {
    /// Its place in a set of buses.
    pub(crate) const fn bit(self) -> u8 {
        1 << self.0
    }
}

/// The buses of a set.
pub(crate) fn each(mask: u8) -> impl Iterator<Item = BusId> {
    (0..MAX_BUSES).map(BusId).filter(move |bus| mask & bus.bit() != 0)
}

impl Buses {
    /// Attached, not left, and up.
    pub(crate) fn usable_mask(&self) -> u8 {
        self.mask(|bus| !bus.is_left() && bus.up)
    }

    pub(crate) fn usable(&self) -> impl Iterator<Item = BusId> + use<> {
        each(self.usable_mask())
    }

    /// Usable, and with somebody to speak to.
    pub(crate) fn speaking(&self) -> impl Iterator<Item = BusId> + use<> {
        each(self.mask(|bus| !bus.is_left() && bus.up && bus.reach == Reach::Shared))
    }

    pub(crate) fn is_ready(&self, bus: BusId) -> bool {
        self.find(bus).is_some_and(|bus| bus.ready)
    }

    /// There is nobody else to reach.
    pub(crate) fn alone(&self) -> bool {
        self.list.iter().all(|bus| bus.reach == Reach::Alone)
    }

    /// Something came over this bus.
    pub(crate) fn hear(&mut self, bus: BusId) {
        if let Some(bus) = self.find_mut(bus) {
            bus.heard = true;
        }
    }

    /// The end of a beat: was a link proven in it?
    pub(crate) fn prove(&mut self) {
        self.proven = self.list.iter().any(|bus| {
            let echo = bus.heard || bus.reach == Reach::Alone;
            bus.up && !bus.is_left() && echo
        });
        self.forget_proof();
    }

    pub(crate) fn forget_proof(&mut self) {
        for bus in &mut self.list {
            bus.heard = false;
        }
    }

    /// `confirmed`: the buses on which all that has somebody to deliver to is confirmed.
    pub(crate) fn make_ready(&mut self, confirmed: u8) {
        for bus in &mut self.list {
            bus.ready = bus.up && !bus.is_left() && bus.all && bus.inbox && confirmed & bus.id.bit() != 0;
        }
    }

    /// The topic of all nodes is followed on this bus.
    pub(crate) fn confirm_all(&mut self, bus: BusId) {
        if let Some(bus) = self.find_mut(bus) {
            bus.all = true;
        }
    }

    /// This node's own topic is followed on this bus.
    pub(crate) fn confirm_inbox(&mut self, bus: BusId) {
        if let Some(bus) = self.find_mut(bus) {
            bus.inbox = true;
        }
    }

    /// A topic was lost on this bus: it is not ready until that is followed again.
    pub(crate) fn lose(&mut self, bus: BusId) {
        if let Some(bus) = self.find_mut(bus) {
            bus.ready = false;
        }
    }

    fn attached(&self) -> u8 {
        self.mask(|bus| !bus.is_left())
    }

    fn is_left(&self, bus: BusId) -> bool {
        self.find(bus).is_some_and(Bus::is_left)
    }

    fn mask(&self, which: impl Fn(&Bus) -> bool) -> u8 {
        let found = self.list.iter().filter(|bus| which(bus));
        found.fold(0, |mask, bus| mask | bus.id.bit())
    }

    fn find(&self, id: BusId) -> Option<&Bus> {
        self.list.iter().find(|bus| bus.id == id)
    }

    fn find_mut(&mut self, id: BusId) -> Option<&mut Bus> {
        self.list.iter_mut().find(|bus| bus.id == id)
    }
}

impl Cluster {
    pub(crate) fn on_attach(&mut self, id: BusId, reach: Reach) {
        if id.0 >= MAX_BUSES || self.buses.find(id).is_some() {
            return;
        }
        self.buses.target = self.buses.target.or(Some(id));
        self.buses.list.push(Bus {
            id,
            reach,
            up: false,
            all: false,
            inbox: false,
            ready: false,
            heard: false,
            left: None,
        });
    }

    pub(crate) fn on_target(&mut self, id: BusId) {
        self.buses.target = Some(id);
        self.buses.agreed = None;
        // Whoever goes back to a bus that was left needs it again.
        self.attach_again(id);
    }

    /// Gives up those that were left long ago.
    fn detach_left(&mut self) {
        let old = |bus: &Bus| bus.left.is_some_and(|since| since + KEEP_LEFT_US <= self.me.now);
        for id in each(self.buses.mask(old)) {
            self.on_link_down(id);
            self.buses.list.retain(|bus| bus.id != id);
            self.peers.forget_bus(id);
            self.effects.push(Effect::Detached(id));
        }
    }

    /// The attached adapters, in the order in which they came.
    pub fn buses(&self) -> impl Iterator<Item = BusState> {
        let publishing = self.publishing();
        self.buses.list.iter().map(move |bus| BusState {
            id: bus.id,
            up: bus.up,
            target: self.buses.target == Some(bus.id),
            publishes: publishing & bus.id.bit() != 0,
            left: bus.is_left(),
        })
    }

    /// The names of the peers for which a swap waits.
    pub fn swap_waits_for(&self) -> Vec<Arc<str>> {
        let swapping = self.buses.attached().count_ones() > 1;
        let target = self.buses.target.filter(|_| swapping);
        let late = target.into_iter().flat_map(|target| self.late(target));
        late.map(|(_, peer)| Arc::clone(&peer.name)).collect()
    }

    pub(crate) fn on_link_up(&mut self, id: BusId) {
        let alone = self.buses.alone();
        let Some(bus) = self.buses.find_mut(id) else { return };
        bus.up = true;
        if alone {
            // There is nobody to listen for.
            self.me.next_tick = self.me.now;
        }
        if bus.is_left() {
            self.effects.push(Effect::Follow(id, vec![self.me.all.clone()]));
        } else {
            self.follow_all(id);
        }
    }

    pub(crate) fn on_link_down(&mut self, id: BusId) {
        let Some(bus) = self.buses.find_mut(id) else { return };
        (bus.up, bus.all, bus.inbox, bus.ready, bus.heard) = (false, false, false, false, false);
        if !bus.is_left() {
            self.peers.link_down_at = Some(self.me.now);
        }
        self.unconfirm(id);
    }

    /// Where publishes go.
    pub(crate) fn publishing(&self) -> u8 {
        let attached = self.buses.attached();
        match self.buses.target {
            Some(target) if attached.count_ones() > 1 && self.is_target_enough(target) => target.bit(),
            _ => attached,
        }
    }

    pub(crate) fn publishes_seen_from(&self, bus: BusId) -> Publishes {
        let publishing = self.publishing();
        if publishing == bus.bit() {
            Publishes::Here
        } else if publishing & bus.bit() != 0 {
            Publishes::Everywhere
        } else {
            Publishes::Elsewhere
        }
    }

    /// Once a beat: leaves what nobody needs any more.
    pub(crate) fn advance_swap(&mut self) {
        self.detach_left();
        let now = self.me.now;
        let attached = self.buses.attached();
        let Some(target) = self.buses.target.filter(|_| attached.count_ones() > 1) else {
            (self.buses.agreed, self.buses.swapping) = (None, None);
            return;
        };
        self.buses.swapping.get_or_insert(now);
        if self.publishing() != target.bit() || self.lagging(target).is_some() {
            self.buses.agreed = None;
            return;
        }
        if *self.buses.agreed.get_or_insert(now) + DETACH_LINGER_US > now {
            return;
        }
        self.buses.agreed = None;
        for bus in each(attached & !target.bit()) {
            self.leave_bus(bus);
        }
    }

    /// A beat came on a bus that was left: whoever still publishes there, or is heard nowhere else, is met there again.
    /// Whoever publishes on our target alone is on its way out as well, or that bus leads to the broker that was left.
    pub(crate) fn rejoin(&mut self, bus: BusId, from: NodeId, beat: &Beat) {
        if !self.buses.is_left(bus) || !self.me.rules.hold(Rule::Rejoin) {
            return;
        }
        let on_target = |target: BusId| {
            let heard = self.peers.live.get(&from).map(|peer| *peer.bus(target));
            heard.is_some_and(|heard| {
                let alone = heard.is_alone(beat.k) || beat.publishes == Publishes::Elsewhere;
                heard.is_fresh(self.me.now) && alone
            })
        };
        if !self.buses.target.is_some_and(on_target) {
            self.attach_again(bus);
        }
    }

    /// Which peer holds up the swap, if it takes long.
    pub(crate) fn swap_waits(&self) -> Option<Degraded> {
        let since = self.buses.swapping?;
        if since + SWAP_LONG_US > self.me.now {
            return None;
        }
        let target = self.buses.target?;
        if self.buses.usable_mask() & target.bit() == 0 {
            return Some(Degraded::NoTarget);
        }
        self.lagging(target).map(Degraded::SwapWaits)
    }

    fn is_target_enough(&self, target: BusId) -> bool {
        self.buses.is_ready(target) && self.peers.heard_by_all() & target.bit() != 0
    }

    /// A peer that does not publish on the target alone yet.
    fn lagging(&self, target: BusId) -> Option<NodeId> {
        self.late(target).next().map(|(node, _)| *node)
    }

    fn late(&self, target: BusId) -> impl Iterator<Item = (&NodeId, &Peer)> {
        self.peers.live.iter().filter(move |(_, peer)| {
            let heard = peer.bus(target);
            let there = heard.is_fresh(self.me.now) && heard.is_alone(heard.k);
            !there || peer.on & target.bit() == 0
        })
    }

    fn leave_bus(&mut self, id: BusId) {
        let now = self.me.now;
        let mut topics: Vec<Topic> = self.topics.table.keys().cloned().collect();
        topics.sort_unstable();
        topics.push(self.me.inbox.clone());
        self.effects.push(Effect::Unfollow(id, topics));
        if let Some(bus) = self.buses.find_mut(id) {
            (bus.left, bus.inbox, bus.ready) = (Some(now), false, false);
        }
        self.unconfirm(id);
        self.effects.push(Effect::Left(id));
    }

    fn attach_again(&mut self, id: BusId) {
        let Some(bus) = self.buses.find_mut(id).filter(|bus| bus.is_left()) else {
            return;
        };
        bus.left = None;
        // Who listened there before has left it as well, perhaps a moment ago: what that peer said there last holds no more.
        self.peers.forget_bus(id);
        if bus.up {
            self.follow_all(id);
        }
    }
}

/// Messages that were on their way over the old bus have arrived by then.
const DETACH_LINGER_US: u64 = 2_500_000;

/// Whoever was cut off or down during a swap, and comes back with the old configuration, is still noticed for so long.
const KEEP_LEFT_US: u64 = 600_000_000;

/// A swap takes a few beats; after this long somebody should look.
const SWAP_LONG_US: u64 = 10_000_000;
