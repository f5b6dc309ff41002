//! A link to a Redis Cluster: a pair of connections to each primary with sharded Pub/Sub, or one pair to a server that does not know
//! that, as before 7.0: there the cluster passes everything on to everybody.
//!
//! One life knows one kind and one set of primaries. Slots may move between them: their subjects are lost and followed again. When a
//! primary comes or goes that concerns it, the life ends. The client's own cluster connection is not used: it keeps what it hears in a
//! queue without a bound, and does not say which server a connection was lost to.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select_all, try_join_all};
use parking_lot::Mutex;
use redis::{Value, cmd, from_redis_value_ref};
use tokio::time::{sleep, timeout};

use super::Outgoing;
use super::place::Place;
use super::redis::{Kind, Reach, Server, ask, knows};
use super::shared::Shared;
use super::slots::{SLOTS, slot};
use super::wire::{Broker, Canary, Life, Wire, Wish, random_subject};

pub(super) struct Cluster {
    seeds: Vec<Place>,
    reach: Reach,
    /// As they were seen last.
    primaries: Arc<Mutex<Vec<Primary>>>,
}

/// A server and the slots that it serves, as inclusive ranges.
#[derive(Clone, Debug, PartialEq)]
struct Primary {
    place: Place,
    slots: Vec<(u16, u16)>,
}

/// In the order of `primaries`, or one for all.
pub(super) struct Servers {
    servers: Vec<Server>,
    primaries: Arc<Mutex<Vec<Primary>>>,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<Place>, reach: Reach) -> Self {
        Self {
            seeds,
            reach,
            primaries: Arc::default(),
        }
    }

    async fn connect_to(&self, primary: &Primary, kind: Kind, ear: &Arc<Shared>) -> Result<(Server, Life), String> {
        let canary = match kind {
            Kind::Classic => random_subject(&ear.canary_prefix)?,
            Kind::Sharded => canary_within(&ear.canary_prefix, &primary.slots)?,
        };
        Server::connect(&self.reach, (&primary.place, &primary.place), kind, canary, ear).await
    }
}

impl Broker for Cluster {
    type Wire = Servers;

    fn check(_subject: &str) -> Result<(), String> {
        // Any text is a channel.
        Ok(())
    }

    async fn connect(&self, ear: &Arc<Shared>) -> Result<(Servers, Life), String> {
        let known = [places(&self.primaries.lock()), self.seeds.clone()].concat();
        let primaries = look(&self.reach, &known).await?;
        let (kind, used) = choose(&self.reach, &ear.canary_prefix, &primaries).await?;
        let connecting = used.iter().map(|primary| self.connect_to(primary, kind, ear));
        let (servers, mut lives): (Vec<Server>, Vec<Life>) = try_join_all(connecting).await?.into_iter().unzip();
        *self.primaries.lock() = primaries;
        let watching = Watch {
            reach: self.reach.clone(),
            primaries: self.primaries.clone(),
            kind,
            used: places(&used),
        };
        let ear = ear.clone();
        lives.push(Box::pin(async move { watching.run(&ear).await }));
        let servers = Servers {
            servers,
            primaries: self.primaries.clone(),
        };
        Ok((servers, Box::pin(async { select_all(lives).await.0 })))
    }
}

impl Servers {
    /// The server of a subject, by its place in `servers`.
    fn serving(&self, primaries: &[Primary], subject: &str) -> Option<usize> {
        if self.servers.len() == 1 {
            return Some(0);
        }
        let slot = slot(subject);
        primaries.iter().position(|primary| serves(&primary.slots, slot))
    }

    /// Divides by server; in each part in the same order. What is with no server is left out.
    fn parts<T>(&self, all: impl IntoIterator<Item = T>, subject: impl Fn(&T) -> &str) -> Vec<Vec<T>> {
        let mut parts: Vec<Vec<T>> = self.servers.iter().map(|_| Vec::new()).collect();
        let primaries = self.primaries.lock();
        for one in all {
            if let Some(index) = self.serving(&primaries, subject(&one)) {
                parts[index].push(one);
            }
        }
        parts
    }
}

