//! Publishing, and the answer to the publisher.

use std::collections::BTreeMap;

use jackfield_envelope::{Data, Envelope, MAX_FRAME_BYTES, MAX_TOPIC_BYTES, Message, Micros};

use crate::cluster::Cluster;
use crate::event::{Answer, BusId, Delivery, Effect, Publication, Refused};
use crate::rules::Rule;
use crate::swap::each;

/// Publishers that wait, by the number of their publish.
#[derive(Default)]
pub(crate) struct Waiting(BTreeMap<u64, Waiter>);

struct Waiter {
    ticket: u64,
    until: Micros,
    /// The buses that were asked, those of them that have confirmed, and those that have failed.
    asked: u8,
    confirmed: u8,
    failed: u8,
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
        if self.topics.is_listening(&publication.topic) {
            self.effects.push(Effect::Deliver(Delivery {
                topic: publication.topic.clone(),
                frame: publication.frame.clone(),
                flags: publication.flags,
                except: publication.except,
            }));
        }
        let ticket = publication.ticket;
        let n = if self.buses.alone() {
            self.offer_alone(publication, buses)
        } else {
            self.offer(publication, buses)
        };
        if let Some(ticket) = ticket {
            let waiter = Waiter {
                ticket,
                until: self.me.now + ANSWER_US,
                asked: buses,
                confirmed: 0,
                failed: 0,
            };
            self.waiting.0.insert(n, waiter);
        }
    }

    /// To whoever follows the topic, and into the ring for those who miss it.
    fn offer(&mut self, publication: Publication, buses: u8) -> u64 {
        let Publication {
            topic,
            frame,
            flags,
            except,
            ticket,
        } = publication;
        let at = self.me.stamp();
        let link = self.origin.take(&topic, at);
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
        link.n
    }

    /// There is nobody whom it could reach, or who could miss it: the adapter alone has its say.
    fn offer_alone(&mut self, publication: Publication, buses: u8) -> u64 {
        let n = self.origin.number();
        for bus in each(buses) {
            self.effects.push(Effect::Publish {
                bus,
                topic: publication.topic.clone(),
                bytes: publication.frame.clone(),
                ticket: publication.ticket.map(|_| n),
            });
        }
        n
    }

    pub(crate) fn on_confirmed(&mut self, bus: BusId, n: u64) {
        let Some(waiter) = self.waiting.0.get_mut(&n) else {
            return;
        };
        waiter.confirmed |= bus.bit();
        let confirmed = waiter.confirmed;
        if self.is_covered(confirmed) {
            self.settle_publish(n, Answer::Confirmed);
        }
    }

    /// The ring has it all the same, so that peers may still get it.
    pub(crate) fn on_failed(&mut self, bus: BusId, n: u64) {
        let Some(waiter) = self.waiting.0.get_mut(&n) else {
            return;
        };
        waiter.failed |= bus.bit();
        if waiter.failed == waiter.asked {
            self.settle_publish(n, Answer::Unknown);
        }
    }

    fn settle_publish(&mut self, n: u64, answer: Answer) {
        if let Some(waiter) = self.waiting.0.remove(&n) {
            self.effects.push(Effect::Answer(waiter.ticket, answer));
        }
    }

    /// What peers say, or that one has gone, may be all that a publish waited for.
    pub(crate) fn retry_publishes(&mut self) {
        let covered = |(n, waiter): (&u64, &Waiter)| self.is_covered(waiter.confirmed).then_some(*n);
        let done: Vec<u64> = self.waiting.0.iter().filter_map(covered).collect();
        for n in done {
            self.settle_publish(n, Answer::Confirmed);
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
