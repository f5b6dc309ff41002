//! The cluster at work: what stands around its state machine, a queue in front of it, the adapters behind it, and the time.
//!
//! Whoever has put something into the queue works it off, unless another thread is at it already: so a lone publish costs no
//! hand-over, and a rush of them shares calls of the adapter. What the cluster wants done is done at once and in order, before
//! it hears of the next thing.

#![warn(missing_docs)]

mod buses;
mod effects;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jackfield_cluster::{BusId, Cluster, Effect, Event, Micros, Publication, Setup, Stats, Topic, User};
use jackfield_hub::Topic as ChannelTopic;
use jackfield_hub::cluster::{self as hub, Elsewhere, Listener, News, Present, Told};
use jackfield_hub::doors::{AdapterNews, DoorError};
use parking_lot::Mutex;

use buses::NOT_STARTED;
pub use buses::{Bus, BusReport, TooMany};

/// The cluster for a hub, over an adapter, or over several.
pub struct Driver {
    /// Taken with `try_lock` by those who drive: who does not get it leaves the work to who has it.
    core: Mutex<Core>,
    queue: Mutex<VecDeque<Item>>,
    /// Somebody wanted to drive since the core was last taken.
    called: AtomicBool,
    /// Those that are attached; read with each publish, and changed by whoever has the core.
    buses: ArcSwap<Vec<(BusId, Arc<Bus>)>>,
    wanted: Mutex<Arc<Bus>>,
    on_news: OnceLock<Arc<dyn Fn() + Send + Sync>>,
    clock: Box<dyn Fn() -> Micros + Send + Sync>,
    /// When there is something to do even if nothing happens, and what wakes those who sleep until then.
    wake: AtomicU64,
    wake_up: OnceLock<Box<dyn Fn() + Send + Sync>>,
    gone: AtomicBool,
}

struct Core {
    cluster: Cluster,
    /// When the round began in which this is worked on: reading the clock costs as much as many an event.
    now: Micros,
    /// Goes back and forth with the queue: no allocation in the long run.
    items: VecDeque<Item>,
    /// Empty between two events.
    effects: Vec<Effect>,
    /// Why adapters cannot reach their brokers. Those that can are not in it.
    down: BTreeMap<BusId, String>,
    /// What an adapter said when it could not send something.
    failure: Option<String>,
    /// Another node uses this one's name.
    refused: Option<String>,
    /// This node's name, and those of nodes that serve other apps.
    name: String,
    neighbours: Vec<Arc<str>>,
}

/// What waits to be told.
enum Item {
    News(News),
    Adapter(Arc<Bus>, AdapterNews),
    GoOver(Arc<Bus>),
    Leave,
}

impl Driver {
    /// A node over this adapter. The clock gives microseconds and never goes back.
    pub fn new(setup: &Setup, first: Arc<Bus>, clock: impl Fn() -> Micros + Send + Sync + 'static) -> Arc<Self> {
        let mut core = Core {
            cluster: Cluster::new(setup),
            now: clock(),
            items: VecDeque::new(),
            effects: Vec::new(),
            down: BTreeMap::from([(FIRST, NOT_STARTED.to_owned())]),
            failure: None,
            refused: None,
            name: setup.name.clone(),
            neighbours: Vec::new(),
        };
        let (now, cluster, effects) = (core.now, &mut core.cluster, &mut core.effects);
        cluster.handle(Event::Attach(FIRST, first.adapter.reach()), now, effects);
        // Hubs hear each other's commands as long as they live.
        cluster.handle(Event::Occupied(&Topic::new(COMMANDS), 0), now, effects);
        Arc::new(Self {
            core: Mutex::new(core),
            queue: Mutex::default(),
            called: AtomicBool::new(false),
            wanted: Mutex::new(Arc::clone(&first)),
            buses: ArcSwap::from_pointee(vec![(FIRST, first)]),
            on_news: OnceLock::new(),
            clock: Box::new(clock),
            wake: AtomicU64::new(0),
            wake_up: OnceLock::new(),
            gone: AtomicBool::new(false),
        })
    }

    /// What to call, perhaps within [`Cluster::drive`](hub::Cluster::drive), when somebody is to drive soon who has nothing else to
    /// do: more waits than one thread should work off, or something is due earlier than it was. Told once.
    pub fn on_due(&self, wake_up: impl Fn() + Send + Sync + 'static) {
        // There is one hub for the life of a cluster.
        let _ = self.wake_up.set(Box::new(wake_up));
    }

