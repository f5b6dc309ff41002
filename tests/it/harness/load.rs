//! A numbered load: backends that publish numbers at a steady rate, subscribers that write down what they hear, and a judge.
//!
//! What is promised, whatever breaks meanwhile: to a subscriber that stays connected come all numbers that were acknowledged
//! after its subscription, each once, those of one instance in their order. One that may have missed something is closed
//! with 4200, and comes back as real clients do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::client::{Client, Heard, data};
use super::fleet::Fleet;
use super::http::{DEVELOPMENT, Http, now};
use super::wait::{GLANCE, in_time};

/// A load on one channel, ended with this value.
pub(crate) struct Load {
    backends: Vec<Arc<Mutex<Vec<Sent>>>>,
    listeners: Vec<Arc<Mutex<Vec<Session>>>>,
    publishing: JoinSet<()>,
    listening: JoinSet<()>,
    stop: watch::Sender<Phase>,
}

/// What came of all of it.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) acknowledged: usize,
    /// Answered 503.
    pub(crate) refused: usize,
    pub(crate) heard: usize,
    /// How many connections of each listener were closed with 4200.
    pub(crate) closed: Vec<usize>,
    /// The longest that an answer took.
    pub(crate) slowest: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Publishing,
    Listening,
    Over,
}

/// One number, which is its place in the list.
#[derive(Clone, Copy)]
struct Sent {
    asked: Instant,
    answered: Instant,
    status: u16,
}

/// One connection of a listener, from its subscription on.
struct Session {
    since: Instant,
    /// The backend, the number, and when.
    heard: Vec<(usize, usize, Instant)>,
    closed: bool,
}

impl Load {
    /// A backend for each port of the first list, a subscriber for each of the second.
    pub(crate) async fn start(channel: &'static str, backends: &[u16], listeners: &[u16]) -> Self {
        let (stop, phase) = watch::channel(Phase::Publishing);
        let mut load = Self {
            backends: Vec::new(),
            listeners: Vec::new(),
            publishing: JoinSet::new(),
            listening: JoinSet::new(),
            stop,
        };
        for &port in listeners {
            let sessions = Arc::<Mutex<Vec<Session>>>::default();
            load.listening
                .spawn(listen(channel, port, sessions.clone(), phase.clone()));
            load.listeners.push(sessions);
        }
        for listener in 0..listeners.len() {
            load.wait("a subscription", |load| !lock(&load.listeners[listener]).is_empty())
                .await;
        }
        for (backend, &port) in backends.iter().enumerate() {
            let sent = Arc::<Mutex<Vec<Sent>>>::default();
            load.publishing
                .spawn(publish(channel, port, backend, sent.clone(), phase.clone()));
            load.backends.push(sent);
        }
        load
    }

    /// A backend and a subscriber for each instance. It has begun when everybody hears everybody.
    pub(crate) async fn over(fleet: &Fleet) -> Self {
        let began = Instant::now();
        let load = Self::start("room", &fleet.ports(), &fleet.ports()).await;
        load.everybody_hears(began).await;
        load
    }

    /// How long after `since` each listener had heard something new of each backend.
    pub(crate) async fn everybody_hears(&self, since: Instant) -> Duration {
        let mut last = Duration::ZERO;
        for listener in 0..self.listeners.len() {
            for backend in 0..self.backends.len() {
                last = last.max(self.hears(listener, backend, since).await);
            }
        }
        last
    }

    /// How long after `since` the last of the backends had a publish acknowledged.
    pub(crate) async fn everybody_is_acknowledged(&self, since: Instant) -> Duration {
        let mut last = Duration::ZERO;
        for backend in 0..self.backends.len() {
            last = last.max(self.acknowledges(backend, since).await);
        }
        last
    }

    /// Waits until a publish that began after `since` is acknowledged. How long after it that was.
    pub(crate) async fn acknowledges(&self, backend: usize, since: Instant) -> Duration {
        self.answers(backend, since, 200).await
    }

    /// Waits until a publish that began after `since` is refused. How long after it that was.
    pub(crate) async fn refuses(&self, backend: usize, since: Instant) -> Duration {
        self.answers(backend, since, 503).await
    }

    /// Waits until a listener hears what a backend published after `since`. How long after it that was.
    pub(crate) async fn hears(&self, listener: usize, backend: usize, since: Instant) -> Duration {
        let first = |load: &Self| {
            let sent = lock(&load.backends[backend]);
            let sessions = lock(&load.listeners[listener]);
            let mut heard = sessions.iter().flat_map(|session| &session.heard);
            // What is heard before it is answered has no place in the list yet, and is new.
            let new = |number: usize| sent.get(number).is_none_or(|sent| sent.asked > since);
            let (.., at) = heard.find(|(from, number, at)| *from == backend && *at > since && new(*number))?;
            Some(*at - since)
        };
        let what = format!("listener {listener} to hear backend {backend}");
        self.wait(&what, |load| first(load).is_some()).await;
        first(self).unwrap_or_default()
    }

