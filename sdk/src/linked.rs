//! Most of an adapter over one link of the host: all but how topics are called at the broker.
//!
//! ```
//! use jackfield_sdk::linked::{Linked, Subjects};
//!
//! struct Prefixed;
//!
//! impl Subjects for Prefixed {
//!     fn subject(&self, topic: &str) -> String {
//!         format!("mine:{topic}")
//!     }
//!
//!     fn topic(&self, subject: &str) -> Option<String> {
//!         subject.strip_prefix("mine:").map(str::to_owned)
//!     }
//! }
//!
//! let adapter = Linked::new(Prefixed);
//! # let _ = adapter;
//! ```

use crate::host::links::{self, Broker, Outgoing};
use crate::host::{cluster, peers};
use crate::{Envelope, Event, Message};

/// How topics are called at the broker.
pub trait Subjects {
    /// What this topic is called there. Two topics never have one name.
    fn subject(&self, topic: &str) -> String;

    /// The topic of this name; none if it is none of ours.
    fn topic(&self, subject: &str) -> Option<String>;
}

/// An adapter whose connections are the host's. Its functions are those of [`Adapter`](crate::Adapter).
#[derive(Debug)]
pub struct Linked<S> {
    subjects: S,
}

impl<S: Subjects> Linked<S> {
    /// With these names.
    pub const fn new(subjects: S) -> Self {
        Self { subjects }
    }

    /// Opens the link.
    ///
    /// # Errors
    ///
    /// A text that names the option that is wrong.
    pub fn start(&self, broker: Broker, options: &str) -> Result<(), String> {
        links::open(LINK, broker, options)
    }

    /// As [`Adapter::publish`](crate::Adapter::publish).
    ///
    /// # Errors
    ///
    /// Nothing was sent.
    pub fn publish(&self, batch: Vec<Envelope>) -> Result<(), String> {
        let outgoing = batch.into_iter().map(|envelope| Outgoing {
            subject: self.subjects.subject(&envelope.topic),
            payload: envelope.frame,
            ticket: envelope.ticket,
        });
        links::publish(LINK, &outgoing.collect::<Vec<_>>())
    }

    /// As [`Adapter::follow`](crate::Adapter::follow).
    ///
    /// # Errors
    ///
    /// One of the topics cannot be followed.
    pub fn follow(&self, topics: &[String]) -> Result<(), String> {
        links::follow(LINK, &self.named(topics))
    }

    /// As [`Adapter::unfollow`](crate::Adapter::unfollow).
    pub fn unfollow(&self, topics: &[String]) {
        links::unfollow(LINK, &self.named(topics));
    }

    /// As [`Adapter::receive`](crate::Adapter::receive).
    pub fn receive(&self, events: Vec<Event>) {
        let mut messages = Vec::new();
        for event in events {
            if let Event::Message(Message { subject, payload }) = event {
                // What is not ours was put there by somebody else.
                if let Some(topic) = self.subjects.topic(&subject) {
                    messages.push(peers::Message { topic, frame: payload });
                }
                continue;
            }
            deliver(&mut messages);
            match event {
                Event::Up => cluster::up(),
                Event::Down(reason) => cluster::degraded(&reason),
                Event::Confirmed(tickets) => cluster::confirmed(&tickets),
                Event::Failed(tickets) => peers::failed(&tickets),
                Event::Following(subjects) => cluster::following(&self.topics(&subjects)),
                Event::Lost(subjects) => peers::lost(&self.topics(&subjects)),
                Event::Message(_) => {}
            }
        }
        deliver(&mut messages);
    }

    fn named(&self, topics: &[String]) -> Vec<String> {
        topics.iter().map(|topic| self.subjects.subject(topic)).collect()
    }

    fn topics(&self, subjects: &[String]) -> Vec<String> {
        subjects
            .iter()
            .filter_map(|subject| self.subjects.topic(subject))
            .collect()
    }
}

fn deliver(messages: &mut Vec<peers::Message>) {
    if !messages.is_empty() {
        peers::deliver(messages);
        messages.clear();
    }
}

/// The one link.
const LINK: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::{self, Status};

    struct Prefixed;

    impl Subjects for Prefixed {
        fn subject(&self, topic: &str) -> String {
            format!("p:{topic}")
        }

        fn topic(&self, subject: &str) -> Option<String> {
            subject.strip_prefix("p:").map(str::to_owned)
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn what_is_asked_goes_to_the_link() {
        let linked = Linked::new(Prefixed);
        linked.start(Broker::Redis, "{}").expect("the double opens it");
        let envelope = Envelope {
            topic: "1/a".to_owned(),
            frame: b"x".to_vec(),
            ticket: Some(7),
        };
        linked.publish(vec![envelope]).expect("the double takes it");
        linked.follow(&texts(&["1/a", "1/b"])).expect("the double takes it");
        linked.unfollow(&texts(&["1/b"]));
        let links = double::take_links();
        assert_eq!(links.opened, [(0, Broker::Redis, "{}".to_owned())]);
        let sent = &links.published[0];
        assert_eq!((sent.subject.as_str(), sent.ticket), ("p:1/a", Some(7)));
        assert_eq!(
            (links.followed, links.unfollowed),
            (texts(&["p:1/a", "p:1/b"]), texts(&["p:1/b"]))
        );
    }

    #[test]
    fn what_comes_goes_to_the_host_in_order() {
        let message = |subject: &str| {
            Event::Message(Message {
                subject: subject.to_owned(),
                payload: b"x".to_vec(),
            })
        };
        Linked::new(Prefixed).receive(vec![
            Event::Up,
            Event::Following(texts(&["p:1/a", "q:1/b"])),
            message("p:1/a"),
            message("q:1/a"),
            Event::Confirmed(vec![7]),
            Event::Failed(vec![8]),
            Event::Lost(texts(&["p:1/a"])),
            Event::Down("away".to_owned()),
        ]);
        let told = double::take_cluster();
        assert_eq!(told.states, [Status::Up, Status::Degraded("away".to_owned())]);
        assert_eq!((told.following, told.confirmed), (texts(&["1/a"]), vec![7]));
        assert_eq!((told.failed, told.lost), (vec![8], texts(&["1/a"])));
        assert_eq!(told.delivered, [("1/a".to_owned(), b"x".to_vec())]);
    }
}
