//! One of several instances, as the adapter door sees it: what it publishes, and what it hears.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use jackfield_hub::doors::{AdapterRequest, Envelope};

use super::given::Given;
use crate::harness::heard::Heard;
use crate::harness::http::DEVELOPMENT;
use crate::harness::stand::Stand;

/// A door with an adapter that is up.
pub(super) struct Side {
    pub(super) stand: Stand,
    pub(super) heard: Heard,
    node: String,
    /// Messages that were asked for.
    read: Cell<usize>,
    tickets: Cell<u64>,
}

impl Side {
    /// An instance of this name.
    pub(super) fn of(given: &Given, node: &str) -> Self {
        let side = Self {
            stand: given.layout().node(node).ready(),
            heard: Heard::default(),
            node: node.to_owned(),
            read: Cell::new(0),
            tickets: Cell::new(0),
        };
        side.until("the adapter to be up", || side.heard.told().is_up());
        side.follow(&marks());
        side
    }

    /// Lets the adapter work until this is so.
    pub(super) fn until(&self, what: &str, seen: impl FnMut() -> bool) {
        self.stand.drive_until(what, &self.heard, seen);
    }

    pub(super) fn drive(&self) {
        self.stand.drive(&self.heard);
    }

    pub(super) fn ask_to_follow(&self, topics: &[String]) {
        self.stand.submit(&self.heard, AdapterRequest::Follow(shared(topics)));
    }

    /// Asks, and waits until all of them are followed.
    pub(super) fn follow(&self, topics: &[String]) {
        let begin = self.heard.told().following.len();
        self.ask_to_follow(topics);
        self.until("topics to be followed", || {
            let following = &self.heard.told().following[begin..];
            topics.iter().all(|topic| following.contains(topic))
        });
    }

    pub(super) fn unfollow(&self, topics: &[String]) {
        self.stand.submit(&self.heard, AdapterRequest::Unfollow(shared(topics)));
    }

    /// Publishes at once; the ticket.
    pub(super) fn publish(&self, topic: &str, frame: impl Into<Bytes>) -> u64 {
        let ticket = self.queue(topic, frame);
        self.drive();
        ticket
    }

    /// Leaves an envelope for the next time that the adapter works.
    pub(super) fn queue(&self, topic: &str, frame: impl Into<Bytes>) -> u64 {
        let ticket = self.tickets.get() + 1;
        self.tickets.set(ticket);
        self.stand.queue(AdapterRequest::Publish(Envelope {
            topic: topic.into(),
            frame: frame.into(),
            ticket: Some(ticket),
        }));
        ticket
    }

    /// All that has come since this was asked last, up to what these have published so far. They publish a mark on many topics, on
    /// every server of a cluster some: behind its marks nothing is on its way any more.
    pub(super) fn hears(&self, from: &[&Self]) -> Vec<(String, Bytes)> {
        let marks = marks();
        let mut wanted = BTreeSet::new();
        for side in from {
            for mark in &marks {
                // Of this time and of no other: everybody hears everybody's marks.
                let frame = Bytes::from(format!("{} {}", side.node, side.tickets.get()));
                wanted.insert((mark.clone(), frame.clone()));
                side.queue(mark, frame);
            }
            side.drive();
        }
        self.until("the marks", || {
            let received = &self.heard.told().received[self.read.get()..];
            received.iter().filter(|message| wanted.contains(message)).count() == wanted.len()
        });
        let mut received = self.heard.told().received.split_off(self.read.get());
        self.read.set(self.read.get() + received.len());
        received.retain(|(topic, _)| !marks.contains(topic));
        received
    }

    /// Waits until what `from` publishes on a topic does not come any more.
    pub(super) fn falls_silent(&self, from: &Self, topic: &str) {
        self.until("a topic to fall silent", || {
            from.publish(topic, "still there?");
            self.hears(&[from]).is_empty()
        });
    }

    /// Whether its marks have been told as followed so many times.
    pub(super) fn follows_its_marks(&self, times: usize) -> bool {
        let following = self.heard.told().following;
        let told = |mark: &String| following.iter().filter(|known| *known == mark).count();
        marks().iter().all(|mark| told(mark) >= times)
    }

    /// Waits for all of them; those that failed.
    pub(super) fn every_ticket_comes_back_once(&self) -> BTreeSet<u64> {
        let given = self.tickets.get();
        let count = || {
            let told = self.heard.told();
            (told.confirmed.len() + told.failed.len()) as u64
        };
        self.until("every ticket", || count() >= given);
        let told = self.heard.told();
        let failed: BTreeSet<u64> = told.failed.iter().map(|(ticket, _)| *ticket).collect();
        let all: BTreeSet<u64> = told.confirmed.iter().chain(&failed).copied().collect();
        assert_eq!(count(), given, "each once");
        assert_eq!(all, (1..=given).collect());
        failed
    }
}

/// A channel of the development app.
pub(super) fn channel(name: &str) -> String {
    format!("{}/{name}", DEVELOPMENT.id)
}

fn marks() -> Vec<String> {
    (0..MARKS).map(|number| format!("/mark/{number}")).collect()
}

fn shared(topics: &[String]) -> Vec<Arc<str>> {
    topics.iter().map(|topic| topic.as_str().into()).collect()
}

/// Enough for some on each of three servers.
const MARKS: usize = 16;
