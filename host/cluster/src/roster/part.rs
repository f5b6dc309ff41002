//! One node's part of the roster: its topics, with their subscribers and members.

use std::collections::BTreeMap;

use bytes::Bytes;
use jackfield_envelope::{Move, Topic, User};

use crate::stable::{Keyed, Table, hash};

/// What one node has.
pub(crate) struct Part {
    places: Table<Place>,
    /// Of all entries, whatever their order; two nodes compare it.
    pub(crate) digest: u64,
}

/// What one node has of one topic.
#[derive(Default)]
struct Place {
    occupied: bool,
    subscribers: u32,
    members: BTreeMap<User, Member>,
}

/// A user who is there.
#[derive(Clone, PartialEq, Eq)]
struct Member {
    info: Bytes,
    /// The number of the transition with which they came.
    number: u64,
}

impl Part {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            places: Table::with_hasher(Keyed(seed)),
            digest: 0,
        }
    }

    pub(crate) fn occupies(&self, topic: &Topic) -> bool {
        self.places.get(topic).is_some_and(|place| place.occupied)
    }

    pub(crate) fn subscribers(&self, topic: &Topic) -> u32 {
        self.places.get(topic).map_or(0, |place| place.subscribers)
    }

    pub(crate) fn has_member(&self, topic: &Topic, user: &str) -> bool {
        self.places
            .get(topic)
            .is_some_and(|place| place.members.contains_key(user))
    }

    pub(crate) fn members(&self, topic: &Topic) -> impl Iterator<Item = (&User, &Bytes)> {
        let members = self.places.get(topic).into_iter().flat_map(|place| &place.members);
        members.map(|(user, member)| (user, &member.info))
    }

    /// The number of the transition with which a user came.
    pub(crate) fn came(&self, topic: &Topic, user: &str) -> Option<u64> {
        let place = self.places.get(topic)?;
        place.members.get(user).map(|member| member.number)
    }

    pub(crate) fn is_empty_at(&self, topic: &Topic) -> bool {
        !self.places.contains_key(topic)
    }

    /// Carries out a transition of this number on its topic. False if it changed nothing.
    pub(crate) fn apply(&mut self, topic: &Topic, step: &Move, number: u64) -> bool {
        let place = self.places.entry(topic.clone()).or_default();
        let name = topic.as_str().as_bytes();
        let mut digest = 0;
        match step {
            Move::Occupied(_) | Move::Vacated(_) => {
                let occupied = matches!(step, Move::Occupied(_));
                if std::mem::replace(&mut place.occupied, occupied) != occupied {
                    digest = hash(&[b"occupied", name]);
                }
            }
            Move::Counted(_, count) => {
                let count_digest = |count: u32| hash(&[b"counted", name, &count.to_le_bytes()]);
                let before = std::mem::replace(&mut place.subscribers, *count);
                digest = count_digest(before) ^ count_digest(*count);
            }
            Move::Joined(_, user, info) => {
                let member = Member {
                    info: info.clone(),
                    number,
                };
                let before = place.members.insert(User::clone(user), member);
                let before = before.map_or(0, |member| member_digest(name, user, &member.info));
                digest = member_digest(name, user, info) ^ before;
            }
            Move::Left(_, user) => {
                let before = place.members.remove(user);
                digest = before.map_or(0, |member| member_digest(name, user, &member.info));
            }
            Move::Announced(_) => {}
        }
        if !place.occupied && place.subscribers == 0 && place.members.is_empty() {
            self.places.remove(topic);
        }
        self.digest ^= digest;
        digest != 0
    }

    /// The transitions that make this part out of nothing.
    pub(crate) fn steps(&self) -> Vec<(Move, u64)> {
        Self::new(0).steps_to(self)
    }

    /// The transitions that make the other part out of this one, comings before goings. With their numbers, if they have one.
    pub(crate) fn steps_to(&self, to: &Self) -> Vec<(Move, u64)> {
        let empty = Place::default();
        let (mut came, mut gone) = (Vec::new(), Vec::new());
        for (topic, wanted) in sorted(&to.places) {
            let place = self.places.get(topic).unwrap_or(&empty);
            if wanted.occupied && !place.occupied {
                came.push((Move::Occupied(topic.clone()), 0));
            }
            if wanted.subscribers != place.subscribers {
                came.push((Move::Counted(topic.clone(), wanted.subscribers), 0));
            }
            for (user, member) in &wanted.members {
                if place.members.get(user) != Some(member) {
                    let step = Move::Joined(topic.clone(), User::clone(user), member.info.clone());
                    came.push((step, member.number));
                }
            }
        }
        for (topic, place) in sorted(&self.places) {
            let wanted = to.places.get(topic).unwrap_or(&empty);
            for user in place.members.keys().filter(|user| !wanted.members.contains_key(*user)) {
                gone.push((Move::Left(topic.clone(), User::clone(user)), 0));
            }
            if place.subscribers > 0 && !to.places.contains_key(topic) {
                gone.push((Move::Counted(topic.clone(), 0), 0));
            }
            if place.occupied && !wanted.occupied {
                gone.push((Move::Vacated(topic.clone()), 0));
            }
        }
        came.append(&mut gone);
        came
    }
}

fn member_digest(topic: &[u8], user: &str, info: &[u8]) -> u64 {
    hash(&[b"member", topic, user.as_bytes(), info])
}

fn sorted(places: &Table<Place>) -> Vec<(&Topic, &Place)> {
    let mut places: Vec<_> = places.iter().collect();
    places.sort_unstable_by_key(|(topic, _)| *topic);
    places
}
