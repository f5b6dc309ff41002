//! The one instance of an adapter: its calls, its end, and its next start.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jackfield_files::cleaned;
use jackfield_hub::doors::{AdapterNews, DoorError, Envelope, Traffic};
use jackfield_links::broker::LinkEvent;
use wasmtime::Store;

use super::Bus;
use super::queue::Batch;
use crate::bindings::hot::exports::jackfield::adapter::bus;
use crate::bindings::hot::jackfield::adapter::arrivals;
use crate::context::{Context, Delivered, Told, begin_call};
use crate::links::Links;
use crate::plugin::{ADAPTER, Live};
use crate::pool::SharedPool;
use crate::slot::Slot;

pub(super) struct Running {
    slot: Arc<Slot<Bus>>,
    /// This instance's name in the cluster.
    node: String,
    /// They outlive every instance.
    links: Arc<Links>,
    live: Option<(SharedPool<Bus>, Live<Bus>)>,
    /// When to try again after a failure, and how long the pause was.
    pause: Option<(Instant, Duration)>,
}

impl Running {
    pub(super) fn new(slot: Arc<Slot<Bus>>, node: String, links: Arc<Links>) -> Self {
        Self {
            slot,
            node,
            links,
            live: None,
            pause: None,
        }
    }

    /// Starts the plugin if there is one that does not run, unless a failure is too recent; or the version that has taken the place of
    /// the one that runs.
    pub(super) fn ensure_started(&mut self, traffic: &dyn Traffic) {
        if let Some((pool, _)) = &self.live {
            if !self.slot.is_live(pool) {
                self.replace(traffic);
            }
            return;
        }
        if self.pause.is_some_and(|(until, _)| Instant::now() < until) {
            return;
        }
        if let Err(error) = self.start(traffic) {
            self.fail(&error, traffic);
        }
    }

    /// The new version finds the links as they are, and is asked again for all that is followed; what is in flight is told to it.
    fn replace(&mut self, traffic: &dyn Traffic) {
        let Ok(next) = self.slot.live() else { return };
        if next.plugin.identity.unfit.get().is_some() {
            return;
        }
        let old = self.live.take();
        match self.start(traffic) {
            Ok(()) => end(old),
            // The reloader takes it back; the old one serves on.
            Err(error) => {
                self.live = old;
                next.plugin.identity.unfit.get_or_init(|| error.to_string());
            }
        }
    }

    fn start(&mut self, traffic: &dyn Traffic) -> Result<(), DoorError> {
        let (pool, node) = (self.slot.live()?, self.node.clone());
        pool.plugin.admit()?;
        let mut live = match pool.take_first() {
            Some(live) => live,
            None => pool.plugin.make()?,
        };
        live.store.data_mut().links = Some(Arc::clone(&self.links));
        self.live = Some((pool, live));
        self.call(traffic, |door, store| door.guest.call_start(store, &node))
    }

    pub(super) fn work(&mut self, batch: Batch, traffic: &dyn Traffic) {
        let ran = self.live.is_some();
        let outcome = match &batch {
            Batch::Publish(envelopes) => self.publish(envelopes, traffic),
            Batch::Follow(topics) => {
                let lent: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
                self.call(traffic, |door, store| door.guest.call_follow(store, &lent))
            }
            Batch::Unfollow(topics) => {
                let lent: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
                self.call(traffic, |door, store| door.guest.call_unfollow(store, &lent).map(Ok))
            }
            Batch::Arrived(link, events) => {
                let runs = gather(events);
                let lent: Vec<_> = runs.iter().map(lend).collect();
                self.call(traffic, |door, store| match &door.inbox {
                    Some(inbox) => inbox.call_receive(store, *link, &lent).map(Ok),
                    None => Ok(Err(NO_INBOX.to_owned())),
                })
            }
        };
        let Err(error) = outcome else { return };
        if let Batch::Publish(envelopes) = batch {
            let tickets: Vec<u64> = envelopes.iter().filter_map(|envelope| envelope.ticket).collect();
            traffic.tell(AdapterNews::Failed(tickets, error.clone()));
        }
        // What met nothing that runs says nothing new, and must not lengthen the pause.
        if ran && self.live.is_none() {
            self.fail(&error, traffic);
        }
    }

    fn publish(&mut self, envelopes: &[Envelope], traffic: &dyn Traffic) -> Result<(), DoorError> {
        let lent = envelopes.iter().map(|e| bus::Envelope {
            topic: &e.topic,
            frame: &e.frame,
            ticket: e.ticket,
        });
        let lent: Vec<_> = lent.collect();
        self.call(traffic, |door, store| door.guest.call_publish(store, &lent))
    }

