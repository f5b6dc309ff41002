//! The hub and its shards together, over an adapter that does what the test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use jackfield_protocol::names::{ChannelName, SocketId};
use parking_lot::Mutex;

use super::{Event, Hub, LINGER_MS, PublishError};
use crate::doors::{
    Adapter, AdapterRequest, Answer, Authorizer, Claim, Client, Decision, DoorError, Limiter, Notice, NoticeQueue,
    Question, Rule, Traffic, Verdict,
};
use crate::shard::{Change, Shard, ShardHandle, Subscription};
use crate::{App, Gate, Grant, OutboxLimits, Pass, Policy, Secret, Toll, Topic};

/// Confirms everything, or nothing while `silent`; keeps what it was asked.
#[derive(Default)]
struct Line {
    silent: AtomicBool,
    queue: Mutex<Vec<AdapterRequest>>,
    asked: Mutex<Vec<String>>,
}

impl Adapter for Line {
    fn submit(&self, request: AdapterRequest) -> Result<(), DoorError> {
        self.queue.lock().push(request);
        Ok(())
    }

    fn drive(&self, traffic: &dyn Traffic) {
        if self.silent.load(Ordering::Relaxed) {
            return;
        }
        traffic.state(None);
        for request in std::mem::take(&mut *self.queue.lock()) {
            match request {
                AdapterRequest::Publish(envelope) => traffic.confirmed(&[envelope.ticket]),
                AdapterRequest::Follow(topic) => {
                    self.asked.lock().push(format!("follow {}", topic.as_str()));
                    traffic.following(&[topic]);
                }
                AdapterRequest::Unfollow(topic) => self.asked.lock().push(format!("unfollow {}", topic.as_str())),
            }
        }
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
        Answer::Ready(Ok(Verdict::Allow { expires_in_ms: None }))
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

/// A hub with two shards and what belongs to it.
struct House {
    line: Arc<Line>,
    notices: Arc<Notices>,
    hub: Arc<Hub>,
    shards: Vec<Shard<()>>,
    gate: Gate,
    client: Arc<Client>,
}

impl House {
    fn new(limits: OutboxLimits) -> Self {
        let (line, notices) = (Arc::new(Line::default()), Arc::new(Notices::default()));
        let handles = (0..2).map(|_| ShardHandle::new(|| {})).collect();
        let hub = Hub::new(
            handles,
            Arc::clone(&line) as _,
            Arc::clone(&notices) as _,
            "node".to_owned(),
        );
        hub.drive();
        let shards = (0..2)
            .map(|index| Shard::new(index, Arc::clone(&hub), limits))
            .collect();
        let rule = Rule {
            amount: 1,
            period_ms: 1,
            burst: 1,
        };
        let policy = Policy {
            client_events: true,
            client_event_rule: rule,
            publish_rule: rule,
            webhooks: Vec::new(),
        };
        let client = Client {
            app: Arc::new(App::new("1", "key", Secret::new("s"), policy)),
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
        self.shards[shard].add(SocketId { high: id, low: id }, ())
    }

    fn join(&mut self, shard: usize, slot: usize, channel: &str) -> Subscription {
        let grant = self.grant();
        self.shards[shard]
            .subscribe(slot, &grant, topic(channel), 0)
            .expect("the line takes it")
    }

    fn publish(&self, channel: &str, text: &'static str, except: Option<u32>) -> Result<bool, PublishError> {
        let except = except.map(|id| SocketId { high: id, low: id });
        let event = Event {
            topic: topic(channel),
            frame: Bytes::from_static(text.as_bytes()),
            except,
        };
        let mut receipt = self.hub.publish(&self.pass(), vec![event])?;
        Ok(receipt.settled().is_some())
    }

    /// Takes a turn of a shard and says what waits for one of its sockets.
    fn hears(&mut self, shard: usize, slot: usize) -> String {
        self.shards[shard].turn();
        let outbox = self.shards[shard].outbox(slot);
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

fn topic(channel: &str) -> Topic {
    Topic::new("1", &ChannelName::parse(channel).expect("a good name"))
}

#[test]
fn an_event_reaches_every_subscriber_but_the_one_excepted() {
    let mut house = House::new(OutboxLimits::default());
    let (a, b, c, d) = (house.add(0, 1), house.add(0, 2), house.add(1, 3), house.add(1, 4));
    for (shard, slot, channel) in [(0, a, "x"), (0, b, "x"), (1, c, "x"), (1, d, "y")] {
        assert_eq!(house.join(shard, slot, channel), Subscription::Now);
    }
    assert!(house.publish("x", "hello", Some(2)).expect("published"));
    let heard = [(0, a), (0, b), (1, c), (1, d)].map(|(shard, slot)| house.hears(shard, slot));
    assert_eq!(heard, ["hello", "", "hello", ""]);
}

#[test]
fn a_subscription_waits_until_the_adapter_follows() {
    let mut house = House::new(OutboxLimits::default());
    let (a, b) = (house.add(0, 1), house.add(1, 2));
    house.line.silent.store(true, Ordering::Relaxed);
    assert_eq!(house.join(0, a, "x"), Subscription::Later);
    assert_eq!(house.join(1, b, "x"), Subscription::Later);
    house.shards[1].unsubscribe(b, &topic("x"), 0);
    house.line.silent.store(false, Ordering::Relaxed);
    house.hub.drive();
    assert_eq!(house.shards[0].turn(), [Change::Subscribed(a, topic("x"))]);
    assert_eq!(house.shards[1].turn(), []);
    house.publish("x", "now", None).expect("published");
    assert_eq!(
        (house.hears(0, a), house.hears(1, b)),
        ("now".to_owned(), String::new())
    );
}

#[test]
fn a_subscription_that_is_not_confirmed_is_given_up() {
    let mut house = House::new(OutboxLimits::default());
    let a = house.add(0, 1);
    house.line.silent.store(true, Ordering::Relaxed);
    house.join(0, a, "x");
    assert_eq!(house.shards[0].expire(4_999), []);
    assert_eq!(house.shards[0].expire(5_000), [Change::TimedOut(a, topic("x"))]);
    assert_eq!(house.shards[0].expire(9_999), []);
    house.line.silent.store(false, Ordering::Relaxed);
    house.hub.drive();
    assert_eq!(
        house.shards[0].turn(),
        [],
        "it was given up, and is not confirmed later"
    );
}

#[test]
fn nothing_is_delivered_while_the_adapter_is_degraded() {
    let mut house = House::new(OutboxLimits::default());
    let a = house.add(0, 1);
    house.join(0, a, "x");
    house.hub.state(Some("the line is cut".to_owned()));
    let error = house.publish("x", "lost", None).expect_err("refused");
    assert_eq!(error.to_string(), "nothing was delivered: the line is cut");
    assert_eq!(house.hears(0, a), "");
    assert_eq!(house.hub.open_tickets(), 0);
}

#[test]
fn an_unconfirmed_publish_is_open_until_its_receipt_is_dropped() {
    let mut house = House::new(OutboxLimits::default());
    let a = house.add(0, 1);
    house.join(0, a, "x");
    house.line.silent.store(true, Ordering::Relaxed);
    let event = Event {
        topic: topic("x"),
        frame: Bytes::from_static(b"e"),
        except: None,
    };
    let mut receipt = house.hub.publish(&house.pass(), vec![event]).expect("accepted");
    assert!(receipt.settled().is_none());
    assert_eq!(house.hub.open_tickets(), 1);
    drop(receipt);
    assert_eq!(house.hub.open_tickets(), 0);
    assert_eq!(house.hears(0, a), "e", "local subscribers had it at once");
}

// Pusher, "Webhooks": whoever comes back within 3 s causes nothing.
#[test]
fn a_channel_lingers_before_it_is_let_go() {
    let mut house = House::new(OutboxLimits::default());
    let a = house.add(0, 1);
    house.join(0, a, "x");
    house.shards[0].unsubscribe(a, &topic("x"), 1_000);
    house.hub.sweep(1_000 + LINGER_MS - 1);
    house.join(0, a, "x");
    house.hub.sweep(1_000 + LINGER_MS);
    assert_eq!(*house.line.asked.lock(), ["follow 1/x"]);
    assert_eq!(*house.notices.0.lock(), ["channel_occupied x"]);
    house.shards[0].unsubscribe(a, &topic("x"), 10_000);
    house.hub.sweep(10_000 + LINGER_MS);
    assert_eq!(*house.line.asked.lock(), ["follow 1/x", "unfollow 1/x"]);
    assert_eq!(house.hub.channels(), 0);
    house.join(0, a, "x");
    assert_eq!(house.notices.0.lock().len(), 2);
}

#[test]
fn a_slow_consumer_is_cut_and_nobody_else() {
    let mut house = House::new(OutboxLimits { bytes: 10, frames: 100 });
    let (slow, quick) = (house.add(0, 1), house.add(0, 2));
    house.join(0, slow, "x");
    house.join(0, quick, "x");
    for _ in 0..3 {
        house.publish("x", "12345", None).expect("published");
        assert_eq!(house.hears(0, quick), "12345");
    }
    assert!(house.shards[0].is_closing(slow) && !house.shards[0].is_closing(quick));
    assert_eq!(house.shards[0].cut, 1);
    // RFC 6455 §5.5.1: 0x88 is a close frame; 4100 is 0x1004.
    let farewell = house.shards[0].outbox(slow);
    let mut slices = [std::io::IoSlice::new(&[]); 2];
    assert_eq!(farewell.fill(&mut slices), 1);
    assert_eq!((slices[0][0], slices[0][2], slices[0][3]), (0x88, 0x10, 0x04));
}

/// Random joins, leaves and departures against a plain model of who is in which channel.
#[test]
fn membership_agrees_with_a_plain_model() {
    let mut house = House::new(OutboxLimits::default());
    let channels = ["a", "b", "c"];
    let mut members: Vec<(usize, Vec<bool>)> = (0..12).map(|id| (house.add(0, id), vec![false; 3])).collect();
    let mut seed: u64 = 7;
    for round in 0..3_000u32 {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (who, channel) = ((seed >> 33) as usize % 12, (seed >> 40) as usize % 3);
        let slot = members[who].0;
        if seed >> 60 == 0 {
            house.shards[0].remove(slot, 0);
            members[who] = (house.add(0, 1_000 + round), vec![false; 3]);
        } else if members[who].1[channel] {
            house.shards[0].unsubscribe(slot, &topic(channels[channel]), 0);
            members[who].1[channel] = false;
        } else {
            house.join(0, slot, channels[channel]);
            members[who].1[channel] = true;
        }
        house.publish(channels[channel], "e", None).expect("published");
        house.shards[0].turn();
        for (slot, joined) in &members {
            let expected = if joined[channel] { "e" } else { "" };
            assert_eq!(house.hears(0, *slot), expected, "round {round}");
        }
    }
}
