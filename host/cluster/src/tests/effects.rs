//! What nodes want done: the part of the hub and of the adapters, as far as the cluster sees it.

use super::world::{Act, MS, SECOND, World, request_of};
use crate::{Answer, Delivery, Effect, Loss, Topic, User};

impl World {
    pub(super) fn carry_out(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Answer(ticket, answer) => self.answered(ticket, answer),
            Effect::Deliver(delivery) => self.deliver(at, &delivery),
            Effect::Followed(topic, _) => self.welcome(at, &topic),
            Effect::Close { topic, why } => self.close(at, &topic, why),
            Effect::MemberAdded(topic, user, _) => self.member(at, topic, user, true),
            Effect::MemberRemoved(topic, user) => self.member(at, topic, user, false),
            Effect::Announce(it) => {
                self.say(|| format!("node {at} announces {it:?}"));
                self.tally.announced += 1;
                self.announced.push(it);
            }
            Effect::Notice(it) => self.notice(at, it),
            Effect::State(state) => {
                self.say(|| format!("node {at} is {state:?}"));
                self.check_name(at);
            }
            Effect::Count(topic, count) => {
                let node = self.nodes[at].as_mut();
                node.map(|node| node.counts.insert(topic, count));
            }
            Effect::NameTaken(node) => {
                self.say(|| format!("node {at} is refused because of {node}"));
                if self.profile.twins == 0 {
                    self.fail(format!("node {at} was refused because of {node}"));
                }
                self.act(self.now, Act::Refuse(at));
            }
            Effect::Left(bus) => self.say(|| format!("node {at} leaves {bus:?}")),
            Effect::Detached(bus) => {
                self.say(|| format!("node {at} gives up {bus:?}"));
                let broker = self.broker_of(at, bus);
                self.brokers[broker].cut(|end| *end == (at, bus));
            }
            Effect::Gone => self.act(self.now + 200 * MS, Act::End(at, self.lives[at])),
            effect @ (Effect::Publish { .. } | Effect::Follow(..) | Effect::Unfollow(..)) => {
                if let Some((bus, request)) = request_of(effect) {
                    self.request(at, bus, request);
                }
            }
        }
    }

    pub(super) fn fail(&mut self, text: String) {
        self.say(|| format!("FAILURE: {text}"));
        self.failures.push(text);
    }

    fn answered(&mut self, ticket: u64, answer: Answer) {
        let it = &mut self.published[ticket as usize];
        let before = it.answer.replace(answer);
        let (at, life) = (it.node, it.life);
        match answer {
            Answer::Confirmed => self.tally.confirmed += 1,
            Answer::Refused(_) => self.tally.refused += 1,
            Answer::Unknown => self.tally.unknown += 1,
        }
        if before.is_some() {
            self.fail(format!("publish {ticket} was answered twice"));
        }
        if answer != Answer::Confirmed {
            return self.say(|| format!("publish {ticket}: {answer:?}"));
        }
        let node = self.nodes[at].as_ref().filter(|_| self.lives[at] == life);
        let deaf = node.and_then(|node| node.cluster.peers.live.iter().find(|(_, peer)| peer.on == 0));
        if let Some((peer, _)) = deaf {
            self.fail(format!(
                "publish {ticket} was confirmed, and {peer} hears node {at} nowhere"
            ));
        }
    }

    fn deliver(&mut self, at: usize, delivery: &Delivery) {
        let id = u64::from_le_bytes(delivery.frame[..8].try_into().expect("eight bytes"));
        let origin = self.published[id as usize].epoch;
        let Some(node) = &self.nodes[at] else { return };
        let sockets = node.here.get(&delivery.topic).cloned().unwrap_or_default();
        self.say(|| format!("node {at} delivers {id} on {}", delivery.topic));
        for number in sockets {
            let socket = &mut self.sockets[number];
            if socket.welcomed.is_none() || socket.closed.is_some() {
                continue;
            }
            self.tally.delivered += 1;
            socket.got.insert(id);
            let last = socket.last.insert(origin, id);
            if last.is_some_and(|last| last >= id) {
                self.fail(format!("socket {number} at node {at} got {id} after {last:?}"));
            }
        }
    }

    fn welcome(&mut self, at: usize, topic: &Topic) {
        let now = self.now;
        let Some(node) = &mut self.nodes[at] else { return };
        node.followed.insert(topic.clone());
        let sockets = node.here.get(topic).cloned().unwrap_or_default();
        for number in sockets {
            let socket = &mut self.sockets[number];
            if socket.welcomed.is_none() && socket.closed.is_none() {
                socket.welcomed = Some(now);
                self.act(now, Act::Join(number));
            }
        }
    }

    fn close(&mut self, at: usize, topic: &Topic, why: Loss) {
        let now = self.now;
        let Some(node) = &self.nodes[at] else { return };
        let sockets = node.here.get(topic).cloned().unwrap_or_default();
        let doomed: Vec<usize> = sockets
            .into_iter()
            .filter(|&number| self.sockets[number].welcomed.is_some() && self.sockets[number].closed.is_none())
            .collect();
        self.say(|| format!("node {at} closes {} sockets on {topic}: {why:?}", doomed.len()));
        for number in doomed {
            self.sockets[number].closed = Some(now);
            self.tally.closed += 1;
            self.tally.closed_for_debt += u64::from(why == Loss::Debt);
            self.act(now, Act::Leave(number));
        }
    }

    /// In the eyes of one node, members come and go by turns.
    fn member(&mut self, at: usize, topic: Topic, user: User, added: bool) {
        self.tally.removed += u64::from(!added);
        let Some(node) = &mut self.nodes[at] else { return };
        let key = (topic, user);
        let (down, clock) = (node.cluster.peers.link_down_at, node.clock(self.now));
        let away = node.cluster.buses.usable_mask() == 0 && down.is_some_and(|down| down + 2 * SECOND < clock);
        let lost = away && !added && self.left.get(&key) != Some(&self.now);
        let fits = if added {
            node.view.insert(key.clone())
        } else {
            node.view.remove(&key)
        };
        if !fits {
            self.fail(format!("node {at} was told twice of {key:?}, added {added}"));
        }
        if lost {
            self.fail(format!("node {at} gave up {key:?} while its own link was away"));
        }
    }
}