impl Wire for Servers {
    fn canaries(&self) -> Vec<Canary> {
        self.servers.iter().flat_map(Wire::canaries).collect()
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Vec<bool>, String> {
        let mut answers = vec![false; batch.len()];
        let parts = self.parts(batch.into_iter().enumerate(), |(_, message)| &message.subject);
        let publishing = self.servers.iter().zip(parts).filter(|(_, part)| !part.is_empty());
        let publishing = publishing.map(|(server, part)| async {
            let (places, messages): (Vec<usize>, Vec<Outgoing>) = part.into_iter().unzip();
            server.publish(messages).await.map(|answers| (places, answers))
        });
        for (places, taken) in try_join_all(publishing).await? {
            for (place, taken) in places.into_iter().zip(taken) {
                answers[place] = taken;
            }
        }
        Ok(answers)
    }

    async fn ask(&self, wish: Wish, subjects: &[Arc<str>]) -> Result<(), String> {
        let parts = self.parts(subjects.iter().cloned(), |subject| subject);
        let asking = self.servers.iter().zip(&parts).filter(|(_, part)| !part.is_empty());
        let asked = join_all(asking.map(|(server, part)| server.ask(wish, part))).await;
        asked.into_iter().collect()
    }
}

/// Keeps an eye on where the slots are: when a server says that something has moved, and now and then.
struct Watch {
    reach: Reach,
    primaries: Arc<Mutex<Vec<Primary>>>,
    kind: Kind,
    /// Those that there are connections to.
    used: Vec<Place>,
}

impl Watch {
    /// Until the connections are to the wrong servers.
    async fn run(&self, ear: &Shared) -> String {
        let look_anyway = match self.kind {
            Kind::Classic => LOOK_WHILE_OLD,
            Kind::Sharded => LOOK_ANYWAY,
        };
        loop {
            sleep(BETWEEN_LOOKS).await;
            // Time out: it is time to look by oneself.
            let _ = timeout(look_anyway, ear.something_has_moved.notified()).await;
            let before = places(&self.primaries.lock());
            match look(&self.reach, &before).await {
                Ok(now) if self.is_good_for(&places(&now)) => *self.primaries.lock() = now,
                Ok(_) => return "the cluster has other primaries now".to_owned(),
                // What was seen before may still hold: the canaries know.
                Err(_) => {}
            }
        }
    }

