//! One event loop's part of every channel: its sockets, their outboxes, and which of them subscribe to what.
//!
//! A shard belongs to one thread and has no lock. Other threads reach it through its [`ShardHandle`], a bounded queue of
//! jobs with a wake-up. [`Shard::turn`] works the queue off into outboxes and remembers which became dirty; whoever owns
//! the sockets then writes each dirty one once, with all that gathered.
//!
//! `C` is what the owner keeps for a socket; the shard only holds it.

mod delivery;
mod dirty;
mod handle;
mod socket;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use jackfield_protocol::close::Close;
use jackfield_protocol::names::SocketId;
use jackfield_protocol::pusher::session::Member;
use jackfield_protocol::websocket;
use slab::Slab;

use crate::channel::Joiner;
use crate::gate::Grant;
use crate::hub::{Hub, JoinError, Leaver};
use crate::outbox::{Outbox, OutboxLimits};
use crate::topic::Topic;
use crate::users::Place;
use delivery::Spreads;
use dirty::Dirty;
use socket::{Membership, Socket};

pub use handle::{Job, Joined, ShardHandle};

/// One event loop's sockets and subscriptions.
pub struct Shard<C> {
    index: usize,
    hub: Arc<Hub>,
    limits: OutboxLimits,
    sockets: Slab<Socket<C>>,
    channels: HashMap<Topic, Vec<usize>>,
    /// Subscriptions that had to wait for the adapter, oldest first: until when, and which.
    waiting: VecDeque<(u64, Late)>,
    dirty: Dirty,
    spreads: Spreads,
    jobs: Vec<Job>,
    /// Jobs worked off since the handle was last told.
    done: usize,
    /// Frames put into outboxes by `Deliver` jobs since the start.
    pub deliveries: u64,
    /// Connections cut because their outbox was full.
    pub cut: u64,
}

/// A wish to subscribe that was granted.
#[derive(Debug)]
pub struct Subscribe {
    /// To what.
    pub topic: Topic,
    /// Tells the request from an earlier one of the same socket.
    pub ticket: u32,
    /// As whom, in a presence channel.
    pub member: Option<Member>,
}

/// A subscription that the adapter did not confirm in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    /// Whose.
    pub slot: usize,
    /// To what.
    pub topic: Topic,
    /// Which request.
    pub ticket: u32,
}

impl<C> Shard<C> {
    /// The shard behind the hub's handle number `index`.
    pub fn new(index: usize, hub: Arc<Hub>, limits: OutboxLimits) -> Self {
        Self {
            index,
            hub,
            limits,
            sockets: Slab::new(),
            channels: HashMap::new(),
            waiting: VecDeque::new(),
            dirty: Dirty::default(),
            spreads: Spreads::default(),
            jobs: Vec::new(),
            done: 0,
            deliveries: 0,
            cut: 0,
        }
    }

    /// Adds a socket; the place names it until [`Shard::remove`].
    pub fn add(&mut self, id: SocketId, owner: C) -> Place {
        let slot = self.sockets.insert(Socket::new(id, owner));
        Place {
            shard: self.index,
            slot,
            socket: id,
        }
    }

    /// Takes a socket and its subscriptions away.
    pub fn remove(&mut self, slot: usize, now_ms: u64) {
        let memberships = std::mem::take(&mut self.sockets[slot].memberships);
        for membership in memberships {
            self.withdraw(slot, &membership, now_ms);
        }
        self.sockets.remove(slot);
    }

