//! The links of one adapter: opened by the guest, kept by the host, in place for the next instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use jackfield_files::Secrets;
use jackfield_links::broker::{self, Link, LinkEvent, Outgoing};
use parking_lot::Mutex;
use wasmtime::Result;

use crate::adapter::Inbox;
use crate::bindings::hot::jackfield::host::{links, peers};
use crate::context::{Context, Told};

/// All of them.
pub(crate) struct Links {
    open: Mutex<BTreeMap<u32, Opened>>,
    inbox: Arc<Inbox>,
    secrets: Secrets,
}

struct Opened {
    broker: links::Broker,
    /// As the guest gave them.
    options: String,
    link: Arc<dyn Link>,
}

impl Links {
    pub(crate) fn new(inbox: Arc<Inbox>, secrets: Secrets) -> Self {
        Self {
            open: Mutex::default(),
            inbox,
            secrets,
        }
    }

    fn open(&self, number: u32, broker: links::Broker, options: String) -> std::result::Result<(), String> {
        if number >= LINKS {
            return Err(format!("links have numbers below {LINKS}"));
        }
        let mut open = self.open.lock();
        if let Some(opened) = open.get(&number)
            && opened.broker == broker
            && opened.options == options
        {
            let up = opened.link.stats().up;
            drop(open);
            if up {
                self.inbox.repeat(number, LinkEvent::Up);
            }
            return Ok(());
        }
        open.remove(&number);
        let link = self.connect(number, broker, &self.secrets.reveal(&options))?;
        open.insert(number, Opened { broker, options, link });
        Ok(())
    }

    fn connect(&self, number: u32, broker: links::Broker, options: &str) -> std::result::Result<Arc<dyn Link>, String> {
        let inbox = Arc::clone(&self.inbox);
        let receiver = move |mut events: Vec<LinkEvent>| {
            events.retain(|event| !matches!(event, LinkEvent::Confirmed(UNASKED) | LinkEvent::Failed(UNASKED)));
            inbox.arrive(number, events);
        };
        match broker {
            links::Broker::Redis => broker::open_redis(&read(options)?, receiver),
            links::Broker::RedisCluster => broker::open_redis_cluster(&read(options)?, receiver),
            links::Broker::Nats => broker::open_nats(&read(options)?, receiver),
        }
    }

    fn link(&self, number: u32) -> std::result::Result<Arc<dyn Link>, String> {
        let open = self.open.lock();
        let opened = open.get(&number);
        let opened = opened.ok_or_else(|| format!("link {number} is not open"))?;
        Ok(Arc::clone(&opened.link))
    }
}

/// The message names the key, and no value: values may be secrets.
fn read<O: serde::de::DeserializeOwned>(options: &str) -> std::result::Result<O, String> {
    serde_json::from_str(options).map_err(|error| format!("the link's options: {error}"))
}

impl links::Host for Context {
    fn open(&mut self, link: u32, broker: links::Broker, options: String) -> Result<std::result::Result<(), String>> {
        let opened = self.links()?.open(link, broker, options);
        self.budget.look_anew();
        Ok(opened)
    }

    fn publish(&mut self, link: u32, batch: Vec<links::Outgoing>) -> Result<std::result::Result<(), String>> {
        let link = match self.links()?.link(link) {
            Ok(link) => link,
            Err(error) => return Ok(Err(error)),
        };
        let batch = batch.into_iter().map(|one| Outgoing {
            subject: one.subject,
            payload: one.payload.into(),
            ticket: one.ticket.unwrap_or(UNASKED),
        });
        Ok(link.publish(batch.collect()).map_err(|error| error.to_string()))
    }

    fn follow(&mut self, link: u32, subjects: Vec<String>) -> Result<std::result::Result<(), String>> {
        let link = self.links()?.link(link);
        Ok(link.and_then(|link| link.follow(subjects).map_err(|error| error.to_string())))
    }

    fn unfollow(&mut self, link: u32, subjects: Vec<String>) -> Result<()> {
        if let Ok(link) = self.links()?.link(link) {
            link.unfollow(subjects);
        }
        Ok(())
    }
}

impl peers::Host for Context {
    fn deliver(&mut self, messages: Vec<peers::Message>) -> Result<()> {
        let messages = messages.into_iter().map(|one| (one.topic, one.frame.into()));
        self.tell(Told::Delivered(messages.collect()))
    }

    fn failed(&mut self, tickets: Vec<u64>) -> Result<()> {
        self.tell(Told::Failed(tickets))
    }

    fn lost(&mut self, topics: Vec<String>) -> Result<()> {
        self.tell(Told::Lost(topics))
    }
}

impl Context {
    fn links(&self) -> Result<&Links> {
        // An instance is given its links before its first call; `init` comes before that.
        let links = self.links.as_deref();
        links.ok_or_else(|| wasmtime::format_err!("links can be used from `start` on, not in `init`"))
    }
}

/// The ticket of what nobody wants to know about. Tickets count from 1.
const UNASKED: u64 = u64::MAX;

/// Links of one adapter: one for each broker that it bridges, at most.
const LINKS: u32 = 4;
