//! Signed-in users: on which connections each is, and who watches for them.
//!
//! One lock for all of it: users sign in once per connection, which is rare beside what they do then.

use std::collections::HashMap;

use jackfield_protocol::names::SocketId;
use parking_lot::Mutex;

/// One connection, from any thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The event loop.
    pub shard: usize,
    /// The place there.
    pub slot: usize,
    /// Tells the socket from an earlier one in the same place.
    pub socket: SocketId,
}

/// All users of all apps.
#[derive(Default)]
pub(crate) struct Users {
    /// By app and user id.
    table: Mutex<HashMap<(String, String), User>>,
}

/// Here for its connections, its watchers, or both.
#[derive(Default)]
struct User {
    connections: Vec<Place>,
    watchers: Vec<Place>,
}

impl Users {
    /// Adds a connection of a user. True if it is the first one here; a connection that signs in again is one all the same.
    pub(crate) fn sign_in(&self, app: &str, user: &str, place: Place) -> bool {
        let mut table = self.table.lock();
        let entry = table.entry((app.to_owned(), user.to_owned())).or_default();
        if entry.connections.contains(&place) {
            return false;
        }
        entry.connections.push(place);
        entry.connections.len() == 1
    }

    /// Takes a connection away. True if it was the user's last one here.
    pub(crate) fn sign_out(&self, app: &str, user: &str, place: Place) -> bool {
        let mut last = false;
        release(&mut self.table.lock(), app, user, |entry| {
            let before = entry.connections.len();
            entry.connections.retain(|connection| *connection != place);
            last = entry.connections.is_empty() && before > 0;
        });
        last
    }

    /// Adds a connection's watchlist.
    pub(crate) fn watch(&self, app: &str, place: Place, list: &[String]) {
        let mut table = self.table.lock();
        for watched in list {
            let entry = table.entry((app.to_owned(), watched.clone())).or_default();
            if !entry.watchers.contains(&place) {
                entry.watchers.push(place);
            }
        }
    }

    /// Takes the watchlist of a connection away.
    pub(crate) fn unwatch(&self, app: &str, place: Place, list: &[String]) {
        let mut table = self.table.lock();
        for watched in list {
            release(&mut table, app, watched, |entry| {
                entry.watchers.retain(|watcher| *watcher != place);
            });
        }
    }

    /// Who watches for a user.
    pub(crate) fn watchers(&self, app: &str, user: &str) -> Vec<Place> {
        self.list(app, user, |entry| &entry.watchers)
    }

    /// The connections of a user.
    pub(crate) fn connections(&self, app: &str, user: &str) -> Vec<Place> {
        self.list(app, user, |entry| &entry.connections)
    }

    fn list(&self, app: &str, user: &str, which: impl FnOnce(&User) -> &Vec<Place>) -> Vec<Place> {
        let table = self.table.lock();
        let entry = table.get(&(app.to_owned(), user.to_owned()));
        entry.map_or_else(Vec::new, |entry| which(entry).clone())
    }
}

fn release(table: &mut HashMap<(String, String), User>, app: &str, user: &str, act: impl FnOnce(&mut User)) {
    let key = (app.to_owned(), user.to_owned());
    let Some(entry) = table.get_mut(&key) else { return };
    act(entry);
    if entry.connections.is_empty() && entry.watchers.is_empty() {
        table.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u32) -> Place {
        Place {
            shard: 0,
            slot: number as usize,
            socket: SocketId {
                high: number,
                low: number,
            },
        }
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_first_and_the_last_connection_are_told_apart() {
        let users = Users::default();
        assert!(users.sign_in("1", "bob", place(2)));
        assert!(!users.sign_in("1", "bob", place(3)));
        assert!(!users.sign_in("1", "bob", place(3)), "once, however often it signs in");
        assert!(!users.sign_out("1", "bob", place(2)));
        assert!(users.sign_out("1", "bob", place(3)));
        assert!(!users.sign_out("1", "bob", place(3)), "nobody leaves twice");
        assert!(users.table.lock().is_empty(), "nothing is left behind");
    }

    #[test]
    fn who_watches_is_found_until_it_watches_no_longer() {
        let users = Users::default();
        users.watch("1", place(1), &list(&["bob", "bob", "ann"]));
        users.sign_in("1", "bob", place(2));
        assert_eq!(users.watchers("1", "bob"), [place(1)]);
        assert_eq!(users.connections("1", "bob"), [place(2)]);
        assert_eq!(users.watchers("2", "bob"), [], "apps do not see each other");
        users.unwatch("1", place(1), &list(&["bob", "ann"]));
        assert_eq!(users.watchers("1", "bob"), []);
        users.sign_out("1", "bob", place(2));
        assert!(users.table.lock().is_empty(), "nothing is left behind");
    }
}
