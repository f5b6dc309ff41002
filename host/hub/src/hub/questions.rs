//! What the HTTP API and signed-in users ask of the hub.

use jackfield_protocol::close::Close;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames::{self, Watched};
use jackfield_protocol::websocket;

use super::Hub;
use crate::cache::Cached;
use crate::shard::Job;
use crate::topic::Topic;
use crate::users::Place;

/// How many are in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Connections.
    pub subscriptions: u64,
    /// Distinct users, in a presence channel.
    pub users: u64,
}

impl Hub {
    /// The occupied channels of an app.
    pub fn channels(&self, app: &str) -> Vec<(ChannelName, Occupancy)> {
        let mut channels = Vec::new();
        for stripe in &self.stripes {
            for (topic, channel) in stripe.read().iter().filter(|(topic, _)| topic.app() == app) {
                let state = channel.state.lock();
                if state.subscribers() > 0 {
                    let occupancy = Occupancy {
                        subscriptions: state.subscribers().into(),
                        users: state.presence.len() as u64,
                    };
                    channels.push((topic.channel().clone(), occupancy));
                }
            }
        }
        channels
    }

    /// How many channels there are, of all apps, those just left included.
    pub fn channel_count(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.read().len()).sum()
    }

    /// How many are in a channel.
    pub fn occupancy(&self, topic: &Topic) -> Occupancy {
        let Some(channel) = self.find(topic.as_str()) else {
            return Occupancy::default();
        };
        let state = channel.state.lock();
        Occupancy {
            subscriptions: state.subscribers().into(),
            users: state.presence.len() as u64,
        }
    }

    /// The users in a presence channel.
    pub fn members(&self, topic: &Topic) -> Vec<String> {
        let Some(channel) = self.find(topic.as_str()) else {
            return Vec::new();
        };
        let state = channel.state.lock();
        state.presence.members().map(|(id, _)| id.to_owned()).collect()
    }

    /// The last event of a cache channel.
    pub fn cached(&self, topic: &Topic, now_ms: u64) -> Option<Cached> {
        self.cache.lock().get(topic, now_ms)
    }

    /// Notes that a user is on this connection. Gives the texts that tell the user about the watchlist.
    pub fn sign_in(&self, app: &str, user: &str, place: Place, watchlist: &[String]) -> Option<String> {
        let changed = self.users.sign_in(app, user, place, watchlist);
        self.tell_watchers(&changed.watchers, &Watched::Online(&[user]));
        let state = [Watched::Online(&changed.online), Watched::Offline(&changed.offline)];
        let told: Vec<_> = state.into_iter().filter(|watched| !is_empty(watched)).collect();
        (!told.is_empty()).then(|| frames::watchlist_events(&told))
    }

    /// Forgets what a connection watched for until it signed in once more.
    pub fn unwatch(&self, app: &str, place: Place, watchlist: &[String]) {
        self.users.unwatch(app, place, watchlist);
    }

    /// Notes that a user's connection is gone.
    pub fn sign_out(&self, app: &str, user: &str, place: Place, watchlist: &[String]) {
        let watchers = self.users.sign_out(app, user, place, watchlist);
        self.tell_watchers(&watchers, &Watched::Offline(&[user]));
    }

    /// Closes all connections of a user.
    pub fn terminate(&self, app: &str, user: &str) {
        for place in self.users.connections(app, user) {
            self.shards[place.shard].push(Job::Close(place, Close::Unauthorized));
        }
    }

    fn tell_watchers(&self, watchers: &[Place], event: &Watched<'_, &str>) {
        if watchers.is_empty() {
            return;
        }
        let frame = websocket::text_frame(frames::watchlist_events(std::slice::from_ref(event)).as_bytes());
        for place in watchers {
            self.shards[place.shard].push(Job::Tell(*place, frame.clone()));
        }
    }
}

fn is_empty<Id>(watched: &Watched<'_, Id>) -> bool {
    match watched {
        Watched::Online(ids) | Watched::Offline(ids) => ids.is_empty(),
    }
}