    /// Subscribes a socket that is not subscribed yet. A [`Joined`] comes in a later turn, or a [`Late`].
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn subscribe(&mut self, slot: usize, grant: &Grant, wish: Subscribe, now_ms: u64) -> Result<(), JoinError> {
        let Subscribe { topic, ticket, member } = wish;
        let user_id = member.as_ref().map(|member| member.user_id.as_str().into());
        let place = Place {
            shard: self.index,
            slot,
            socket: self.sockets[slot].id,
        };
        let joiner = Joiner {
            app: Arc::clone(grant.app()),
            place,
            ticket,
            member,
        };
        let waits = self.hub.enter(&topic, joiner, now_ms)?;
        if waits {
            self.waiting.push_back((
                now_ms + FOLLOW_WAIT_MS,
                Late {
                    slot,
                    topic: topic.clone(),
                    ticket,
                },
            ));
        }
        self.sockets[slot].memberships.push(Membership {
            topic,
            ticket,
            user_id,
            position: None,
        });
        Ok(())
    }

    /// Ends a subscription; harmless if there is none.
    pub fn unsubscribe(&mut self, slot: usize, topic: &Topic, now_ms: u64) {
        if let Some(membership) = self.sockets[slot].forget(topic) {
            self.withdraw(slot, &membership, now_ms);
        }
    }

    /// Queues a frame for one socket. Over the limit the socket is cut instead.
    pub fn push(&mut self, slot: usize, frame: Bytes) {
        let cut = self.sockets[slot].push(slot, frame, &self.limits, self.dirty.line(1));
        self.cut += u64::from(cut);
    }

    /// Queues a close frame behind what waits; nothing is accepted after it.
    pub fn close(&mut self, slot: usize, close: Close) {
        self.settle_all();
        self.push(slot, websocket::close_frame(close));
        self.sockets[slot].closing = true;
    }

    /// Whether a close frame was queued.
    pub fn is_closing(&self, slot: usize) -> bool {
        self.sockets[slot].closing
    }

    /// Works off the jobs that have gathered, deliveries to large channels in part: true if there is more, for which another turn is
    /// to be taken when others have had theirs. `welcome` is asked for the frames that tell somebody who has come into a
    /// channel; none if they have gone again.
    pub fn turn(&mut self, mut welcome: impl FnMut(&C, &Joined) -> Vec<Bytes>) -> bool {
        let mut jobs = std::mem::take(&mut self.jobs);
        self.hub
            .shard(self.index)
            .take(&mut jobs, std::mem::take(&mut self.done));
        for job in jobs.drain(..) {
            self.done += 1;
            match job {
                Job::Deliver(event) => self.begin(event),
                Job::Joined(joined) => self.join(&joined, &mut welcome),
                Job::Tell(place, frame) if self.is_there(place) => self.push(place.slot, frame),
                Job::Close(place, close) if self.is_there(place) => self.close(place.slot, close),
                Job::CloseAll(topic, close) => self.close_all(&topic, close),
                Job::Tell(..) | Job::Close(..) => {}
            }
        }
        // The emptied vector goes back and forth with the handle's: no allocation in the long run.
        self.jobs = jobs;
        self.spread();
        !self.spreads.is_empty()
    }

    /// The sockets whose timers are to be looked at, new ones among them. Each needs a [`Shard::look_again`]. Called every second or
    /// so; gives back memory that only bursts need.
    pub fn due(&mut self, now_ms: u64) -> Vec<usize> {
        let mut due = Vec::new();
        for (slot, socket) in &mut self.sockets {
            socket.outbox.rest();
            if socket.look_at_ms <= now_ms {
                due.push(slot);
            }
        }
        due
    }

    /// When a socket is due again, by the clock of [`Shard::due`]; of one that has gone nothing is due.
    pub fn look_again(&mut self, slot: usize, at_ms: u64) {
        if let Some(socket) = self.sockets.get_mut(slot) {
            socket.look_at_ms = at_ms;
        }
    }