    fn is_good_for(&self, now: &[Place]) -> bool {
        match self.kind {
            Kind::Classic => self.used.iter().all(|place| now.contains(place)),
            Kind::Sharded => self.used == now,
        }
    }
}

/// The kind of Pub/Sub that all of them know, and those that it takes connections to. What they know is tried: a version may be a
/// fork's own, and commands may have been taken away.
///
/// One server that does not know the sharded kind is enough for the classic one, whatever is wrong with others, and such a server it is:
/// whoever is connected to it notices when it makes room for a newer one. It is the first one, for everybody: what passes through one
/// server alone cannot be lost between two.
async fn choose(reach: &Reach, prefix: &str, primaries: &[Primary]) -> Result<(Kind, Vec<Primary>), String> {
    let trying = primaries.iter().map(async |primary| {
        let unheard = canary_within(prefix, &primary.slots)?;
        knows(reach, &primary.place, cmd("SPUBLISH").arg(unheard).arg("")).await
    });
    let answers = join_all(trying).await;
    if let Some(old) = answers.iter().position(|answer| *answer == Ok(false)) {
        return Ok((Kind::Classic, vec![primaries[old].clone()]));
    }
    answers.into_iter().collect::<Result<Vec<bool>, String>>()?;
    Ok((Kind::Sharded, primaries.to_vec()))
}

fn places(primaries: &[Primary]) -> Vec<Place> {
    primaries.iter().map(|primary| primary.place.clone()).collect()
}

/// Asks one server after the other until one describes the cluster.
async fn look(reach: &Reach, known: &[Place]) -> Result<Vec<Primary>, String> {
    let question = cmd("CLUSTER").arg("SLOTS").take();
    let mut reason = "no server is known".to_owned();
    for place in known {
        match ask::<Vec<Vec<Value>>>(reach, place, &question).await {
            Ok(ranges) => {
                let primaries =
                    understood(&ranges, place).ok_or_else(|| format!("{place}: CLUSTER SLOTS makes no sense"))?;
                let unserved = (0..SLOTS).find(|slot| !primaries.iter().any(|primary| serves(&primary.slots, *slot)));
                return match unserved {
                    Some(slot) => Err(format!("no server of the cluster serves slot {slot}")),
                    None => Ok(primaries),
                };
            }
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

/// Each range is its first and its last slot, its primary, and its replicas.
fn understood(ranges: &[Vec<Value>], asked: &Place) -> Option<Vec<Primary>> {
    let mut primaries: Vec<Primary> = Vec::new();
    for range in ranges {
        let slots = (
            from_redis_value_ref(range.first()?).ok()?,
            from_redis_value_ref(range.get(1)?).ok()?,
        );
        let server: Vec<Value> = from_redis_value_ref(range.get(2)?).ok()?;
        let host: Option<String> = from_redis_value_ref(server.first()?).ok()?;
        // A server that does not know its own address says nothing, and means the one that it was asked at.
        let host = host.filter(|host| !host.is_empty() && host != "?");
        let port = from_redis_value_ref(server.get(1)?).ok()?;
        let place = asked.beside(host.as_deref().unwrap_or(&asked.host), port);
        match primaries.iter_mut().find(|primary| primary.place == place) {
            Some(primary) => primary.slots.push(slots),
            None => primaries.push(Primary {
                place,
                slots: vec![slots],
            }),
        }
    }
    // So that the same servers are always in the same order.
    primaries.sort_by_key(|primary| primary.place.to_string());
    Some(primaries)
}

/// A canary in a slot that the server has.
fn canary_within(prefix: &str, slots: &[(u16, u16)]) -> Result<String, String> {
    let name = random_subject(prefix)?;
    let mut candidates = (0..CANARY_ATTEMPTS).map(|attempt| format!("{name}{{{attempt}}}"));
    candidates
        .find(|subject| serves(slots, slot(subject)))
        .ok_or_else(|| format!("no canary that begins with {prefix:?} falls into a slot of this server"))
}

fn serves(slots: &[(u16, u16)], slot: u16) -> bool {
    slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
}

/// The least time between two looks: one look costs a server a short connection.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// A look without any reason: servers may have been added.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// The same while there are old servers, which tell nobody that they are no primaries any more. Whoever comes then may find none but new
/// ones, and hears nobody who is still connected to an old one: it should be over before the instances take each other for dead.
const LOOK_WHILE_OLD: Duration = Duration::from_secs(2);
/// A server with a single slot is met in 16,384 attempts on average; some milliseconds.
const CANARY_ATTEMPTS: u32 = 400_000;

#[cfg(test)]
mod tests {
    use super::super::place::{Login, REDIS};
    use super::*;

    #[test]
    fn a_canary_lies_in_a_slot_of_its_server() {
        let canary = canary_within("c.", &[(7, 7), (16_000, 16_001)]).unwrap();
        assert!([7, 16_000, 16_001].contains(&slot(&canary)) && canary.starts_with("c."));
        assert!(canary_within("{x}", &[(7, 7)]).unwrap_err().contains("{x}"));
    }

    // Redis commands, "CLUSTER SLOTS", "Nested Result Array".
    #[test]
    fn ranges_are_gathered_by_primary() {
        let asked = Place::parse("rediss://h:1", &REDIS, &Login::default()).unwrap();
        let range = |first, last, host: &str, port| {
            let server = vec![Value::BulkString(host.into()), Value::Int(port)];
            vec![Value::Int(first), Value::Int(last), Value::Array(server)]
        };
        let ranges = [range(0, 5, "", 7), range(6, 6, "x", 8), range(7, 9, "h", 7)];
        let primaries = understood(&ranges, &asked).unwrap();
        assert_eq!(primaries[0].slots, [(0, 5), (7, 9)]);
        assert_eq!(primaries[1].place, asked.beside("x", 8));
        assert!(primaries[1].place.tls);
        assert_eq!(understood(&[vec![Value::Int(99_999)]], &asked), None);
    }
}
