//! A link, and everything that it has told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jackfield_links::broker::{Link, LinkError, LinkEvent, Outgoing};

use crate::harness::wait::until;

pub(super) struct Witness {
    pub(super) link: Arc<dyn Link>,
    told: Arc<Mutex<Vec<LinkEvent>>>,
    /// Events that nobody has asked for yet.
    unseen: Vec<LinkEvent>,
    last_ticket: u64,
}

impl Witness {
    /// `open` is given what the link is to tell its events to.
    pub(super) fn new<T: FnOnce(Box<dyn Fn(Vec<LinkEvent>) + Send + Sync>) -> Arc<dyn Link>>(open: T) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = told.clone();
        let tell = move |events: Vec<LinkEvent>| telling.lock().expect("no test panics here").extend(events);
        Self {
            link: open(Box::new(tell)),
            told,
            unseen: Vec::new(),
            last_ticket: 0,
        }
    }

    pub(super) fn follow(&self, subjects: &[&str]) {
        let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        self.link.follow(subjects).expect("they are legal");
    }

    pub(super) fn unfollow(&self, subjects: &[&str]) {
        self.link
            .unfollow(subjects.iter().map(|subject| (*subject).to_owned()).collect());
    }

    /// Publishes one batch, with tickets from 1 on.
    pub(super) fn publish(&mut self, batch: &[(&str, &[u8])]) {
        self.try_publish(batch).expect("the link is up");
    }

    pub(super) fn try_publish(&mut self, batch: &[(&str, &[u8])]) -> Result<(), LinkError> {
        let message = |(offset, (subject, payload)): (usize, &(&str, &[u8]))| Outgoing {
            subject: (*subject).to_owned(),
            payload: Bytes::copy_from_slice(payload),
            ticket: self.last_ticket + 1 + offset as u64,
        };
        let messages = batch.iter().enumerate().map(message).collect();
        self.link.publish(messages)?;
        self.last_ticket += batch.len() as u64;
        Ok(())
    }

    /// Whether it takes nothing because it is down.
    pub(super) fn refuses(&mut self) -> bool {
        self.try_publish(&[("refused", b"")]) == Err(LinkError::Down)
    }

    /// Waits for an event; those of other kinds before it stay unseen.
    pub(super) async fn sees(&mut self, wanted: LinkEvent) {
        let what = format!("{wanted:?}");
        self.take(&what, |event| (*event == wanted).then_some(())).await;
    }

    /// Waits for the link to go down; says why.
    pub(super) async fn goes_down(&mut self) -> String {
        let reason = |event: &LinkEvent| match event {
            LinkEvent::Down(reason) => Some(reason.clone()),
            _ => None,
        };
        self.take("the link to go down", reason).await
    }

    /// Waits until each of these subjects has been told as followed.
    pub(super) async fn sees_all_followed(&mut self, subjects: &[String]) {
        let mut missing: BTreeSet<&str> = subjects.iter().map(String::as_str).collect();
        until("all subjects to be followed", async || {
            self.gather();
            self.unseen.retain(|event| match event {
                LinkEvent::Following(subject) => !missing.remove(subject.as_str()),
                _ => true,
            });
            missing.is_empty().then_some(())
        })
        .await;
    }

    /// Waits for so many messages on a subject.
    pub(super) async fn messages(&mut self, subject: &str, count: usize) -> Vec<Vec<u8>> {
        let payload = |event: &LinkEvent| match event {
            LinkEvent::Message { subject: on, payload } if on == subject => Some(payload.to_vec()),
            _ => None,
        };
        self.take_many("messages", count, payload).await
    }

    /// Waits for a message on a subject; says on which subjects there were others before it, and forgets them.
    pub(super) async fn until_message(&mut self, subject: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let on = |event: &LinkEvent| match event {
                LinkEvent::Message { subject, .. } => Some(subject.clone()),
                _ => None,
            };
            let found = self.take("a message", on).await;
            if found == subject {
                return before;
            }
            before.push(found);
        }
    }

    /// Whether no message on this subject has come; forgets those that have.
    pub(super) async fn quiet_on(&mut self, subject: &str) -> bool {
        self.gather();
        let before = self.unseen.len();
        self.unseen
            .retain(|event| !matches!(event, LinkEvent::Message { subject: on, .. } if on == subject));
        before == self.unseen.len()
    }

    /// Waits for so many confirmations.
    pub(super) async fn confirmed(&mut self, count: usize) -> Vec<u64> {
        let ticket = |event: &LinkEvent| match event {
            LinkEvent::Confirmed(ticket) => Some(*ticket),
            _ => None,
        };
        self.take_many("confirmations", count, ticket).await
    }

    /// Waits until every ticket of so many has come back, and counts confirmations and failures.
    pub(super) async fn outcomes(&mut self, tickets: u64) -> (usize, usize) {
        let mut seen: BTreeMap<u64, bool> = BTreeMap::new();
        until("every ticket to come back", async || {
            self.gather();
            for event in self.unseen.drain(..) {
                let (ticket, confirmed) = match event {
                    LinkEvent::Confirmed(ticket) => (ticket, true),
                    LinkEvent::Failed(ticket) => (ticket, false),
                    _ => continue,
                };
                assert_eq!(seen.insert(ticket, confirmed), None, "ticket {ticket} came back twice");
            }
            (seen.len() as u64 == tickets).then_some(())
        })
        .await;
        let confirmed = seen.values().filter(|confirmed| **confirmed).count();
        (confirmed, seen.len() - confirmed)
    }

    async fn take<T>(&mut self, what: &str, wanted: impl Fn(&LinkEvent) -> Option<T>) -> T {
        let found = self.take_many(what, 1, wanted).await.pop();
        found.expect("one was found")
    }

    async fn take_many<T>(&mut self, what: &str, count: usize, wanted: impl Fn(&LinkEvent) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        until(what, async || {
            self.gather();
            let mut left = Vec::new();
            for event in self.unseen.drain(..) {
                match wanted(&event).filter(|_| found.len() < count) {
                    Some(value) => found.push(value),
                    None => left.push(event),
                }
            }
            self.unseen = left;
            (found.len() == count).then_some(())
        })
        .await;
        found
    }

    fn gather(&mut self) {
        let mut told = self.told.lock().expect("no receiver panics");
        self.unseen.append(&mut told);
    }
}
