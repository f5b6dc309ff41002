//! What the cluster wants done, done: by the hub or by the adapter.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jackfield_cluster::{
    Announcement, Answer, BusId, Degraded, Effect, MemberNotice, NodeId, Refused, State, Topic, Turn, User,
};
use jackfield_hub::PublishError;
use jackfield_hub::cluster::{Delivery, Health, Listener, Present, Signed, Told};
use jackfield_hub::doors::{AdapterNews, AdapterRequest, Envelope};
use jackfield_protocol::names::SocketId;

use super::{COMMANDS, Core, Driver, Item, KEPT, members};

impl Driver {
    pub(super) fn carry_out(&self, core: &mut Core, effect: Effect, hub: &dyn Listener) {
        match effect {
            Effect::Publish {
                bus,
                topic,
                bytes,
                ticket,
            } => {
                let (topic, frame) = (Arc::clone(topic.text()), bytes);
                self.ask(bus, AdapterRequest::Publish(Envelope { topic, frame, ticket }));
            }
            Effect::Follow(bus, topics) => self.ask(bus, AdapterRequest::Follow(texts(&topics))),
            Effect::Unfollow(bus, topics) => self.ask(bus, AdapterRequest::Unfollow(texts(&topics))),
            Effect::Left(bus) => self.tell_left(bus),
            Effect::Detached(bus) => self.detach(core, bus),
            Effect::Answer(ticket, answer) => hub.hear(Told::Answered(ticket, core.outcome(answer))),
            Effect::Deliver(delivery) => deliver(&delivery, hub),
            Effect::Followed(topic, number) => {
                let members = if is_presence(&topic) {
                    members(&core.cluster, &topic)
                } else {
                    Vec::new()
                };
                hub.hear(Told::Followed(topic.as_str(), number, members));
            }
            Effect::Close { topic, .. } => hub.hear(Told::Lost(topic.as_str())),
            Effect::MemberAdded(topic, user, info) => match signed(&topic, &user) {
                Some(who) => hub.hear(Told::Online(who, true)),
                None => hub.hear(Told::MemberAdded(topic.as_str(), Present { user, info })),
            },
            Effect::MemberRemoved(topic, user) => match signed(&topic, &user) {
                Some(who) => hub.hear(Told::Online(who, false)),
                None => hub.hear(Told::MemberRemoved(topic.as_str(), &user)),
            },
            Effect::Count(topic, total) => hub.hear(Told::Counted(topic.as_str(), total, core.cluster.owns(&topic))),
            Effect::Announce(it) => hub.hear(Told::Announce(it.topic.as_str(), it.occupied, id_of(&it))),
            Effect::Notice(it) => hub.hear(Told::Notice(it.topic.as_str(), &it.user, it.came(), notice_id(&it))),
            Effect::State(state) => {
                core.meet(&state.neighbours);
                hub.hear(Told::Health(core.health(&state)));
            }
            Effect::NameTaken(node) => {
                core.refuse(node);
                hub.hear(Told::Health(core.health(&State::default())));
            }
            Effect::Gone => self.gone.store(true, Ordering::Relaxed),
        }
    }

    fn ask(&self, id: BusId, request: AdapterRequest) {
        let buses = self.buses.load();
        let Some((_, bus)) = buses.iter().find(|(known, _)| *known == id) else {
            return;
        };
        let ticket = match &request {
            AdapterRequest::Publish(envelope) => envelope.ticket,
            AdapterRequest::Follow(_) | AdapterRequest::Unfollow(_) => None,
        };
        // What nobody waits for is said again, or found missing, by the cluster's own rules.
        if let Err(error) = bus.adapter.submit(request)
            && let Some(ticket) = ticket
        {
            let failed = AdapterNews::Failed(vec![ticket], error);
            self.push(Item::Adapter(Arc::clone(bus), failed));
        }
    }
}