    /// One guest call. What the guest told takes effect afterwards, and not at all if it trapped; then it is dropped.
    fn call(
        &mut self,
        traffic: &dyn Traffic,
        call: impl FnOnce(&Bus, &mut Store<Context>) -> wasmtime::Result<Result<(), String>>,
    ) -> Result<(), DoorError> {
        let Some((pool, live)) = &mut self.live else {
            let reason = "is not running; it will be started again".to_owned();
            return Err(DoorError::Failed {
                door: ADAPTER,
                plugin: self.slot.name.clone(),
                reason,
            });
        };
        let begun = begin_call(&mut live.store);
        let outcome = call(&live.door, &mut live.store);
        pool.plugin.identity.figures.end(begun);
        match outcome {
            Ok(answer) => {
                let told = std::mem::take(&mut live.store.data_mut().told);
                count(&told, &pool.plugin.identity.delivered);
                pass_on(told, traffic, |reason| pool.plugin.failed(reason));
                pool.plugin.did_well();
                if answer.is_ok() {
                    self.pause = None;
                }
                answer.map_err(|reason| pool.plugin.failed(format!("answered: {}", cleaned(&reason))))
            }
            Err(trap) => {
                let error = pool.plugin.trapped(live.store.data().failure(), &trap);
                let discard = &Arc::clone(&pool.plugin.host).discard;
                discard.take(self.live.take());
                Err(error)
            }
        }
    }

    /// Degraded from now on; the next try comes after a pause that doubles.
    fn fail(&mut self, error: &DoorError, traffic: &dyn Traffic) {
        self.live = None;
        let pause = self
            .pause
            .map_or(FIRST_PAUSE, |(_, last)| (last * 2).min(LONGEST_PAUSE));
        self.pause = Some((Instant::now() + pause, pause));
        traffic.tell(AdapterNews::State(Some(error.to_string())));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(self.live.take());
    }
}

/// An instance's last call. Nobody listens any more to what it tells.
fn end(instance: Option<(SharedPool<Bus>, Live<Bus>)>) {
    let Some((pool, mut live)) = instance else { return };
    begin_call(&mut live.store);
    if let Err(trap) = live.door.guest.call_stop(&mut live.store) {
        pool.plugin.trapped(live.store.data().failure(), &trap);
    }
}

/// Events of one kind that stand together; tickets and subjects are told together.
enum Run<'a> {
    Alone(&'a LinkEvent),
    Confirmed(Vec<u64>),
    Failed(Vec<u64>),
    Following(Vec<&'a str>),
    Lost(Vec<&'a str>),
}

fn gather(events: &[LinkEvent]) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::with_capacity(events.len());
    for event in events {
        match (event, runs.last_mut()) {
            (LinkEvent::Confirmed(ticket), Some(Run::Confirmed(tickets)))
            | (LinkEvent::Failed(ticket), Some(Run::Failed(tickets))) => tickets.push(*ticket),
            (LinkEvent::Following(subject), Some(Run::Following(subjects)))
            | (LinkEvent::Lost(subject), Some(Run::Lost(subjects))) => subjects.push(subject),
            (LinkEvent::Confirmed(ticket), _) => runs.push(Run::Confirmed(vec![*ticket])),
            (LinkEvent::Failed(ticket), _) => runs.push(Run::Failed(vec![*ticket])),
            (LinkEvent::Following(subject), _) => runs.push(Run::Following(vec![subject])),
            (LinkEvent::Lost(subject), _) => runs.push(Run::Lost(vec![subject])),
            (event, _) => runs.push(Run::Alone(event)),
        }
    }
    runs
}

fn lend<'a>(run: &'a Run<'_>) -> arrivals::Event<'a> {
    match run {
        Run::Confirmed(tickets) => arrivals::Event::Confirmed(tickets),
        Run::Failed(tickets) => arrivals::Event::Failed(tickets),
        Run::Following(subjects) => arrivals::Event::Following(subjects),
        Run::Lost(subjects) => arrivals::Event::Lost(subjects),
        Run::Alone(LinkEvent::Message { subject, payload }) => {
            arrivals::Event::Message(arrivals::Message { subject, payload })
        }
        Run::Alone(LinkEvent::Down(reason)) => arrivals::Event::Down(reason),
        Run::Alone(_) => arrivals::Event::Up,
    }
}

/// Of its channels an instance hears what it has subscribers of; the rest is the cluster's own talk.
fn count(told: &[Told], delivered: &Delivered) {
    for told in told {
        if let Told::Delivered(messages) = told {
            let own = messages.iter().filter(|(topic, _)| topic.starts_with('/')).count() as u64;
            delivered.cluster.fetch_add(own, Ordering::Relaxed);
            delivered
                .channels
                .fetch_add(messages.len() as u64 - own, Ordering::Relaxed);
        }
    }
}

fn pass_on(told: Vec<Told>, traffic: &dyn Traffic, failed: impl Fn(String) -> DoorError) {
    for told in told {
        traffic.tell(match told {
            Told::Confirmed(tickets) => AdapterNews::Confirmed(tickets),
            Told::Failed(tickets) => AdapterNews::Failed(tickets, failed("could not send it".to_owned())),
            Told::Following(topics) => AdapterNews::Following(topics),
            Told::Lost(topics) => AdapterNews::Lost(topics),
            Told::Delivered(messages) => AdapterNews::Received(messages),
            Told::State(degraded) => AdapterNews::State(degraded),
        });
    }
}

const NO_INBOX: &str = "it opened a link, but does not export jackfield:adapter/inbox, where its news would go";

/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
