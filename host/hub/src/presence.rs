//! Who is in a presence channel: users, everywhere, and the number of connections that each has here.
//!
//! A user is added with the first connection and removed with the last one, wherever those are. Users who come into a channel
//! here are added at once; that they have left follows from what the cluster says, since they may be elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jackfield_protocol::pusher::session::Member;
use serde_json::value::RawValue;

use crate::cluster::Present;

/// The members of one channel. Empty for channels of other kinds, and then without any allocation.
#[derive(Default)]
pub(crate) struct Presence {
    /// Everywhere.
    users: BTreeMap<Arc<str>, Option<Box<RawValue>>>,
    /// Connections here.
    here: BTreeMap<Arc<str>, u32>,
}

/// What a connection's coming means for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    /// The user was nowhere in the channel.
    pub(crate) new: bool,
    /// The user was not in the channel here.
    pub(crate) first_here: bool,
}

impl Presence {
    /// Those who are in the channel as it begins to be followed.
    pub(crate) fn begin(&mut self, members: &[Present]) {
        self.users = members
            .iter()
            .map(|member| (Arc::clone(&member.user), info(member)))
            .collect();
    }

    /// Adds a connection of a user. The first connection's `user_info` counts.
    pub(crate) fn join(&mut self, member: &Member) -> Came {
        let user: Arc<str> = member.user_id.as_str().into();
        let connections = self.here.entry(Arc::clone(&user)).or_default();
        *connections += 1;
        let first_here = *connections == 1;
        let new = !self.users.contains_key(&user);
        if new {
            self.users.insert(user, member.user_info.clone());
        }
        Came { new, first_here }
    }

    /// Takes a connection of a user away. True if it was the last one here: the cluster is told.
    pub(crate) fn leave(&mut self, user: &str) -> bool {
        let Some(connections) = self.here.get_mut(user) else {
            return false;
        };
        *connections -= 1;
        let last = *connections == 0;
        if last {
            self.here.remove(user);
        }
        last
    }

    /// A user has come, somewhere. True if that is new.
    pub(crate) fn add(&mut self, member: &Present) -> bool {
        let new = !self.users.contains_key(&member.user);
        if new {
            self.users.insert(Arc::clone(&member.user), info(member));
        }
        new
    }

    /// A user is nowhere any more, as far as the cluster has heard. Who has come back here meanwhile was never away.
    pub(crate) fn remove(&mut self, user: &str) -> bool {
        !self.here.contains_key(user) && self.users.remove(user).is_some()
    }

    /// Whether the user may come into a channel of at most `limit` users.
    pub(crate) fn has_room(&self, user: &str, limit: usize) -> bool {
        self.users.len() < limit || self.users.contains_key(user)
    }

    /// The users and their `user_info`, by id.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, Option<&RawValue>)> {
        self.users.iter().map(|(id, info)| (&**id, info.as_deref()))
    }
}

/// A member as the cluster carries it.
pub(crate) fn present(member: &Member) -> Present {
    let info = member.user_info.as_ref();
    Present {
        user: member.user_id.as_str().into(),
        info: info.map_or_else(Bytes::new, |info| Bytes::copy_from_slice(info.get().as_bytes())),
    }
}

/// The `user_info` of a member: none if there is none, or none that could be sent on.
pub(crate) fn info(member: &Present) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(&member.info).ok()?;
    serde_json::from_str(text).ok()
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

    fn ids(presence: &Presence) -> Vec<&str> {
        presence.members().map(|(id, _)| id).collect()
    }

    // Pusher documents, "Presence channels": added with the first connection, removed with the last one.
    #[test]
    fn a_user_is_counted_once() {
        let mut presence = Presence::default();
        let came = |new, first_here| Came { new, first_here };
        assert_eq!(presence.join(&member("1")), came(true, true));
        assert_eq!(presence.join(&member("1")), came(false, false));
        assert_eq!(presence.join(&member("2")), came(true, true));
        assert!(!presence.leave("1"));
        assert!(presence.leave("1"));
        assert!(!presence.leave("1"), "nobody leaves twice");
        assert!(presence.remove("1"), "and is nowhere else");
        assert_eq!(ids(&presence), ["2"]);
    }

    #[test]
    fn who_is_elsewhere_stays() {
        let mut presence = Presence::default();
        presence.begin(&[present(&member("1"))]);
        let again = Came {
            new: false,
            first_here: true,
        };
        assert_eq!(presence.join(&member("1")), again);
        assert!(presence.leave("1"));
        assert_eq!(ids(&presence), ["1"]);
        assert!(!presence.add(&present(&member("1"))));
    }

    #[test]
    fn who_has_come_back_here_is_not_removed() {
        let mut presence = Presence::default();
        presence.join(&member("1"));
        assert!(presence.leave("1"));
        presence.join(&member("1"));
        assert!(!presence.remove("1"), "that was the leave before");
        assert_eq!(ids(&presence), ["1"]);
    }

    #[test]
    fn the_info_of_a_member_crosses_as_it_is() {
        let member = Member {
            user_id: "1".to_owned(),
            user_info: serde_json::from_str(r#"{"name": "Ann"}"#).expect("a value"),
        };
        let crossed = info(&present(&member)).expect("an info");
        assert_eq!(crossed.get(), r#"{"name": "Ann"}"#);
    }

    #[test]
    fn a_full_channel_takes_its_own_users_alone() {
        let mut presence = Presence::default();
        presence.join(&member("1"));
        assert!(presence.has_room("1", 1) && !presence.has_room("2", 1) && presence.has_room("2", 2));
    }
}
