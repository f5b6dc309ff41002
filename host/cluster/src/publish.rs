//! Publishing, and the answer to the publisher.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::envelope::{Data, Envelope, MAX_FRAME_BYTES, MAX_TOPIC_BYTES, Message};
use crate::event::{Answer, BusId, Delivery, Effect, Publication, Refused};
use crate::rules::Rule;
use crate::swap::each;
use crate::topic::Micros;

/// Publishers that wait, by the number of their publish.
#[derive(Default)]
pub(crate) struct Waiting(BTreeMap<u64, Waiter>);

struct Waiter {
    ticket: u64,
    until: Micros,
    /// The buses that have confirmed.
    confirmed: u8,
}

impl Waiting {
    /// When the first one is to be told that nobody knows. Numbers are in the order of time.
    pub(crate) fn next(&self) -> Micros {
        self.0.first_key_value().map_or(Micros::MAX, |(_, waiter)| waiter.until)
    }
}

impl Cluster {
    pub(crate) fn on_publish(&mut self, publication: Publication) {
        let buses = self.publishing() & self.buses.usable_mask();
        if let Err(refused) = self.check_publish(&publication, buses) {
            if let Some(ticket) = publication.ticket {
                self.effects.push(Effect::Answer(ticket, Answer::Refused(refused)));
            }
            return;
        }
        let Publication {
            topic,
            frame,
            flags,
            except,
            ticket,
        } = publication;
        let at = self.me.stamp();
        let link = self.origin.take(&topic, at);
        if self
            .topics
            .table
            .get(&topic)
            .is_some_and(|known| known.listening().is_some())
        {
            self.effects.push(Effect::Deliver(Delivery {
                topic: topic.clone(),
                frame: frame.clone(),
                flags,
                except,
            }));
        }
        let data = Data {
            link,
            flags,
            except,
            frame,
        };
        let envelope = Envelope {
            from: self.me.id,
            message: Message::Data(data),
        };
        let bytes = envelope.encode(topic.as_str(), &self.me.seal);
        for bus in each(buses) {
            self.effects.push(Effect::Publish {
                bus,
                topic: topic.clone(),
                bytes: bytes.clone(),
                ticket: ticket.map(|_| link.n),
            });
        }
        self.origin.keep(topic, link, bytes);
        if let Some(ticket) = ticket {
            let until = self.me.now + ANSWER_US;
            let waiter = Waiter {
                ticket,
                until,
                confirmed: 0,
            };
            self.waiting.0.insert(link.n, waiter);
        }
    }

    pub(crate) fn on_confirmed(&mut self, bus: BusId, n: u64) {
        let Some(waiter) = self.waiting.0.get_mut(&n) else {
            return;
        };
        waiter.confirmed |= bus.bit();
        let confirmed = waiter.confirmed;
        if self.is_covered(confirmed) {
            let answer = self.waiting.0.remove(&n);
            let answer = answer.map(|waiter| Effect::Answer(waiter.ticket, Answer::Confirmed));
            self.effects.extend(answer);
        }
    }

    /// What peers say, or that one has gone, may be all that a publish waited for.
    pub(crate) fn retry_publishes(&mut self) {
        let covered = |(n, waiter): (&u64, &Waiter)| self.is_covered(waiter.confirmed).then_some(*n);
        let done: Vec<u64> = self.waiting.0.iter().filter_map(covered).collect();
        for n in done {
            if let Some(waiter) = self.waiting.0.remove(&n) {
                self.effects.push(Effect::Answer(waiter.ticket, Answer::Confirmed));
            }
        }
    }

    /// Publishers that have waited long enough.
    pub(crate) fn give_answers(&mut self) {
        while self.waiting.next() <= self.me.now {
            if let Some((_, waiter)) = self.waiting.0.pop_first() {
                self.effects.push(Effect::Answer(waiter.ticket, Answer::Unknown));
            }
        }
    }

    fn is_covered(&self, confirmed: u8) -> bool {
        if self.me.rules.hold(Rule::Cover) {
            self.peers.covered(confirmed)
        } else {
            confirmed != 0
        }
    }

    fn check_publish(&self, publication: &Publication, buses: u8) -> Result<(), Refused> {
        if !self.is_open() {
            Err(Refused::NotOpen)
        } else if publication.frame.len() > MAX_FRAME_BYTES || publication.topic.as_str().len() > MAX_TOPIC_BYTES {
            Err(Refused::TooLarge)
        } else if buses == 0 {
            Err(Refused::NoLink)
        } else if self.origin.is_full() || self.waiting.0.len() >= MAX_WAITING {
            Err(Refused::Overloaded)
        } else {
            Ok(())
        }
    }
}

/// After that a publisher is told that nobody knows. A broker answers in milliseconds; a lost peer takes longer.
const ANSWER_US: u64 = 2_000_000;

/// As many as the adapter's queue takes.
const MAX_WAITING: usize = 65_536;
