//! What an app's server is told of members.

use std::collections::{BTreeMap, BTreeSet};

use super::workload::{USERS, user};
use super::world::{Node, World};
use crate::{Cluster, MemberNotice, Topic, User};

/// What one node told, and the others that know of it.
#[derive(Default)]
pub(super) struct Told {
    notices: Vec<MemberNotice>,
    /// Whoever knew of these when it ended was the last one.
    orphaned: BTreeSet<(Topic, User)>,
}

impl World {
    pub(super) fn notice(&mut self, at: usize, it: MemberNotice) {
        self.say(|| format!("node {at} tells {it:?}"));
        self.tally.told += 1;
        self.tally.repeated += u64::from(self.told.notices.contains(&it));
        self.told.orphaned.remove(&(it.topic.clone(), it.user.clone()));
        self.told.notices.push(it);
    }

    /// In the end the app's server knows who is there, if it drops what it has heard under the same id. Without faults that is always so,
    /// and nothing is told twice; with faults it is counted when it is not.
    pub(super) fn check_notices(&mut self) {
        let mut here: BTreeSet<(Topic, User)> = BTreeSet::new();
        for node in self.nodes.iter().flatten() {
            here.extend(node.members.keys().cloned());
        }
        let mut by_user: BTreeMap<(Topic, User), Vec<&MemberNotice>> = BTreeMap::new();
        by_user.extend(here.iter().map(|who| (who.clone(), Vec::new())));
        for it in &self.told.notices {
            let told = by_user.entry((it.topic.clone(), it.user.clone())).or_default();
            if !told.contains(&it) {
                told.push(it);
            }
        }
        let (mut wrong, mut crossed) = (Vec::new(), 0);
        for (who, told) in &by_user {
            let same = |pair: &&[&MemberNotice]| pair[0].came() == pair[1].came();
            crossed += told.windows(2).filter(same).count() as u64;
            let (is_here, last) = (here.contains(who), told.last());
            // What was told last is known to nobody who lives: all who knew it have ended.
            let known = |it: &MemberNotice| self.nodes.iter().flatten().any(|node| node.cluster.notices.knows(it));
            let lost = self.told.orphaned.contains(who) || last.is_some_and(|it| !known(it));
            if last.is_some_and(|it| it.came()) != is_here && !lost {
                wrong.push(format!("members: {who:?} is here: {is_here}, told was {told:?}"));
            }
        }
        self.tally.crossed += crossed;
        self.tally.astray += wrong.len() as u64;
        for text in &wrong {
            self.say(|| text.clone());
        }
        if self.profile.faults > 0 {
            return;
        }
        if self.profile.is_quiet() && self.tally.repeated + crossed > 0 {
            wrong.push(format!("members: twice without a fault: {:?}", self.tally));
        }
        wrong.into_iter().for_each(|text| self.fail(text));
    }

    /// A node has ended: what did it know alone? That somebody is there, or that there is something to tell of them.
    pub(super) fn forget_notices(&mut self, ended: Option<&Node>) {
        let nodes = || self.nodes.iter().flatten().map(|node| &node.cluster);
        let waits = |node: &Cluster, (topic, user): &(Topic, User)| {
            let mut waiting = node.notices.waiting();
            waiting.any(|it| (&it.topic, &it.user) == (topic, user))
        };
        let lists = |node: &Cluster, (topic, user): &(Topic, User)| node.roster.has_member(topic, user);
        let alone = |who: &(Topic, User), knows: &dyn Fn(&Cluster, &(Topic, User)) -> bool| {
            ended.is_some_and(|node| knows(&node.cluster, who)) && !nodes().any(|node| knows(node, who))
        };
        let mut orphaned = self.users();
        orphaned.retain(|who| alone(who, &waits) || alone(who, &lists) && !nodes().any(|node| waits(node, who)));
        self.say(|| format!("nobody knows of {orphaned:?} any more"));
        self.told.orphaned.extend(orphaned);
    }

    fn users(&self) -> Vec<(Topic, User)> {
        let topics = self.topics.iter().filter(|topic| topic.as_str().contains("presence"));
        let users = |topic: &Topic| {
            (0..USERS)
                .map(|number| (topic.clone(), user(number)))
                .collect::<Vec<_>>()
        };
        topics.flat_map(users).collect()
    }
}
