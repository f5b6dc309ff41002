//! The channels of one client, in the order of asking.
//!
//! A list, because most connections have one or two. Each request gets a ticket, so that a verdict that comes late
//! cannot be taken for the answer to a later request for the same channel.

use crate::names::ChannelName;

#[derive(Debug)]
pub(super) struct Subscriptions {
    list: Vec<Subscription>,
    next_ticket: u32,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: ChannelName,
    pub(super) ticket: u32,
    pub(super) granted: bool,
    /// Who the client is in this presence channel.
    pub(super) member_id: Option<Box<str>>,
}

impl Subscriptions {
    pub(super) const fn new() -> Self {
        Self {
            list: Vec::new(),
            next_ticket: 0,
        }
    }

    /// Notes a request for a channel that is not in the list, and returns its ticket.
    pub(super) fn ask(&mut self, channel: ChannelName, member_id: Option<Box<str>>) -> u32 {
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        // Most connections never need room for a second one, so do not let the list grow to four at once.
        self.list.reserve_exact(1);
        self.list.push(Subscription {
            channel,
            ticket,
            granted: false,
            member_id,
        });
        ticket
    }

    /// Whether the request was still waiting.
    pub(super) fn grant(&mut self, channel: &ChannelName, ticket: u32) -> bool {
        let pending = self
            .list
            .iter_mut()
            .find(|known| known.ticket == ticket && known.channel == *channel && !known.granted);
        match pending {
            Some(pending) => {
                pending.granted = true;
                true
            }
            None => false,
        }
    }

    /// Notes who the client of a request that still waits will be.
    pub(super) fn appoint(&mut self, channel: &ChannelName, ticket: u32, member_id: &str) {
        let pending = self
            .list
            .iter_mut()
            .find(|known| known.ticket == ticket && known.channel == *channel && !known.granted);
        if let Some(pending) = pending {
            pending.member_id = Some(member_id.into());
        }
    }

    pub(super) fn find(&self, channel: &ChannelName) -> Option<&Subscription> {
        self.list.iter().find(|known| known.channel == *channel)
    }

    /// Whether the channel was there to be forgotten.
    pub(super) fn forget(&mut self, channel: &ChannelName) -> bool {
        let before = self.list.len();
        self.list.retain(|known| known.channel != *channel);
        self.list.len() < before
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.list.iter()
    }

    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.list.capacity()
    }
}
