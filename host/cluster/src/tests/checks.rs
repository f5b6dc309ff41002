//! What has to be true, in the end and in between.

use std::collections::{BTreeMap, BTreeSet};

use super::profile::{Kind, Swap};
use super::workload::Published;
use super::world::{MS, SECOND, World};
use crate::{Announcement, Answer, Topic, User};

impl World {
    pub(super) fn check_end(&mut self) {
        for at in self.alive() {
            self.note_stats(at);
        }
        self.check_deliveries();
        self.check_answers();
        self.check_views();
        let mut names: Vec<String> = self.alive().iter().map(|at| self.name(*at)).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            self.fail(format!("a refused node has stayed: {names:?}"));
        }
        self.check_announcements();
        self.check_notices();
        if self.profile.is_quiet() {
            self.check_quiet();
        }
    }

    /// What was acknowledged has reached everybody who was connected before it was asked for.
    pub(super) fn check_deliveries(&mut self) {
        let mut missing = Vec::new();
        for (number, socket) in self.sockets.iter().enumerate() {
            let Some(welcomed) = socket.welcomed.filter(|_| self.is_here(number)) else {
                continue;
            };
            let acknowledged = |it: &&(usize, &Published)| {
                let heard = !self.unheard.contains(&it.1.epoch) && !self.may_be_lost(it.1);
                it.1.topic == socket.topic && it.1.at > welcomed && it.1.answer == Some(Answer::Confirmed) && heard
            };
            let published: Vec<_> = self.published.iter().enumerate().collect();
            for (id, it) in published.iter().filter(acknowledged) {
                if !socket.got.contains(&(*id as u64)) {
                    missing.push(format!(
                        "socket {number} at node {} (welcome at {}) never got {id} of node {} ({} at {})",
                        socket.node, welcomed, it.node, it.topic, it.at
                    ));
                }
            }
        }
        missing.into_iter().take(3).for_each(|text| self.fail(text));
    }

    /// The one limit: a broker loses it without any sign, and its origin has no link any more before it has said twice what it published,
    /// and ends.
    fn may_be_lost(&self, it: &Published) -> bool {
        let ended = self.lives[it.node] != it.life;
        let linked = self.linked_until.get(&it.epoch).copied().unwrap_or(u64::MAX);
        self.profile.loss > 0 && ended && linked <= it.at + 2 * SECOND + MS * 200
    }

    fn check_answers(&mut self) {
        let end = self.now;
        let open = self.published.iter().enumerate().find(|(_, it)| {
            let lives = self.lives[it.node] == it.life && self.nodes[it.node].is_some();
            it.answer.is_none() && lives && it.at + 3 * SECOND < end
        });
        if let Some((id, _)) = open {
            self.fail(format!("publish {id} was never answered"));
        }
    }

    /// All live nodes see the same, and it is so.
    fn check_views(&mut self) {
        let mut members: BTreeSet<(Topic, User)> = BTreeSet::new();
        let mut occupied: BTreeSet<Topic> = BTreeSet::new();
        for node in self.alive().into_iter().filter_map(|at| self.nodes[at].as_ref()) {
            members.extend(node.members.keys().cloned());
            occupied.extend(
                node.here
                    .iter()
                    .filter(|(_, here)| !here.is_empty())
                    .map(|(topic, _)| topic.clone()),
            );
        }
        let mut wrong = Vec::new();
        for at in self.alive() {
            let Some(node) = &self.nodes[at] else { continue };
            let seen: BTreeSet<Topic> = node.cluster.occupied().cloned().collect();
            if node.view != members {
                let differ: Vec<_> = node.view.symmetric_difference(&members).collect();
                wrong.push(format!("node {at} sees other members: {differ:?}"));
            }
            if seen != occupied {
                wrong.push(format!("node {at} sees {seen:?} occupied instead of {occupied:?}"));
            }
            let state = node.cluster.state();
            if !(state.open && state.complete && state.degraded.is_none()) && self.profile.swap != Swap::Wrong {
                wrong.push(format!("node {at} is {state:?} in the end"));
            }
            let waits = node
                .cluster
                .buses()
                .any(|bus| bus.left == bus.publishes || bus.target == bus.left);
            if waits && self.profile.swap != Swap::Wrong {
                wrong.push(format!("node {at} is in a swap in the end"));
            }
            for topic in &self.topics {
                let here = |number: &usize| self.is_here(*number) && self.sockets[*number].topic == *topic;
                let count = (0..self.sockets.len()).filter(here).count() as u64;
                let told = node.counts.get(topic).copied().unwrap_or(0);
                if (told, node.cluster.roster.count(topic)) != (count, count) {
                    wrong.push(format!(
                        "node {at} sees {told} subscribers of {topic} instead of {count}"
                    ));
                }
                let listed: BTreeSet<(Topic, User)> = node
                    .cluster
                    .members(topic)
                    .into_iter()
                    .map(|(user, _)| (topic.clone(), user))
                    .collect();
                if !listed.iter().all(|member| members.contains(member)) {
                    wrong.push(format!("node {at} lists {listed:?}"));
                }
            }
        }
        wrong.into_iter().for_each(|text| self.fail(text));
    }

    /// Of every channel, webhooks count by one and alternate; the last one tells how it is. After faults, an id may come twice.
    fn check_announcements(&mut self) {
        let mut wrong = Vec::new();
        for topic in &self.topics {
            let told: Vec<_> = self.announced.iter().filter(|it| it.topic == *topic).collect();
            let mut by_id: BTreeMap<(u64, u64), bool> = BTreeMap::new();
            let conflict = told.iter().any(|it| {
                let before = by_id.insert((it.series, it.k), it.occupied);
                before.is_some_and(|before| before != it.occupied)
            });
            if conflict {
                wrong.push(format!("{topic} was told to be both under one id: {told:?}"));
            }
            let alternate = told
                .iter()
                .zip(1..)
                .all(|(it, k)| it.k == k && it.occupied == (k % 2 == 1));
            if !alternate && !self.may_repeat() {
                wrong.push(format!("webhooks of {topic} do not alternate: {told:?}"));
            }
            let occupied = (0..self.sockets.len()).any(|at| self.is_here(at) && self.sockets[at].topic == *topic);
            // Who listens drops what it has heard, and what is older than that.
            let mut top: BTreeMap<u64, u64> = BTreeMap::new();
            let news = told.iter().filter(|it| {
                let highest = top.entry(it.series).or_default();
                let new = *highest < it.k;
                *highest = it.k.max(*highest);
                new
            });
            let last = news.last();
            // The one limit: an owner that announces and ends before anybody who lives on has heard of it.
            let lost = last.is_some_and(|it| self.unknown.contains(&(it.series, it.k)));
            if !lost && last.is_some_and(|it| it.occupied) != occupied {
                let ledgers = self.nodes.iter().flatten().map(|node| {
                    let entries = node.cluster.ledger.entries();
                    let entry = entries.into_iter().find(|it| it.topic == *topic);
                    (node.cluster.owns(topic), entry)
                });
                let ledgers: Vec<_> = ledgers.collect();
                wrong.push(format!(
                    "webhooks: {topic} is occupied: {occupied}, told last was {last:?}, {ledgers:?}"
                ));
            }
        }
        wrong.into_iter().for_each(|text| self.fail(text));
    }

    /// A node has ended: what did it know alone?
    pub(super) fn forget_announcements(&mut self) {
        let knows = |it: &Announcement| {
            let mut ledgers = self.nodes.iter().flatten().map(|node| node.cluster.ledger.entries());
            ledgers.any(|entries| {
                let later =
                    |entry: Announcement| entry.topic == it.topic && (entry.series, entry.k) >= (it.series, it.k);
                entries.into_iter().any(later)
            })
        };
        let lost = self.announced.iter().filter(|it| !knows(it));
        let lost: Vec<_> = lost.map(|it| (it.series, it.k)).collect();
        self.unknown.extend(lost);
    }

    /// Whoever opens is the only one of its name, unless the links between them are away.
    pub(super) fn check_name(&mut self, at: usize) {
        let name = self.name(at);
        let open = |other: &usize| {
            let node = self.nodes[*other].as_ref();
            self.name(*other) == name && node.is_some_and(|node| node.cluster.state().open)
        };
        if self.alive().iter().filter(|other| open(other)).count() > 1 {
            self.fail(format!("{name} is open twice"));
        }
    }

    fn may_repeat(&self) -> bool {
        let cuts = [Kind::Cut, Kind::Outage, Kind::Suspend, Kind::Crash];
        self.profile.kinds.iter().any(|kind| cuts.contains(kind)) || self.profile.swap == Swap::Wrong
    }

    fn check_quiet(&mut self) {
        let tally = self.tally;
        if tally.closed + tally.refused + tally.unknown > 0 {
            self.fail(format!("without a fault: {tally:?}"));
        }
        if self.tally.confirmed < 50 {
            self.fail(format!("hardly anything happened: {tally:?}"));
        }
    }

    /// Ten seconds after a crash nobody who was undisturbed lists its members.
    pub(super) fn check_ghosts(&mut self, since: u64, members: &BTreeSet<(Topic, User)>) {
        let live: BTreeSet<(Topic, User)> = self
            .alive()
            .into_iter()
            .filter_map(|at| self.nodes[at].as_ref())
            .flat_map(|node| node.members.keys().cloned())
            .collect();
        let mut ghosts = Vec::new();
        for at in self.alive() {
            let Some(node) = &self.nodes[at] else { continue };
            if node.disturbed >= since || node.asleep.is_some() {
                continue;
            }
            let lately = |member: &&(Topic, User)| self.left.get(*member).is_some_and(|at| at + SECOND > self.now);
            let left = members
                .iter()
                .filter(|member| node.view.contains(*member) && !live.contains(*member) && !lately(member));
            ghosts.extend(left.map(|member| format!("node {at} still lists {member:?}")));
        }
        // Whoever left a moment ago is on the way out.
        let moment = self.ended > since || self.profile.kinds.contains(&Kind::Cut) || self.profile.loss > 0;
        if !moment {
            ghosts.into_iter().for_each(|text| self.fail(text));
        }
    }

    pub(super) fn note_stats(&mut self, at: usize) {
        let Some(node) = &self.nodes[at] else { return };
        let stats = node.cluster.stats();
        self.tally.gaps += stats.gaps;
        self.tally.repaired += stats.repaired;
        self.tally.snapshots += stats.snapshots;
    }
}
