//! The adapter door: one instance, fed in batches by whichever thread finds it free.
//!
//! Requests queue in order; `drive` takes the instance if nobody has it and works off what has gathered, so a lone
//! publish costs one call on its own thread and a rush of them shares calls. A trap drops the instance: the batch fails, the
//! state is degraded, and after a pause a fresh one starts and follows again what was followed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jackfield_hub::Topic;
use jackfield_hub::doors::{Adapter, AdapterRequest, DoorError, Envelope, Traffic};
use parking_lot::Mutex;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::hot::exports::jackfield::adapter::bus;
use crate::context::{Context, Told, begin_call};
use crate::imports::cleaned;
use crate::io::Never;
use crate::plugin::{ADAPTER, Door, FoundDoor, Live};
use crate::pool::SharedPool;
use crate::slot::Slot;

/// The guest's functions.
pub(crate) struct Bus {
    guest: bus::Guest,
}

/// The door.
pub(crate) struct AdapterDoor {
    slot: Arc<Slot<Bus>>,
    queue: Mutex<VecDeque<AdapterRequest>>,
    /// Taken with `try_lock` alone: who does not get it leaves the work to who has it.
    running: Mutex<Running>,
}

struct Running {
    slot: Arc<Slot<Bus>>,
    /// This instance's name in the cluster.
    node: String,
    live: Option<(SharedPool<Bus>, Live<Bus>)>,
    followed: BTreeSet<Topic>,
    /// When to try again after a failure, and how long the pause was.
    pause: Option<(Instant, Duration)>,
}

/// Requests of one kind that go to the guest in one call.
enum Batch {
    Publish(Vec<Envelope>),
    Follow(Vec<Topic>),
    Unfollow(Vec<Topic>),
}

impl AdapterDoor {
    pub(crate) fn new(slot: Arc<Slot<Bus>>, node: String) -> Self {
        let running = Running {
            slot: Arc::clone(&slot),
            node,
            live: None,
            followed: BTreeSet::new(),
            pause: None,
        };
        Self {
            slot,
            queue: Mutex::default(),
            running: Mutex::new(running),
        }
    }
}

impl Adapter for AdapterDoor {
    fn submit(&self, request: AdapterRequest) -> Result<(), DoorError> {
        self.slot.live()?;
        let mut queue = self.queue.lock();
        if queue.len() >= QUEUE {
            let (plugin, reason) = (self.slot.name.clone(), "lags behind: its queue is full".to_owned());
            return Err(DoorError::Failed {
                door: ADAPTER,
                plugin,
                reason,
            });
        }
        queue.push_back(request);
        Ok(())
    }

    fn drive(&self, traffic: &dyn Traffic) {
        loop {
            let Some(mut running) = self.running.try_lock() else {
                return;
            };
            running.ensure_started(traffic);
            while let Some(batch) = self.next_batch() {
                running.work(batch, traffic);
            }
            drop(running);
            // Whoever queued since the last look found the instance taken and went away.
            if self.queue.lock().is_empty() {
                return;
            }
        }
    }
}

impl AdapterDoor {
    /// Takes requests off the queue as long as they are of one kind.
    fn next_batch(&self) -> Option<Batch> {
        let mut queue = self.queue.lock();
        let mut batch = match queue.pop_front()? {
            AdapterRequest::Publish(envelope) => Batch::Publish(vec![envelope]),
            AdapterRequest::Follow(topic) => Batch::Follow(vec![topic]),
            AdapterRequest::Unfollow(topic) => Batch::Unfollow(vec![topic]),
        };
        for _ in 1..BATCH {
            match (&mut batch, queue.pop_front()) {
                (Batch::Publish(envelopes), Some(AdapterRequest::Publish(envelope))) => envelopes.push(envelope),
                (Batch::Follow(topics), Some(AdapterRequest::Follow(topic)))
                | (Batch::Unfollow(topics), Some(AdapterRequest::Unfollow(topic))) => topics.push(topic),
                (_, Some(other)) => {
                    queue.push_front(other);
                    break;
                }
                (_, None) => break,
            }
        }
        Some(batch)
    }
}

impl Running {
    /// Starts the plugin if there is one that does not run, unless a failure is too recent.
    fn ensure_started(&mut self, traffic: &dyn Traffic) {
        if self.live.is_some() || self.pause.is_some_and(|(until, _)| Instant::now() < until) {
            return;
        }
        if let Err(error) = self.start(traffic) {
            self.fail(&error, traffic);
        }
    }

    fn start(&mut self, traffic: &dyn Traffic) -> Result<(), DoorError> {
        let (pool, node) = (self.slot.live()?, self.node.clone());
        pool.plugin.admit()?;
        let live = match pool.take_first() {
            Some(live) => live,
            None => pool.plugin.make()?,
        };
        self.live = Some((pool, live));
        self.call(traffic, |guest, store| guest.call_start(store, &node))?;
        let followed: Vec<Topic> = self.followed.iter().cloned().collect();
        for topics in followed.chunks(BATCH) {
            self.follow(topics, traffic)?;
        }
        Ok(())
    }