    /// How long nothing is due, if nothing happens.
    pub fn idle(&self) -> Duration {
        let wait = self.wake.load(Ordering::Relaxed).saturating_sub((self.clock)());
        Duration::from_micros(wait)
    }

    /// Tells the others that this node is about to end; its sockets are closed.
    pub fn leave(&self) {
        self.queue.lock().push_back(Item::Leave);
        self.ring();
    }

    /// Other apps are served here now: see [`Setup::apps`].
    pub fn serve(&self, apps: u64) {
        self.core.lock().cluster.serve(apps);
    }

    /// Why this node must not run: another one uses its name and goes on doing so.
    pub fn refused(&self) -> Option<String> {
        self.core.lock().refused.clone()
    }

    /// Whether the others have been told.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// What was counted.
    pub fn stats(&self) -> Stats {
        self.core.lock().cluster.stats().clone()
    }

    /// How many other instances are alive, as far as this one knows.
    pub fn peers(&self) -> usize {
        self.core.lock().cluster.peers().count()
    }

    /// How many of them serve other apps than this one.
    pub fn neighbours(&self) -> usize {
        self.core.lock().neighbours.len()
    }

    fn ring(&self) {
        if let Some(wake_up) = self.wake_up.get() {
            wake_up();
        }
    }

    fn push(&self, item: Item) {
        self.queue.lock().push_back(item);
    }

    fn work(&self, core: &mut Core, hub: &dyn Listener) {
        for _ in 0..ROUNDS {
            core.now = (self.clock)();
            let mut idle = true;
            let mut items = std::mem::take(&mut core.items);
            std::mem::swap(&mut *self.queue.lock(), &mut items);
            for item in items.drain(..) {
                idle = false;
                self.tell(core, item, hub);
            }
            core.items = items;
            if core.cluster.wake() <= core.now {
                idle = false;
                self.handle(core, Event::Wake, hub);
            }
            self.drive_adapters();
            if idle && self.queue.lock().is_empty() {
                break;
            }
        }
        let wake = core.cluster.wake();
        if wake < self.wake.swap(wake, Ordering::Relaxed) {
            self.ring();
        }
    }

    fn handle(&self, core: &mut Core, event: Event<'_>, hub: &dyn Listener) {
        let mut effects = std::mem::take(&mut core.effects);
        core.cluster.handle(event, core.now, &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(core, effect, hub);
        }
        core.effects = effects;
    }

    fn tell(&self, core: &mut Core, item: Item, hub: &dyn Listener) {
        match item {
            Item::News(news) => self.tell_news(core, news, hub),
            Item::Adapter(bus, news) => {
                if let Some(id) = self.id_of(&bus) {
                    self.tell_adapters(core, id, news, hub);
                }
            }
            Item::GoOver(bus) => self.tell_go_over(core, bus, hub),
            Item::Leave => self.handle(core, Event::Leave, hub),
        }
    }

    fn tell_adapters(&self, core: &mut Core, bus: BusId, news: AdapterNews, hub: &dyn Listener) {
        match news {
            AdapterNews::Confirmed(tickets) => {
                for ticket in tickets {
                    self.handle(core, Event::Confirmed(bus, ticket), hub);
                }
            }
            AdapterNews::Failed(tickets, why) => {
                core.failure = Some(why.to_string());
                for ticket in tickets {
                    self.handle(core, Event::Failed(bus, ticket), hub);
                }
                core.failure = None;
            }
            AdapterNews::Following(topics) => {
                for topic in topics {
                    self.handle(core, Event::Following(bus, &topic), hub);
                }
            }
            AdapterNews::Lost(topics) => {
                for topic in topics {
                    self.handle(core, Event::Lost(bus, &topic), hub);
                }
            }
            AdapterNews::Received(messages) => {
                for (topic, bytes) in messages {
                    let topic = &topic;
                    self.handle(core, Event::Message { bus, topic, bytes }, hub);
                }
            }
            AdapterNews::State(None) => {
                core.down.remove(&bus);
                self.handle(core, Event::LinkUp(bus), hub);
            }
            AdapterNews::State(Some(reason)) => {
                core.down.insert(bus, reason);
                self.handle(core, Event::LinkDown(bus), hub);
            }
        }
    }

