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

/// What a signin or its end has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Who is to be told, because the user has just come or gone.
    pub(crate) watchers: Vec<Place>,
    /// Of the user's own watchlist, who is there and who is not.
    pub(crate) online: Vec<String>,
    pub(crate) offline: Vec<String>,
}

impl Users {
    /// Adds a connection of a user, and the user's watchlist. A connection that signs in again is one all the same.
    pub(crate) fn sign_in(&self, app: &str, user: &str, place: Place, watchlist: &[String]) -> Changed {
        let mut table = self.table.lock();
        let mut changed = Changed::default();
        for watched in watchlist {
            let entry = table.entry((app.to_owned(), watched.clone())).or_default();
            if !entry.watchers.contains(&place) {
                entry.watchers.push(place);
            }
            // Who signs in is online, also for a watchlist that names its own user.
            let online = watched == user || !entry.connections.is_empty();
            if online {
                &mut changed.online
            } else {
                &mut changed.offline
            }
            .push(watched.clone());
        }
        let entry = table.entry((app.to_owned(), user.to_owned())).or_default();
        if entry.connections.contains(&place) {
            return changed;
        }
        entry.connections.push(place);
        if entry.connections.len() == 1 {
            changed.watchers = entry
                .watchers
                .iter()
                .copied()
                .filter(|watcher| *watcher != place)
                .collect();
        }
        changed
    }

    /// Takes the connection and its watchlist away. Gives the watchers of a user who is gone with it.
    pub(crate) fn sign_out(&self, app: &str, user: &str, place: Place, watchlist: &[String]) -> Vec<Place> {
        let mut table = self.table.lock();
        unwatch(&mut table, app, place, watchlist);
        let mut watchers = Vec::new();
        release(&mut table, app, user, |entry| {
            let before = entry.connections.len();
            entry.connections.retain(|connection| *connection != place);
            if entry.connections.is_empty() && before > 0 {
                watchers.clone_from(&entry.watchers);
            }
        });
        watchers
    }

    /// Takes the watchlist of a connection away, before another one takes its place.
    pub(crate) fn unwatch(&self, app: &str, place: Place, watchlist: &[String]) {
        unwatch(&mut self.table.lock(), app, place, watchlist);
    }

    /// The connections of a user.
    pub(crate) fn connections(&self, app: &str, user: &str) -> Vec<Place> {
        let table = self.table.lock();
        table
            .get(&(app.to_owned(), user.to_owned()))
            .map_or_else(Vec::new, |user| user.connections.clone())
    }
}

fn unwatch(table: &mut HashMap<(String, String), User>, app: &str, place: Place, watchlist: &[String]) {
    for watched in watchlist {
        release(table, app, watched, |entry| {
            entry.watchers.retain(|watcher| *watcher != place)
        });
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

    // Pusher documents, "Watchlist events": first the present state, then changes.
    #[test]
    fn watchers_hear_of_the_first_and_the_last_connection() {
        let users = Users::default();
        let changed = users.sign_in("1", "ann", place(1), &list(&["bob", "ann"]));
        assert_eq!((changed.online, changed.offline), (list(&["ann"]), list(&["bob"])));
        assert_eq!(users.sign_in("1", "bob", place(2), &[]).watchers, [place(1)]);
        assert_eq!(users.sign_in("1", "bob", place(3), &[]).watchers, []);
        assert_eq!(users.sign_out("1", "bob", place(2), &[]), []);
        assert_eq!(users.sign_out("1", "bob", place(3), &[]), [place(1)]);
        users.sign_out("1", "ann", place(1), &list(&["bob", "ann"]));
        assert!(users.table.lock().is_empty(), "nothing is left behind");
    }

    #[test]
    fn the_watchlist_of_the_last_signin_counts() {
        let users = Users::default();
        users.sign_in("1", "ann", place(1), &list(&["bob"]));
        users.sign_in("1", "dora", place(4), &list(&["ann"]));
        users.unwatch("1", place(1), &list(&["bob"]));
        let changed = users.sign_in("1", "ann", place(1), &list(&["cleo"]));
        assert_eq!((changed.watchers, changed.offline), (vec![], list(&["cleo"])));
        assert_eq!(
            users.connections("1", "ann"),
            [place(1)],
            "once, however often it signs in"
        );
        assert_eq!(users.sign_in("1", "bob", place(2), &[]).watchers, []);
        assert_eq!(users.sign_in("1", "cleo", place(3), &[]).watchers, [place(1)]);
        users.sign_out("1", "bob", place(2), &[]);
        users.sign_out("1", "cleo", place(3), &[]);
        users.sign_out("1", "dora", place(4), &list(&["ann"]));
        users.sign_out("1", "ann", place(1), &list(&["cleo"]));
        assert!(users.table.lock().is_empty(), "nothing is left behind");
    }

    #[test]
    fn apps_do_not_see_each_other() {
        let users = Users::default();
        users.sign_in("1", "ann", place(1), &[]);
        assert_eq!(users.connections("1", "ann"), [place(1)]);
        assert_eq!(users.connections("2", "ann"), []);
        assert_eq!(
            users.sign_in("2", "eve", place(2), &list(&["ann"])).offline,
            list(&["ann"])
        );
    }
}
