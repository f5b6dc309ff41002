//! One socket as its shard keeps it: the outbox, and the channels that it is in.

use std::collections::VecDeque;

use bytes::Bytes;
use jackfield_protocol::close::Close;
use jackfield_protocol::names::SocketId;
use jackfield_protocol::websocket;

use crate::outbox::{Outbox, OutboxLimits};
use crate::topic::Topic;

/// One socket.
pub(super) struct Socket<C> {
    pub(super) owner: C,
    pub(super) id: SocketId,
    pub(super) outbox: Outbox,
    /// In a list, because most sockets are in one or two channels.
    pub(super) memberships: Vec<Membership>,
    pub(super) dirty: bool,
    /// Set when a close frame was queued: nothing may follow it.
    pub(super) closing: bool,
    /// When its owner is to look at its timers.
    pub(super) look_at_ms: u64,
}

/// A socket's part in one channel.
pub(super) struct Membership {
    pub(super) topic: Topic,
    pub(super) ticket: u32,
    /// Who the socket is, in a presence channel.
    pub(super) user_id: Option<Box<str>>,
    /// Where the socket stands in the channel's list; none until it has come in.
    pub(super) position: Option<usize>,
}

impl<C> Socket<C> {
    pub(super) fn new(id: SocketId, owner: C) -> Self {
        Self {
            owner,
            id,
            outbox: Outbox::default(),
            memberships: Vec::new(),
            dirty: false,
            closing: false,
            look_at_ms: 0,
        }
    }

    /// Queues a frame; the socket lines up among the dirty ones if it is in no line. True when the socket was cut for it.
    pub(super) fn push(
        &mut self,
        slot: usize,
        frame: Bytes,
        limits: &OutboxLimits,
        dirty: &mut VecDeque<usize>,
    ) -> bool {
        if self.closing {
            return false;
        }
        if self.outbox.push(frame, limits).is_err() {
            self.closing = true;
            self.outbox.replace(websocket::close_frame(Close::OutboxFull));
        }
        if !std::mem::replace(&mut self.dirty, true) {
            dirty.push_back(slot);
        }
        self.closing
    }

    /// Whether the socket has asked for the channel by this request and has not come in yet.
    pub(super) fn waits_for(&self, topic: &Topic, ticket: u32) -> bool {
        let mut memberships = self.memberships.iter();
        memberships.any(|m| m.topic == *topic && m.ticket == ticket && m.position.is_none())
    }

    /// Notes where the socket stands in a channel's list.
    pub(super) fn place_in(&mut self, topic: &Topic, position: usize) {
        let membership = self.memberships.iter_mut().find(|m| m.topic == *topic);
        membership.expect("a listed socket is a member").position = Some(position);
    }

    /// Takes a membership off.
    pub(super) fn forget(&mut self, topic: &Topic) -> Option<Membership> {
        let at = self
            .memberships
            .iter()
            .position(|membership| membership.topic == *topic)?;
        Some(self.memberships.swap_remove(at))
    }
}