    /// Gives up subscriptions that the adapter did not confirm in time.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Late> {
        let mut given_up = Vec::new();
        while let Some((until_ms, _)) = self.waiting.front() {
            if *until_ms > now_ms {
                break;
            }
            let Some((_, late)) = self.waiting.pop_front() else {
                break;
            };
            let socket = self.sockets.get(late.slot);
            if socket.is_some_and(|socket| socket.waits_for(&late.topic, late.ticket)) {
                self.unsubscribe(late.slot, &late.topic, now_ms);
                given_up.push(late);
            }
        }
        given_up
    }

    /// The next socket with something to write, its mark taken off.
    pub fn next_dirty(&mut self) -> Option<usize> {
        loop {
            let slot = self.dirty.pop()?;
            // A slot without a socket was removed meanwhile.
            if let Some(socket) = self.sockets.get_mut(slot) {
                socket.dirty = false;
                return Some(slot);
            }
        }
    }

    /// What the owner keeps for a socket.
    pub fn owner(&self, slot: usize) -> &C {
        &self.sockets[slot].owner
    }

    /// What the owner keeps for the sockets at these slots, as far as there are any.
    pub fn owners(&self, slots: Range<usize>) -> impl Iterator<Item = &C> {
        let sockets = slots.filter_map(|slot| self.sockets.get(slot));
        sockets.map(|socket| &socket.owner)
    }

    /// All slots are below this.
    pub fn end(&self) -> usize {
        self.sockets.capacity()
    }

    /// A socket's outbox.
    pub fn outbox(&self, slot: usize) -> &Outbox {
        &self.sockets[slot].outbox
    }

    /// The same, to be written.
    pub fn outbox_mut(&mut self, slot: usize) -> &mut Outbox {
        &mut self.sockets[slot].outbox
    }

    /// Sockets for which no close frame was queued.
    pub fn open_slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.sockets
            .iter()
            .filter(|(_, socket)| !socket.closing)
            .map(|(slot, _)| slot)
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.channels.values().map(Vec::len).sum()
    }

    fn close_all(&mut self, topic: &Topic, close: Close) {
        for slot in self.channels.get(topic).cloned().unwrap_or_default() {
            if !self.sockets[slot].closing {
                self.close(slot, close);
            }
        }
    }

    /// The socket hears the channel from here on, beginning with its welcome.
    fn join(&mut self, joined: &Joined, welcome: &mut impl FnMut(&C, &Joined) -> Vec<Bytes>) {
        let slot = joined.place.slot;
        if !self.is_there(joined.place) || !self.sockets[slot].waits_for(&joined.topic, joined.ticket) {
            return;
        }
        self.settle(&joined.topic);
        let frames = welcome(&self.sockets[slot].owner, joined);
        let subscribers = self.channels.entry(joined.topic.clone()).or_default();
        subscribers.push(slot);
        self.sockets[slot].place_in(&joined.topic, subscribers.len() - 1);
        for frame in frames {
            self.push(slot, frame);
        }
    }

    fn is_there(&self, place: Place) -> bool {
        self.sockets
            .get(place.slot)
            .is_some_and(|socket| socket.id == place.socket)
    }

    /// Undoes a membership that was already taken off the socket.
    fn withdraw(&mut self, slot: usize, membership: &Membership, now_ms: u64) {
        if let Some(position) = membership.position {
            self.unlist(&membership.topic, position);
        }
        let place = Place {
            shard: self.index,
            slot,
            socket: self.sockets[slot].id,
        };
        let leaver = Leaver {
            place,
            ticket: membership.ticket,
            user_id: membership.user_id.as_deref(),
        };
        self.hub.leave(&membership.topic, &leaver, now_ms);
    }

    /// Fills the gap with the last subscriber, whose position changes: constant time whatever the channel's size.
    fn unlist(&mut self, topic: &Topic, position: usize) {
        self.settle(topic);
        let subscribers = self.channels.get_mut(topic).expect("a member's channel is listed");
        subscribers.swap_remove(position);
        if let Some(moved) = subscribers.get(position) {
            self.sockets[*moved].place_in(topic, position);
        } else if subscribers.is_empty() {
            self.channels.remove(topic);
        }
    }
}

/// How long a subscription waits for the adapter to follow its channel before it is refused.
const FOLLOW_WAIT_MS: u64 = 5_000;
