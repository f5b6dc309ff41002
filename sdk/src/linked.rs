//! Most of an adapter over one link of the host: all but its settings and how topics are called at the broker.
//!
//! ```
//! use jackfield_sdk::host::links::Broker;
//! use jackfield_sdk::linked::{Linked, OverLink, Prefixed};
//!
//! struct Mine(Linked<Prefixed>);
//!
//! impl OverLink for Mine {
//!     type Subjects = Prefixed;
//!
//!     fn open(_config: &str) -> Result<Self, String> {
//!         Ok(Self(Linked::new(Prefixed("mine:".to_owned()), Broker::Redis, "{}".to_owned())))
//!     }
//!
//!     fn linked(&self) -> &Linked<Prefixed> {
//!         &self.0
//!     }
//! }
//!
//! jackfield_sdk::export_adapter!(Mine);
//! # fn main() {}
//! ```

use crate::host::links::{self, Broker, Outgoing};
use crate::host::{cluster, peers};
use crate::{Adapter, Envelope, Event, Message};

/// How topics are called at the broker.
pub trait Subjects {
    /// What this topic is called there. Two topics never have one name.
    fn subject(&self, topic: &str) -> String;

    /// The topic of this name; none if it is none of ours.
    fn topic(&self, subject: &str) -> Option<String>;
}

/// A prefix, and the topic as it is: `PREFIX1001/room`. For brokers that take any bytes.
#[derive(Debug)]
pub struct Prefixed(pub String);

impl Subjects for Prefixed {
    fn subject(&self, topic: &str) -> String {
        format!("{}{topic}", self.0)
    }

    fn topic(&self, subject: &str) -> Option<String> {
        subject.strip_prefix(&self.0).map(str::to_owned)
    }
}

/// A plugin that is an [`Adapter`] over one link.
pub trait OverLink: Sized + 'static {
    /// How topics are called.
    type Subjects: Subjects;

    /// Makes the plugin from its section of the host's configuration: [`Adapter::new`].
    ///
    /// # Errors
    ///
    /// A text for the operator that names the key that is wrong.
    fn open(config: &str) -> Result<Self, String>;

    /// The link.
    fn linked(&self) -> &Linked<Self::Subjects>;
}

/// One link, and how topics are called on it.
#[derive(Debug)]
pub struct Linked<S> {
    subjects: S,
    broker: Broker,
    options: String,
}

impl<P: OverLink> Adapter for P {
    fn new(config: &str) -> Result<Self, String> {
        P::open(config)
    }

    fn start(&mut self, _node: &str) -> Result<(), String> {
        let linked = self.linked();
        links::open(LINK, linked.broker, &linked.options)
    }

    fn publish(&mut self, batch: Vec<Envelope>) -> Result<(), String> {
        self.linked().publish(batch)
    }

    fn follow(&mut self, topics: &[String]) -> Result<(), String> {
        links::follow(LINK, &self.linked().named(topics))
    }

    fn unfollow(&mut self, topics: &[String]) {
        links::unfollow(LINK, &self.linked().named(topics));
    }

    fn receive(&mut self, _link: u32, events: Vec<Event>) {
        self.linked().receive(events);
    }
}

impl<S: Subjects> Linked<S> {
    /// A link to this broker with these options, an object in JSON. It is opened when the adapter starts.
    pub const fn new(subjects: S, broker: Broker, options: String) -> Self {
        Self {
            subjects,
            broker,
            options,
        }
    }

    fn publish(&self, batch: Vec<Envelope>) -> Result<(), String> {
        let outgoing = batch.into_iter().map(|envelope| Outgoing {
            subject: self.subjects.subject(&envelope.topic),
            payload: envelope.frame,
            ticket: envelope.ticket,
        });
        links::publish(LINK, &outgoing.collect::<Vec<_>>())
    }

    fn receive(&self, events: Vec<Event>) {
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

    struct Over(Linked<Prefixed>);

    impl OverLink for Over {
        type Subjects = Prefixed;

        fn open(config: &str) -> Result<Self, String> {
            let prefixed = Prefixed("p:".to_owned());
            Ok(Self(Linked::new(prefixed, Broker::Redis, config.to_owned())))
        }

        fn linked(&self) -> &Linked<Prefixed> {
            &self.0
        }
    }

    fn over() -> Over {
        Over::new("{}").expect("any text will do")
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn what_is_asked_goes_to_the_link() {
        let mut linked = over();
        linked.start("node-1").expect("the double opens it");
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
        over().receive(
            0,
            vec![
                Event::Up,
                Event::Following(texts(&["p:1/a", "q:1/b"])),
                message("p:1/a"),
                message("q:1/a"),
                Event::Confirmed(vec![7]),
                Event::Failed(vec![8]),
                Event::Lost(texts(&["p:1/a"])),
                Event::Down("away".to_owned()),
            ],
        );
        let told = double::take_cluster();
        assert_eq!(told.states, [Status::Up, Status::Degraded("away".to_owned())]);
        assert_eq!((told.following, told.confirmed), (texts(&["1/a"]), vec![7]));
        assert_eq!((told.failed, told.lost), (vec![8], texts(&["1/a"])));
        assert_eq!(told.delivered, [("1/a".to_owned(), b"x".to_vec())]);
    }
}