    fn work(&mut self, batch: Batch, traffic: &dyn Traffic) {
        let ran = self.live.is_some();
        let outcome = match &batch {
            Batch::Publish(envelopes) => self.publish(envelopes, traffic),
            Batch::Follow(topics) => {
                self.followed.extend(topics.iter().cloned());
                self.follow(topics, traffic)
            }
            Batch::Unfollow(topics) => self.unfollow(topics, traffic),
        };
        let Err(error) = outcome else { return };
        if let Batch::Publish(envelopes) = batch {
            let tickets: Vec<u64> = envelopes.iter().map(|envelope| envelope.ticket).collect();
            traffic.failed(&tickets, &error);
        }
        // What met nothing that runs says nothing new, and must not lengthen the pause.
        if ran && self.live.is_none() {
            self.fail(&error, traffic);
        }
    }

    fn publish(&mut self, envelopes: &[Envelope], traffic: &dyn Traffic) -> Result<(), DoorError> {
        let lent = envelopes.iter().map(|e| bus::Envelope {
            topic: e.topic.as_str(),
            frame: &e.frame,
            ticket: e.ticket,
        });
        let lent: Vec<_> = lent.collect();
        self.call(traffic, |guest, store| guest.call_publish(store, &lent))
    }

    fn follow(&mut self, topics: &[Topic], traffic: &dyn Traffic) -> Result<(), DoorError> {
        let lent: Vec<&str> = topics.iter().map(Topic::as_str).collect();
        self.call(traffic, |guest, store| guest.call_follow(store, &lent))
    }

    fn unfollow(&mut self, topics: &[Topic], traffic: &dyn Traffic) -> Result<(), DoorError> {
        for topic in topics {
            self.followed.remove(topic);
        }
        let lent: Vec<&str> = topics.iter().map(Topic::as_str).collect();
        self.call(traffic, |guest, store| guest.call_unfollow(store, &lent).map(Ok))
    }

    /// One guest call. What the guest told takes effect afterwards, and not at all if it trapped; then it is dropped.
    fn call(
        &mut self,
        traffic: &dyn Traffic,
        call: impl FnOnce(&bus::Guest, &mut Store<Context>) -> wasmtime::Result<Result<(), String>>,
    ) -> Result<(), DoorError> {
        let Some((pool, live)) = &mut self.live else {
            let reason = "is not running; it will be started again".to_owned();
            return Err(DoorError::Failed {
                door: ADAPTER,
                plugin: self.slot.name.clone(),
                reason,
            });
        };
        begin_call(&mut live.store);
        let outcome = call(&live.door.guest, &mut live.store);
        match outcome {
            Ok(answer) => {
                let told = std::mem::take(&mut live.store.data_mut().told);
                pass_on(told, traffic);
                pool.plugin.did_well();
                if answer.is_ok() {
                    self.pause = None;
                }
                answer.map_err(|reason| pool.plugin.failed(format!("answered: {}", cleaned(&reason))))
            }
            Err(trap) => {
                let error = pool.plugin.trapped(&trap);
                self.live = None;
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
        traffic.state(Some(error.to_string()));
    }
}

impl Drop for AdapterDoor {
    /// The adapter's last call. Nobody listens any more to what it tells.
    fn drop(&mut self) {
        let Some((pool, live)) = &mut self.running.get_mut().live else {
            return;
        };
        begin_call(&mut live.store);
        if let Err(trap) = live.door.guest.call_stop(&mut live.store) {
            pool.plugin.trapped(&trap);
        }
    }
}

impl Door for Bus {
    const NAME: &'static str = ADAPTER;
    const INTERFACES: &'static [&'static str] = &["jackfield:adapter/bus"];
    type Waiting = Never;
    const MAY_WAIT: bool = false;

    fn find(pre: &InstancePre<Context>) -> wasmtime::Result<impl FoundDoor<Self>> {
        bus::GuestIndices::new(pre)
    }
}

impl FoundDoor<Bus> for bus::GuestIndices {
    fn bind(&self, store: &mut Store<Context>, instance: &Instance) -> wasmtime::Result<Bus> {
        Ok(Bus {
            guest: self.load(store, instance)?,
        })
    }
}

fn pass_on(told: Vec<Told>, traffic: &dyn Traffic) {
    for told in told {
        match told {
            Told::Confirmed(tickets) => traffic.confirmed(&tickets),
            Told::Following(topics) => traffic.following(&topics),
            Told::State(degraded) => traffic.state(degraded),
        }
    }
}

/// Requests that may wait for the adapter before publishers are refused.
const QUEUE: usize = 65_536;

/// Requests that go to the guest in one call, as `wit/deps/adapter` promises.
const BATCH: usize = 1_024;

/// The first pause after a failure, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
