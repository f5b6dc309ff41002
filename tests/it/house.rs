//! A hub, its shards and the cluster together, over an adapter that does what the test says.

mod allocations;
mod channels;
mod large;
mod members;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use jackfield_hub::doors::{
    Adapter, AdapterNews, AdapterRequest, Answer, Authorizer, Claim, Client, Decision, DoorError, Limiter, Notice,
    NoticeQueue, Permission, Question, Reach, Traffic, Verdict,
};
use jackfield_hub::{
    App, Apps, Endpoint, Event, Gate, Grant, Hub, JoinError, Joined, Late, OutboxLimits, Pass, Policy, PublishError,
    Secret, Shard, ShardHandle, Subscribe, Toll, Topic,
};
use jackfield_protocol::names::{ChannelKind, ChannelName, SocketId};
use jackfield_protocol::pusher::{frames, session::Member};
use jackfield_protocol::websocket;
use parking_lot::Mutex;

use jackfield_cluster::Setup;
use jackfield_driver::{Bus, Driver};

/// Confirms everything, or nothing while `silent`; keeps what it was asked.
#[derive(Default)]
struct Line {
    silent: AtomicBool,
    /// What is to be told of it next.
    state: Mutex<Option<Option<String>>>,
    queue: Mutex<Vec<AdapterRequest>>,
    asked: Mutex<Vec<String>>,
}

impl Adapter for Line {
    fn reach(&self) -> Reach {
        Reach::Alone
    }

    fn check(&self) -> Result<(), DoorError> {
        Ok(())
    }

    fn submit(&self, request: AdapterRequest) -> Result<(), DoorError> {
        self.queue.lock().push(request);
        Ok(())
    }

    fn drive(&self, traffic: &dyn Traffic) {
        if self.silent.load(Ordering::Relaxed) {
            return;
        }
        if let Some(state) = self.state.lock().take() {
            traffic.tell(AdapterNews::State(state));
        }
        for request in std::mem::take(&mut *self.queue.lock()) {
            match request {
                AdapterRequest::Publish(envelope) => {
                    traffic.tell(AdapterNews::Confirmed(envelope.ticket.into_iter().collect()));
                }
                AdapterRequest::Follow(topics) => {
                    let topics: Vec<String> = topics.iter().map(|topic| (**topic).to_owned()).collect();
                    self.note("follow", &topics);
                    traffic.tell(AdapterNews::Following(topics));
                }
                AdapterRequest::Unfollow(topics) => {
                    let topics: Vec<String> = topics.iter().map(|topic| (**topic).to_owned()).collect();
                    self.note("unfollow", &topics);
                }
            }
        }
    }

    fn on_news(&self, _wake: Box<dyn Fn() + Send + Sync>) {}
}

impl Line {
    /// Channels alone: the cluster's own topics are its own affair.
    fn note(&self, what: &str, topics: &[String]) {
        let channels = topics.iter().filter(|topic| !topic.starts_with('/'));
        self.asked
            .lock()
            .extend(channels.map(|topic| format!("{what} {topic}")));
    }
}

#[derive(Default)]
struct Notices(Mutex<Vec<String>>);

impl NoticeQueue for Notices {
    fn offer(&self, notice: Notice) {
        self.0.lock().push(format!("{} {}", notice.name, notice.channel));
    }
}

/// Lets everybody do everything.
struct Open;

impl Authorizer for Open {
    fn check(&self, _claim: &Claim) -> Answer<Result<Verdict, DoorError>> {
        Answer::Ready(Ok(Verdict::Allow(Permission::default())))
    }
}

impl Limiter for Open {
    fn check(&self, _question: &Question<'_>) -> Answer<Result<Decision, DoorError>> {
        Answer::Ready(Ok(Decision {
            allowed: true,
            remaining: 1,
            retry_after_ms: 0,
        }))
    }
}

struct OneApp(Arc<App>);

impl Apps for OneApp {
    fn by_id(&self, id: &str) -> Option<Arc<App>> {
        (id == &*self.0.id).then(|| Arc::clone(&self.0))
    }

    fn by_key(&self, _key: &str) -> Option<Arc<App>> {
        None
    }
}

/// Whether subscribers are told how many they are.
enum Counted {
    Yes,
    No,
}

/// A hub with two shards and what belongs to it.
struct House {
    line: Arc<Line>,
    notices: Arc<Notices>,
    hub: Arc<Hub>,
    shards: Vec<Shard<()>>,
    gate: Gate,
    client: Arc<Client>,
    tickets: u32,
    now_ms: u64,
    clock_us: Arc<AtomicU64>,
}

impl House {
    fn new(limits: OutboxLimits) -> Self {
        Self::of(limits, Counted::No)
    }