    fn tell_news(&self, core: &mut Core, news: News, hub: &dyn Listener) {
        match news {
            News::Publish(event, ticket) => {
                let publication = Publication {
                    topic: shared(&event.topic),
                    frame: event.frame,
                    flags: if event.kept { KEPT } else { 0 },
                    except: event.except.map(|id| u64::from(id.high) << 32 | u64::from(id.low)),
                    ticket,
                };
                self.handle(core, Event::Publish(publication), hub);
            }
            News::Command(frame) => {
                let publication = Publication {
                    topic: Topic::new(COMMANDS),
                    frame,
                    flags: 0,
                    except: None,
                    ticket: None,
                };
                self.handle(core, Event::Publish(publication), hub);
            }
            News::Occupied(topic, number) => self.handle(core, Event::Occupied(&shared(&topic), number), hub),
            News::Vacated(topic) => self.handle(core, Event::Vacated(&shared(&topic)), hub),
            News::Counted(topic, count) => self.handle(core, Event::Counted(&shared(&topic), count), hub),
            News::Joined(topic, Present { user, info }) => {
                self.handle(core, Event::Joined(&shared(&topic), &user, info), hub);
            }
            News::Left(topic, user) => self.handle(core, Event::Left(&shared(&topic), &user), hub),
            News::SignedIn(who) => {
                self.handle(core, Event::Joined(&Topic::from(who.app), &who.user, Bytes::new()), hub);
            }
            News::SignedOut(who) => self.handle(core, Event::Left(&Topic::from(who.app), &who.user), hub),
            News::Watch(watch) => {
                let app = Topic::from(Arc::clone(&watch.app));
                let online: Vec<bool> = watch
                    .list
                    .iter()
                    .map(|user| core.cluster.has_member(&app, user))
                    .collect();
                hub.hear(Told::Watching(watch, online));
            }
            News::Unwatch(watch) => hub.hear(Told::Unwatch(watch)),
        }
    }
}

impl hub::Cluster for Driver {
    fn submit(&self, news: News) -> Result<(), DoorError> {
        let refusable = matches!(news, News::Publish(..) | News::Occupied(..) | News::Command(_));
        if refusable {
            self.check()?;
        }
        let mut queue = self.queue.lock();
        if refusable && queue.len() >= QUEUE {
            return Err(DoorError::Busy { door: "adapter" });
        }
        queue.push_back(Item::News(news));
        Ok(())
    }

    fn drive(&self, hub: &dyn Listener) {
        self.called.store(true, Ordering::SeqCst);
        for _ in 0..TURNS {
            let Some(mut core) = self.core.try_lock() else {
                return;
            };
            self.called.store(false, Ordering::SeqCst);
            self.work(&mut core, hub);
            drop(core);
            // Whoever called since then, with something for the cluster or for the adapter, found the core taken and went away.
            if !self.called.load(Ordering::SeqCst) && self.queue.lock().is_empty() {
                return;
            }
        }
        self.ring();
    }

    fn elsewhere(&self, topic: &ChannelTopic) -> Elsewhere {
        let (core, topic) = (self.core.lock(), shared(topic));
        Elsewhere {
            subscribers: core.cluster.count_elsewhere(&topic),
            members: members(&core.cluster, &topic),
        }
    }

    fn channels_elsewhere(&self, app: &str) -> Vec<(String, u64)> {
        let core = self.core.lock();
        let of_app = |topic: &&Topic| {
            let rest = topic.as_str().strip_prefix(app);
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let counted = |topic: &Topic| {
            let count = core.cluster.count_elsewhere(topic);
            (count > 0).then(|| (topic.as_str().to_owned(), count))
        };
        core.cluster.occupied().filter(of_app).filter_map(counted).collect()
    }
}

/// A channel's topic as the cluster knows it: the same text.
fn shared(topic: &ChannelTopic) -> Topic {
    Topic::from(Arc::clone(topic.text()))
}

fn members(cluster: &Cluster, topic: &Topic) -> Vec<Present> {
    let present = |(user, info): (User, Bytes)| Present { user, info };
    cluster.members(topic).into_iter().map(present).collect()
}

/// The place of the adapter with which the program starts.
const FIRST: BusId = BusId(0);

/// The topic by which hubs tell each other; every hub follows it. No app's id begins with a slash.
const COMMANDS: &str = "/commands";

/// A bit of a publish's flags: a cache channel is to keep it.
const KEPT: u8 = 1;

/// What may wait for the cluster before publishers are refused.
const QUEUE: usize = 65_536;

/// So often a thread does what others came for, before it lets a waiting one of the background do so.
const TURNS: usize = 4;

/// So often a thread that has come with something of its own looks for more; then another one goes on.
const ROUNDS: usize = 64;
