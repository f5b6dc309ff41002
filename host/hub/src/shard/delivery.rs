//! Deliveries into outboxes: to small channels at once, to large ones a piece at a time. Ten thousand outboxes take milliseconds to
//! fill, and whoever waits for anything else on this shard is not to wait for all of them.
//!
//! Large channels take turns, and the events of each are delivered one after the other. Before the list of a channel's subscribers
//! changes, what it was owed is delivered; before a socket is closed, all is.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Shard;
use super::dirty::LARGE;
use crate::hub::Event;
use crate::topic::Topic;

/// The large channels that something is being delivered to.
#[derive(Debug, Default)]
pub(super) struct Spreads {
    list: VecDeque<Spread>,
    /// An emptied list of events: no allocation in the long run.
    spare: VecDeque<Event>,
    /// Bytes of the events delivered since all sockets of large channels were written to.
    gathered: usize,
}

/// What one channel is owed.
#[derive(Debug)]
struct Spread {
    topic: Topic,
    /// Never empty; the first one is under way.
    events: VecDeque<Event>,
    /// How many subscribers have got the first one.
    reached: usize,
}

impl Spreads {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many events the channel is owed.
    pub(super) fn owed(&self, topic: &Topic) -> usize {
        self.at(topic).map_or(0, |at| self.list[at].events.len())
    }

    fn at(&self, topic: &Topic) -> Option<usize> {
        self.list.iter().position(|spread| spread.topic == *topic)
    }

    fn take(&mut self, topic: &Topic) -> Option<Spread> {
        self.at(topic).and_then(|at| self.list.remove(at))
    }

    /// Behind the others, if there is more to deliver.
    fn put_back(&mut self, spread: Spread) {
        if spread.events.is_empty() {
            self.spare = spread.events;
        } else {
            self.list.push_back(spread);
        }
    }
}

impl<C> Shard<C> {
    /// At once where that takes a moment, and nothing is owed to the channel from before.
    pub(super) fn begin(&mut self, mut event: Event) {
        let subscribers = self.channels.get(&event.topic).map_or(0, Vec::len);
        if subscribers > LARGE || self.spreads.owed(&event.topic) > 0 {
            self.done -= 1;
            self.owe(event);
            return;
        }
        self.make_own(&mut event);
        self.deliver(&event, 0, usize::MAX);
    }

    /// Puts an event behind all that its channel is owed. When that is too much the oldest is delivered at once: outboxes are
    /// bounded, and those who do not read fast enough are cut.
    fn owe(&mut self, event: Event) {
        let mut spread = self.spreads.take(&event.topic).unwrap_or_else(|| Spread {
            topic: event.topic.clone(),
            events: std::mem::take(&mut self.spreads.spare),
            reached: 0,
        });
        if spread.events.len() >= MOST_OWED {
            self.deliver_piece(&mut spread, usize::MAX);
        }
        spread.events.push_back(event);
        self.spreads.put_back(spread);
    }

    /// Delivers the next piece. Sockets of large channels are written to when all is delivered, or enough of it: the more has
    /// gathered for a socket, the less it costs.
    pub(super) fn spread(&mut self) {
        if !self.dirty.has_many() {
            self.spreads.gathered = 0;
        }
        let mut left = PIECE;
        while left > 0
            && self.spreads.gathered < GATHERED_BYTES
            && let Some(mut spread) = self.spreads.list.pop_front()
        {
            left -= self.deliver_piece(&mut spread, left);
            self.spreads.put_back(spread);
        }
        let enough = self.spreads.is_empty() || self.spreads.gathered >= GATHERED_BYTES;
        self.dirty.hold(!enough);
    }

    /// Whether whoever publishes to the channel is to wait: it is not delivered as fast as it is published.
    pub fn is_behind(&self, topic: &Topic) -> bool {
        self.spreads.owed(topic) >= OWED
    }

    /// Delivers all that a channel is owed.
    pub(super) fn settle(&mut self, topic: &Topic) {
        if let Some(spread) = self.spreads.take(topic) {
            self.finish(spread);
        }
    }

    /// Delivers all that there is.
    pub(super) fn settle_all(&mut self) {
        while let Some(spread) = self.spreads.list.pop_front() {
            self.finish(spread);
        }
    }

    fn finish(&mut self, mut spread: Spread) {
        while !spread.events.is_empty() {
            self.deliver_piece(&mut spread, usize::MAX);
        }
        self.spreads.put_back(spread);
    }

    /// Delivers the first event to so many further subscribers, and says to how many there were.
    fn deliver_piece(&mut self, spread: &mut Spread, most: usize) -> usize {
        let Some(event) = spread.events.front_mut() else {
            return 0;
        };
        let begun_at = spread.reached;
        if begun_at == 0 {
            self.make_own(event);
        }
        let (reached, of) = self.deliver(event, begun_at, most);
        spread.reached = reached;
        if reached == of {
            self.spreads.gathered += event.frame.len();
            spread.events.pop_front();
            spread.reached = 0;
            self.done += 1;
        }
        reached - begun_at
    }

    /// The cores would fight over one count of references, twice for every subscriber.
    fn make_own(&self, event: &mut Event) {
        let subscribers = self.channels.get(&event.topic).map_or(0, Vec::len);
        if subscribers >= COPIED_FOR {
            event.frame = Bytes::copy_from_slice(&event.frame);
        }
    }

    /// To so many subscribers from this one on. Says where it has stopped, and how many there are.
    fn deliver(&mut self, event: &Event, from: usize, most: usize) -> (usize, usize) {
        let Some(subscribers) = self.channels.get(&event.topic) else {
            return (0, 0);
        };
        let end = subscribers.len().min(from.saturating_add(most));
        let line = self.dirty.line(subscribers.len());
        for slot in &subscribers[from..end] {
            let socket = &mut self.sockets[*slot];
            if event.except == Some(socket.id) {
                continue;
            }
            let cut = socket.push(*slot, event.frame.clone(), &self.limits, line);
            self.deliveries += u64::from(!cut);
            self.cut += u64::from(cut);
        }
        (end, subscribers.len())
    }
}

/// Subscribers that an event is delivered to in one turn: a third of a millisecond.
const PIECE: usize = 1_024;

/// What is gathered for a socket before it is written to, while there is more to come: a fraction of what may wait for it.
const GATHERED_BYTES: usize = 16 << 10;

/// Events that a large channel may be owed before those who publish to it are slowed down: so many that what is written is well gathered.
const OWED: usize = 64;

/// Events that a channel may be owed at all, whoever they come from.
const MOST_OWED: usize = 256;

/// Subscribers on one shard from which on their frame is worth a copy of the shard's own.
const COPIED_FOR: usize = 8;