    fn of(limits: OutboxLimits, counted: Counted) -> Self {
        let counted = matches!(counted, Counted::Yes);
        let (line, notices) = (Arc::new(Line::default()), Arc::new(Notices::default()));
        let handles = (0..2).map(|_| ShardHandle::new(|| {})).collect();
        let endpoint = Endpoint::default();
        let policy = Policy {
            subscription_count: counted,
            max_presence_members: 3,
            webhooks: vec![endpoint],
            ..Policy::default()
        };
        let app = Arc::new(App::new("1", "key", Secret::new("s"), policy));
        *line.state.lock() = Some(None);
        let clock_us = Arc::new(AtomicU64::new(1));
        let clock = Arc::clone(&clock_us);
        let setup = Setup::new("node", 1, 1);
        let bus = Bus {
            name: "line".to_owned(),
            settings: String::new(),
            adapter: Arc::clone(&line) as _,
        };
        let driver = Driver::new(&setup, Arc::new(bus), move || clock.load(Ordering::Relaxed));
        let hub = Hub::new(
            handles,
            driver,
            Arc::clone(&notices) as _,
            Arc::new(OneApp(Arc::clone(&app))),
            "node".to_owned(),
        );
        hub.drive();
        let shards = (0..2)
            .map(|index| Shard::new(index, Arc::clone(&hub), limits))
            .collect();
        let client = Client {
            app: Arc::clone(&app),
            socket_id: "1.1".to_owned(),
            remote_address: String::new(),
            origin: None,
            path: String::new(),
            query: String::new(),
            headers: Vec::new(),
        };
        Self {
            line,
            notices,
            hub,
            shards,
            gate: Gate::new(Arc::new(Open), Arc::new(Open)),
            client: Arc::new(client),
            tickets: 0,
            now_ms: 0,
            clock_us,
        }
    }

    /// It is so late now; what was due in between was done in its time.
    fn at(&mut self, now_ms: u64) {
        while self.now_ms < now_ms {
            self.now_ms = now_ms.min(self.now_ms + 500);
            self.clock_us.store(1 + self.now_ms * 1_000, Ordering::Relaxed);
            self.hub.sweep(self.now_ms);
        }
    }

    fn grant(&self) -> Grant {
        let Answer::Ready(Ok(grant)) = self.gate.authorize(&Claim::Connect(Arc::clone(&self.client))) else {
            panic!("everybody is let in");
        };
        grant
    }

    fn pass(&self) -> Pass {
        let Answer::Ready(Ok(pass)) = self.gate.charge(self.grant(), &Toll::Publish(1)) else {
            panic!("nothing is counted");
        };
        pass
    }

    fn add(&mut self, shard: usize, id: u32) -> usize {
        self.shards[shard].add(SocketId { high: id, low: id }, ()).slot
    }

    fn join(&mut self, shard: usize, slot: usize, channel: &str) {
        self.join_as(shard, slot, channel, None).expect("the line takes it");
    }

    fn join_as(&mut self, shard: usize, slot: usize, channel: &str, user: Option<&str>) -> Result<(), JoinError> {
        let grant = self.grant();
        self.tickets += 1;
        let member = user.map(|id| Member {
            user_id: id.to_owned(),
            user_info: None,
        });
        let wish = Subscribe {
            topic: topic(channel),
            ticket: self.tickets,
            member,
        };
        self.shards[shard].subscribe(slot, &grant, wish, self.now_ms)
    }

    fn leave(&mut self, shard: usize, slot: usize, channel: &str) {
        self.shards[shard].unsubscribe(slot, &topic(channel), self.now_ms);
    }

    fn publish(&self, channel: &str, text: &'static str, except: Option<u32>) -> Result<bool, PublishError> {
        let except = except.map(|id| SocketId { high: id, low: id });
        let kept = topic(channel).channel().is_cache();
        let frame = if kept {
            let text = frames::event(topic(channel).channel(), "e", text);
            websocket::text_frame(text.as_bytes())
        } else {
            Bytes::from_static(text.as_bytes())
        };
        let event = Event {
            topic: topic(channel),
            frame,
            except,
            kept,
        };
        let mut receipt = self.hub.publish(&self.pass(), vec![event])?;
        receipt.settled().map_or(Ok(false), |settled| settled.map(|()| true))
    }

    /// Takes a turn of a shard and says what waits for one of its sockets.
    fn hears(&mut self, shard: usize, slot: usize) -> String {
        self.turn(shard);
        self.waits(shard, slot)
    }

    /// Takes a turn of a shard. True if there is more.
    fn turn(&mut self, shard: usize) -> bool {
        self.shards[shard].turn(|(), joined| welcome(joined))
    }

    /// Says what waits for one of a shard's sockets.
    fn waits(&mut self, shard: usize, slot: usize) -> String {
        let outbox = self.shards[shard].outbox_mut(slot);
        let mut slices = [std::io::IoSlice::new(&[]); 64];
        let filled = outbox.fill(&mut slices);
        let heard = slices[..filled]
            .iter()
            .map(|slice| String::from_utf8_lossy(slice).into_owned())
            .collect();
        let bytes = outbox.bytes();
        outbox.advance(bytes);
        heard
    }
}

/// `+`, then what a presence channel's welcome or a cache holds.
fn welcome(joined: &Joined) -> Vec<Bytes> {
    let mut told = vec![Bytes::from_static(b"+")];
    if joined.topic.channel().kind() == ChannelKind::Presence {
        told.push(joined.welcome.text.clone().into());
    }
    match &joined.welcome.cached {
        Some(Some(cached)) => told.push(cached.data.to_string().into()),
        Some(None) => told.push(Bytes::from_static(b"miss")),
        None => {}
    }
    told
}

fn topic(channel: &str) -> Topic {
    Topic::new("1", &ChannelName::parse(channel).expect("a good name"))
}

/// Pusher documents, "Webhooks": whoever comes back within 3 s was never away. The cluster looks once a second.
const HOLD_MS: u64 = 3_000;