impl Core {
    fn outcome(&self, answer: Answer) -> Result<(), PublishError> {
        let refused = match answer {
            Answer::Confirmed => return Ok(()),
            Answer::Unknown => {
                let late = || "it was not confirmed in time".to_owned();
                return Err(PublishError::Unknown(self.failure.clone().unwrap_or_else(late)));
            }
            Answer::Refused(refused) => refused,
        };
        Err(match (refused, self.no_link()) {
            (Refused::Overloaded, _) => PublishError::Overloaded,
            (Refused::NoLink | Refused::NotOpen, Some(reason)) => PublishError::Unavailable(reason),
            (refused, _) => PublishError::Unavailable(refused.to_string()),
        })
    }

    /// Why no adapter has a link; none if one has.
    fn no_link(&self) -> Option<String> {
        let down = self.cluster.buses().filter(|bus| !bus.left);
        let reasons: Option<Vec<&str>> = down.map(|bus| self.down.get(&bus.id).map(String::as_str)).collect();
        reasons.map(|reasons| reasons.join("; "))
    }

    fn no_target(&self) -> String {
        let target = self.cluster.buses().find(|bus| bus.target);
        let reason = target.and_then(|bus| self.down.get(&bus.id));
        format!("{}: {}", Degraded::NoTarget, reason.map_or("", String::as_str))
    }

    fn refuse(&mut self, node: NodeId) {
        let reason = format!("another instance, {node}, uses this one's name, and goes on doing so");
        tracing::error!(reason, "this instance may not join the cluster");
        self.refused = Some(reason);
    }

    /// While apps are changed one instance after the other this is so for a while; else two deployments share what they should not.
    fn meet(&mut self, neighbours: &[Arc<str>]) {
        let new: Vec<&str> = neighbours
            .iter()
            .filter(|name| !self.neighbours.contains(name))
            .map(|name| &**name)
            .collect();
        if !new.is_empty() {
            tracing::warn!(
                node = self.name,
                others = new.join(", "),
                "other instances on this broker and prefix have other apps: two deployments need two prefixes"
            );
        }
        self.neighbours = neighbours.to_vec();
    }

    fn health(&self, state: &State) -> Health {
        let degraded = match (&state.degraded, self.no_link()) {
            (Some(Degraded::NoLink), Some(reason)) => Some(reason),
            (Some(Degraded::NoTarget), _) => Some(self.no_target()),
            (Some(degraded), _) => Some(degraded.to_string()),
            (None, _) if !state.open => Some(Refused::NotOpen.to_string()),
            (None, _) => None,
        };
        Health {
            open: state.open,
            complete: state.complete,
            degraded: self.refused.clone().or(degraded),
        }
    }
}

fn deliver(delivery: &jackfield_cluster::Delivery, hub: &dyn Listener) {
    let topic = delivery.topic.as_str();
    if topic == COMMANDS {
        return hub.hear(Told::Command(&delivery.frame));
    }
    hub.hear(Told::Event(Delivery {
        topic,
        frame: delivery.frame.clone(),
        except: delivery.except.map(|id| SocketId {
            high: (id >> 32) as u32,
            low: id as u32,
        }),
        kept: delivery.flags & KEPT != 0,
    }));
}

fn texts(topics: &[Topic]) -> Vec<Arc<str>> {
    topics.iter().map(|topic| Arc::clone(topic.text())).collect()
}

/// A topic without a channel stands for an app; its members are the users who are signed in.
fn signed(topic: &Topic, user: &User) -> Option<Signed> {
    let app = !topic.as_str().contains('/');
    app.then(|| Signed {
        app: Arc::clone(topic.text()),
        user: Arc::clone(user),
    })
}

fn is_presence(topic: &Topic) -> bool {
    let channel = topic.as_str().split_once('/');
    channel.is_some_and(|(_, channel)| channel.starts_with("presence-"))
}

/// The same at every node, and for no other transition.
fn id_of(it: &Announcement) -> String {
    format!("{:016x}-{}", it.series, it.k)
}

/// The same at every node, and for no other turn.
fn notice_id(it: &MemberNotice) -> String {
    let stay = format!("{:016x}-{}", it.stay.node.0, it.stay.number);
    match it.turn {
        Turn::Came => format!("{stay}-came"),
        Turn::Left => format!("{stay}-left"),
        Turn::Gone(beat) => format!("{stay}-gone-{beat}"),
        Turn::Back(beat) => format!("{stay}-back-{beat}"),
    }
}