    /// How many publishes of a backend, asked for and answered within this time, were answered like that.
    pub(crate) fn answered(&self, backend: usize, status: u16, from: Instant, until: Instant) -> usize {
        let sent = lock(&self.backends[backend]);
        let within = |sent: &&Sent| sent.asked > from && sent.answered < until && sent.status == status;
        sent.iter().filter(within).count()
    }

    /// How long the answers took that a backend got to what it published after `since`; the longest.
    pub(crate) fn slowest(&self, backend: usize, since: Instant) -> Duration {
        let sent = lock(&self.backends[backend]);
        let late = sent.iter().filter(|sent| sent.asked > since);
        late.map(Sent::took).max().unwrap_or_default()
    }

    /// How long each delivery took of what was published within this time.
    pub(crate) fn delays(&self, from: Instant, until: Instant) -> Vec<Duration> {
        let all = self.deliveries().into_iter();
        let within = all.filter(|(at, delay)| *at - *delay > from && *at - *delay < until);
        within.map(|(_, delay)| delay).collect()
    }

    /// When each delivery was heard, and how long after its publish that was.
    pub(crate) fn deliveries(&self) -> Vec<(Instant, Duration)> {
        let mut deliveries = Vec::new();
        for sessions in &self.listeners {
            for session in lock(sessions).iter() {
                let known = session.heard.iter().filter_map(|&(backend, number, at)| {
                    let asked = lock(&self.backends[backend]).get(number)?.asked;
                    Some((at, at.saturating_duration_since(asked)))
                });
                deliveries.extend(known);
            }
        }
        deliveries
    }

    /// Ends the publishing, waits until everybody has heard what is still to come, and judges.
    ///
    /// # Panics
    /// Something that was acknowledged was lost in silence, came twice or came out of order.
    pub(crate) async fn end(mut self) -> Verdict {
        self.stop.send_replace(Phase::Listening);
        while let Some(ended) = in_time("the backends to end", self.publishing.join_next()).await {
            ended.expect("a backend failed: see above");
        }
        // Judged below, with what is missing.
        let complete = self.looks(|load| load.missing().is_empty()).await;
        self.stop.send_replace(Phase::Over);
        while let Some(ended) = self.listening.join_next().await {
            ended.expect("a listener failed: see above");
        }
        assert!(
            complete,
            "lost in silence (listener, backend, number): {:?}",
            self.missing()
        );
        for (listener, sessions) in self.listeners.iter().enumerate() {
            for session in lock(sessions).iter() {
                session.is_in_order(listener);
            }
        }
        self.verdict()
    }

    fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        for backend in &self.backends {
            for sent in lock(backend).iter() {
                verdict.acknowledged += usize::from(sent.status == 200);
                verdict.refused += usize::from(sent.status == 503);
                verdict.slowest = verdict.slowest.max(sent.took());
            }
        }
        for sessions in &self.listeners {
            for session in lock(sessions).iter() {
                verdict.heard += session.heard.len();
            }
            let closed = lock(sessions).iter().filter(|session| session.closed).count();
            verdict.closed.push(closed);
        }
        verdict
    }

    /// What each listener should have heard on the connection that it still has.
    fn missing(&self) -> Vec<(usize, usize, usize)> {
        let mut missing = Vec::new();
        for (listener, sessions) in self.listeners.iter().enumerate() {
            let sessions = lock(sessions);
            let Some(open) = sessions.last().filter(|session| !session.closed) else {
                // It is coming back: see [`listen`].
                missing.push((listener, usize::MAX, usize::MAX));
                continue;
            };
            for (backend, sent) in self.backends.iter().enumerate() {
                let heard = open.heard.iter().filter(|(from, ..)| *from == backend);
                let heard: BTreeSet<usize> = heard.map(|(_, number, _)| *number).collect();
                let owed = |sent: &Sent| sent.status == 200 && sent.asked > open.since;
                let sent = lock(sent);
                let lost = (0..sent.len()).filter(|number| owed(&sent[*number]) && !heard.contains(number));
                missing.extend(lost.map(|number| (listener, backend, number)));
            }
        }
        missing
    }

    async fn answers(&self, backend: usize, since: Instant, status: u16) -> Duration {
        let first = |load: &Self| {
            let sent = lock(&load.backends[backend]);
            let mut wanted = sent.iter().filter(|sent| sent.asked > since && sent.status == status);
            wanted.next().map(|sent| sent.answered - since)
        };
        let what = format!("backend {backend} to be answered {status}");
        self.wait(&what, |load| first(load).is_some()).await;
        first(self).unwrap_or_default()
    }

    async fn wait(&self, what: &str, fine: impl Fn(&Self) -> bool) {
        assert!(
            self.looks(fine).await,
            "waited {RECOVERY:?} for {what}: {:?}",
            self.verdict()
        );
    }

    /// Looks until it is so, within [`RECOVERY`].
    async fn looks(&self, fine: impl Fn(&Self) -> bool) -> bool {
        let looking = async {
            while !fine(self) {
                sleep(GLANCE).await;
            }
        };
        timeout(RECOVERY, looking).await.is_ok()
    }
}

