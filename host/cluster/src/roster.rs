//! Who is where: every node's own part, and the merged view.
//!
//! The view is the union of the parts; nothing else is kept of it but which nodes have something of a topic. A user is in
//! a channel as long as one part has them there.

mod outbox;
mod part;
mod pull;

use std::collections::BTreeMap;

use bytes::Bytes;
use jackfield_envelope::{Move, NodeId, Stay, Topic, User};

use crate::stable::{Keyed, Table};
pub(crate) use outbox::{GATHER_US, Outbox, chunks};
use part::Part;
pub(crate) use pull::Pull;

/// All parts.
pub(crate) struct Roster {
    seed: u64,
    parts: BTreeMap<NodeId, Part>,
    /// The nodes that have something of a topic.
    index: Table<Vec<NodeId>>,
    pub(crate) outbox: Outbox,
}

/// What a transition meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The node occupies the topic now.
    Came(Topic),
    /// It does not any more.
    Went(Topic),
    /// Nobody had the user there before. With the stay that begins, where it is one that an app's server is told of.
    Added(Topic, User, Bytes, Option<Stay>),
    /// Nobody has the user there any more. With the stay that ends, where it is one that an app's server is told of.
    Removed(Topic, User, Option<Stay>),
    Counted(Topic),
}

impl Roster {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            parts: BTreeMap::new(),
            index: Table::with_hasher(Keyed(seed)),
            outbox: Outbox::default(),
        }
    }

    pub(crate) fn add_node(&mut self, node: NodeId) {
        let seed = self.seed;
        self.parts.entry(node).or_insert_with(|| Part::new(seed));
    }

    /// Takes a node's part out of the view.
    pub(crate) fn remove_node(&mut self, node: NodeId) -> Vec<Change> {
        let changes = self.replace(node, &[]);
        self.parts.remove(&node);
        changes
    }

    /// The nodes with subscribers of a topic.
    pub(crate) fn occupants(&self, topic: &Topic) -> impl Iterator<Item = NodeId> {
        self.having(topic)
            .filter(|(_, part)| part.occupies(topic))
            .map(|(node, _)| node)
    }

    pub(crate) fn is_occupied(&self, topic: &Topic) -> bool {
        self.occupants(topic).next().is_some()
    }

    /// All topics with subscribers somewhere.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = &Topic> {
        self.index.keys().filter(|topic| self.is_occupied(topic))
    }

    /// The users of a topic with what is known of them, by id.
    pub(crate) fn members(&self, topic: &Topic) -> BTreeMap<User, Bytes> {
        let mut members = BTreeMap::new();
        for (_, part) in self.having(topic) {
            for (user, info) in part.members(topic) {
                members.entry(User::clone(user)).or_insert_with(|| info.clone());
            }
        }
        members
    }

    pub(crate) fn has_member(&self, topic: &Topic, user: &str) -> bool {
        self.having(topic).any(|(_, part)| part.has_member(topic, user))
    }

    /// A user's stays.
    pub(crate) fn stays(&self, topic: &Topic, user: &str) -> impl Iterator<Item = Stay> {
        self.having(topic).filter_map(move |(node, part)| {
            let number = part.came(topic, user)?;
            Some(Stay { node, number })
        })
    }

    /// Subscribers of a topic everywhere, as far as nodes tell them.
    pub(crate) fn count(&self, topic: &Topic) -> u64 {
        self.having(topic)
            .map(|(_, part)| u64::from(part.subscribers(topic)))
            .sum()
    }

    /// Those at one node.
    pub(crate) fn count_of(&self, node: NodeId, topic: &Topic) -> u64 {
        let part = self.parts.get(&node);
        part.map_or(0, |part| u64::from(part.subscribers(topic)))
    }

    pub(crate) fn digest_of(&self, node: NodeId) -> u64 {
        self.parts.get(&node).map_or(0, |part| part.digest)
    }

    /// The transitions that make a node's part out of nothing, with their numbers.
    pub(crate) fn steps_of(&self, node: NodeId) -> Vec<(Move, u64)> {
        self.parts.get(&node).map_or_else(Vec::new, Part::steps)
    }

    /// Carries out a node's transition of this number.
    pub(crate) fn apply(&mut self, node: NodeId, step: &Move, number: u64) -> Vec<Change> {
        let Some(part) = self.parts.get_mut(&node) else {
            return Vec::new();
        };
        let topic = match step {
            Move::Occupied(topic) | Move::Vacated(topic) | Move::Counted(topic, _) => topic,
            Move::Joined(topic, ..) | Move::Left(topic, _) => topic,
            Move::Announced(_) => return Vec::new(),
        };
        // Who is there already does not come. A topic without subscribers stands for an app: nobody is told who signs in.
        let began = match step {
            Move::Joined(_, user, _) if !part.has_member(topic, user) => Some(number),
            Move::Left(_, user) => part.came(topic, user),
            _ => None,
        };
        let stay = began
            .filter(|_| part.occupies(topic))
            .map(|number| Stay { node, number });
        if !part.apply(topic, step, number) {
            return Vec::new();
        }
        let left = part.is_empty_at(topic);
        self.note(node, topic, left);
        let others = |user: &User| {
            self.having(topic)
                .any(|(other, part)| other != node && part.has_member(topic, user))
        };
        let change = match step {
            Move::Occupied(_) => Change::Came(topic.clone()),
            Move::Vacated(_) => Change::Went(topic.clone()),
            Move::Joined(_, user, info) if !others(user) => {
                Change::Added(topic.clone(), User::clone(user), info.clone(), stay)
            }
            Move::Left(_, user) if !others(user) => Change::Removed(topic.clone(), User::clone(user), stay),
            Move::Joined(..) | Move::Left(..) => return Vec::new(),
            Move::Counted(..) | Move::Announced(_) => Change::Counted(topic.clone()),
        };
        vec![change]
    }

    /// Makes a node's part what these steps make out of nothing, by transitions of which none is seen half way.
    pub(crate) fn replace(&mut self, node: NodeId, steps: &[(Move, u64)]) -> Vec<Change> {
        let mut wanted = Part::new(self.seed);
        for (step, number) in steps {
            if let Move::Occupied(topic) | Move::Counted(topic, _) | Move::Joined(topic, ..) = step {
                wanted.apply(topic, step, *number);
            }
        }
        let Some(part) = self.parts.get(&node) else {
            return Vec::new();
        };
        let steps = part.steps_to(&wanted);
        let apply = |(step, number): &(Move, u64)| self.apply(node, step, *number);
        steps.iter().flat_map(apply).collect()
    }

    fn having(&self, topic: &Topic) -> impl Iterator<Item = (NodeId, &Part)> {
        let nodes = self.index.get(topic).into_iter().flatten();
        nodes.filter_map(|node| Some((*node, self.parts.get(node)?)))
    }

    fn note(&mut self, node: NodeId, topic: &Topic, left: bool) {
        let nodes = self.index.entry(topic.clone()).or_default();
        if left {
            nodes.retain(|known| *known != node);
            if nodes.is_empty() {
                self.index.remove(topic);
            }
        } else if let Err(at) = nodes.binary_search(&node) {
            nodes.insert(at, node);
        }
    }
}
