//! Who is in a presence channel: users, each with the number of their connections.
//!
//! A user is added with the first connection and removed with the last one. Whoever comes back within a few seconds was
//! never away as far as an app's server is told: see [`Presence::leave`].

use std::collections::BTreeMap;

use jackfield_protocol::pusher::session::Member;
use serde_json::value::RawValue;

/// The members of one channel. Empty for channels of other kinds, and then without any allocation.
#[derive(Default)]
pub(crate) struct Presence {
    users: BTreeMap<String, User>,
    /// Users whose last connection left a moment ago, since when.
    leaving: BTreeMap<String, u64>,
}

struct User {
    info: Option<Box<RawValue>>,
    connections: u32,
}

/// What a connection's coming means for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// The user was there already.
    Again,
    /// The user is new to the subscribers, but was away so shortly that nobody else is told.
    Back,
    /// The user is new.
    First,
}

impl Presence {
    /// Adds a connection of a user. The first connection's `user_info` counts.
    pub(crate) fn join(&mut self, member: &Member) -> Came {
        if let Some(user) = self.users.get_mut(&member.user_id) {
            user.connections += 1;
            return Came::Again;
        }
        let user = User {
            info: member.user_info.clone(),
            connections: 1,
        };
        self.users.insert(member.user_id.clone(), user);
        if self.leaving.remove(&member.user_id).is_some() {
            Came::Back
        } else {
            Came::First
        }
    }

    /// Takes a connection of a user away. True if it was the last one: the subscribers are told at once, and
    /// [`Presence::is_gone`] says later whether the app's server is to be told.
    pub(crate) fn leave(&mut self, user_id: &str, now_ms: u64) -> bool {
        let Some(user) = self.users.get_mut(user_id) else {
            return false;
        };
        user.connections -= 1;
        if user.connections > 0 {
            return false;
        }
        self.users.remove(user_id);
        self.leaving.insert(user_id.to_owned(), now_ms);
        true
    }

    /// Whether a user who left at `since_ms` has stayed away. Asked once.
    pub(crate) fn is_gone(&mut self, user_id: &str, since_ms: u64) -> bool {
        let gone = self.leaving.get(user_id) == Some(&since_ms);
        if gone {
            self.leaving.remove(user_id);
        }
        gone
    }

    /// All who have left and were not asked about yet, for a channel that is about to go.
    pub(crate) fn take_leaving(&mut self) -> impl Iterator<Item = String> + use<> {
        std::mem::take(&mut self.leaving).into_keys()
    }

    /// Whether the user may come into a channel of at most `limit` users.
    pub(crate) fn has_room(&self, user_id: &str, limit: usize) -> bool {
        self.users.len() < limit || self.users.contains_key(user_id)
    }

    /// The users and their `user_info`, by id.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, Option<&RawValue>)> {
        self.users.iter().map(|(id, user)| (id.as_str(), user.info.as_deref()))
    }

    /// How many users there are.
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(user_id: &str) -> Member {
        Member {
            user_id: user_id.to_owned(),
            user_info: None,
        }
    }

    // Pusher documents, "Presence channels": added with the first connection, removed with the last one.
    #[test]
    fn a_user_is_counted_once() {
        let mut presence = Presence::default();
        assert_eq!(presence.join(&member("1")), Came::First);
        assert_eq!(presence.join(&member("1")), Came::Again);
        assert_eq!(presence.join(&member("2")), Came::First);
        assert_eq!(presence.len(), 2);
        assert!(!presence.leave("1", 0));
        assert!(presence.leave("1", 0));
        assert!(!presence.leave("1", 0), "nobody leaves twice");
        assert_eq!(presence.members().map(|(id, _)| id).collect::<Vec<_>>(), ["2"]);
    }

    #[test]
    fn who_comes_back_was_never_gone() {
        let mut presence = Presence::default();
        presence.join(&member("1"));
        assert!(presence.leave("1", 5));
        assert_eq!(presence.join(&member("1")), Came::Back);
        assert!(!presence.is_gone("1", 5));
        assert!(presence.leave("1", 7));
        assert!(!presence.is_gone("1", 5), "that was the leave before");
        assert!(presence.is_gone("1", 7));
        assert_eq!(presence.join(&member("1")), Came::First);
    }

    #[test]
    fn who_has_left_is_told_of_once() {
        let mut presence = Presence::default();
        presence.join(&member("1"));
        assert!(presence.leave("1", 5));
        assert_eq!(presence.take_leaving().collect::<Vec<_>>(), ["1"]);
        assert!(!presence.is_gone("1", 5));
    }

    #[test]
    fn a_full_channel_takes_its_own_users_alone() {
        let mut presence = Presence::default();
        presence.join(&member("1"));
        assert!(presence.has_room("1", 1) && !presence.has_room("2", 1) && presence.has_room("2", 2));
    }
}