impl Sent {
    fn took(&self) -> Duration {
        self.answered - self.asked
    }
}

impl Session {
    /// Each number once, and higher than the one before of the same backend.
    fn is_in_order(&self, listener: usize) {
        let mut last = BTreeMap::new();
        for &(backend, number, _) in &self.heard {
            let before = last.insert(backend, number);
            assert!(
                before.is_none_or(|before| before < number),
                "listener {listener} heard {number} of backend {backend} after {before:?}"
            );
        }
    }
}

/// Publishes one number after the other, each when the one before is answered.
async fn publish(
    channel: &str,
    port: u16,
    backend: usize,
    sent: Arc<Mutex<Vec<Sent>>>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut http = Http::connect(port).await.expect("the instance accepts connections");
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while *phase.borrow_and_update() == Phase::Publishing {
        ticks.tick().await;
        let number = lock(&sent).len();
        let text = json!([backend, number]).to_string();
        let body = json!({ "name": "numbered", "channel": channel, "data": text }).to_string();
        let target = DEVELOPMENT.signed(&DEVELOPMENT.events_path(), &body, now());
        let asked = Instant::now();
        let Ok(answer) = http.post(&target, &body).await else {
            // The instance has ended: nothing is promised of this one.
            return;
        };
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        lock(&sent).push(Sent {
            asked,
            answered: Instant::now(),
            status: answer.status,
        });
    }
}

/// Subscribes, writes down, and comes back when told to.
async fn listen(channel: &str, port: u16, sessions: Arc<Mutex<Vec<Session>>>, mut phase: watch::Receiver<Phase>) {
    while *phase.borrow_and_update() != Phase::Over {
        let Some(mut client) = subscribed(channel, port).await else {
            continue;
        };
        lock(&sessions).push(Session {
            since: Instant::now(),
            heard: Vec::new(),
            closed: false,
        });
        loop {
            let heard = tokio::select! {
                heard = client.listen() => heard,
                _ = phase.wait_for(|phase| *phase == Phase::Over) => return,
            };
            let at = Instant::now();
            // A listener says nothing by itself, and is asked for a sign of life.
            if matches!(&heard, Heard::Text(message) if message["event"] == "pusher:ping") {
                client.send(json!({ "event": "pusher:pong" })).await;
                continue;
            }
            let mut sessions = lock(&sessions);
            let session = sessions.last_mut().expect("it was begun above");
            match heard {
                Heard::Text(message) => {
                    assert_eq!(message["event"], "numbered");
                    let (backend, number) = number(&data(&message));
                    session.heard.push((backend, number, at));
                }
                Heard::Closed(code) => {
                    assert_eq!(code, 4200, "a listener was closed for another reason");
                    session.closed = true;
                    break;
                }
                other => panic!("a listener heard {other:?}"),
            }
        }
    }
}

/// None if the channel cannot be followed at the moment.
async fn subscribed(channel: &str, port: u16) -> Option<Client> {
    let mut client = Client::connect(port).await;
    client.ask(channel).await;
    match client.hear().await {
        Heard::Text(message) if message["event"] == "pusher_internal:subscription_succeeded" => Some(client),
        Heard::Text(message) if message["event"] == "pusher:subscription_error" => None,
        other => panic!("a listener heard {other:?}"),
    }
}

fn number(text: &Value) -> (usize, usize) {
    let part = |index: usize| text[index].as_u64().expect("a number") as usize;
    (part(0), part(1))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long anything may take to be as it was: far more than it needs, for busy machines.
pub(crate) const RECOVERY: Duration = Duration::from_secs(15);

/// Between two numbers of one backend.
const PACE: Duration = Duration::from_millis(20);
