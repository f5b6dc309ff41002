//! What the HTTP API and signed-in users ask of the hub.

use std::collections::HashMap;
use std::sync::Arc;

use jackfield_protocol::names::{ChannelKind, ChannelName};

use super::{Hub, PublishError};
use crate::cache::Cached;
use crate::cluster::{News, Signed, Watch};
use crate::command::Command;
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
    /// The occupied channels of an app, on all instances.
    pub fn channels(&self, app: &str) -> Vec<(ChannelName, Occupancy)> {
        let mut subscriptions: HashMap<Topic, u64> = HashMap::new();
        for (topic, count) in self.cluster.channels_elsewhere(app) {
            if let Some(topic) = Topic::parse(&topic) {
                subscriptions.insert(topic, count);
            }
        }
        for stripe in &self.stripes {
            for (topic, channel) in stripe.read().iter().filter(|(topic, _)| topic.app() == app) {
                let here = channel.state.lock().subscribers();
                if here > 0 {
                    *subscriptions.entry(topic.clone()).or_default() += u64::from(here);
                }
            }
        }
        let occupancy = |(topic, subscriptions): (Topic, u64)| {
            let users = if topic.channel().kind() == ChannelKind::Presence {
                self.cluster.elsewhere(&topic).members.len() as u64
            } else {
                0
            };
            (topic.channel().clone(), Occupancy { subscriptions, users })
        };
        subscriptions.into_iter().map(occupancy).collect()
    }

    /// How many channels there are here, of all apps, those just left included.
    pub fn channel_count(&self) -> usize {
        self.stripes.iter().map(|stripe| stripe.read().len()).sum()
    }

    /// How many are in a channel, on all instances.
    pub fn occupancy(&self, topic: &Topic) -> Occupancy {
        let here = self.find(topic.as_str());
        let here = here.map_or(0, |channel| u64::from(channel.state.lock().subscribers()));
        let elsewhere = self.cluster.elsewhere(topic);
        Occupancy {
            subscriptions: here + elsewhere.subscribers,
            users: elsewhere.members.len() as u64,
        }
    }

    /// The users in a presence channel, on all instances.
    pub fn members(&self, topic: &Topic) -> Vec<Arc<str>> {
        let members = self.cluster.elsewhere(topic).members;
        members.into_iter().map(|member| member.user).collect()
    }

    /// The last event of a cache channel.
    pub fn cached(&self, topic: &Topic, now_ms: u64) -> Option<Cached> {
        self.cache.lock().get(topic, now_ms)
    }

    /// Notes that a user is on this connection. The connection is told about the watchlist in a moment, and from then on.
    pub fn sign_in(&self, who: Signed, place: Place, list: Vec<String>) {
        let app = Arc::clone(&who.app);
        if self.users.sign_in(&who.app, &who.user, place) {
            self.tell_cluster(News::SignedIn(who));
        }
        self.tell_cluster(News::Watch(Watch { place, app, list }));
        self.drive();
    }

    /// Forgets what a connection watched for until it signed in once more.
    pub fn unwatch(&self, watch: Watch) {
        self.tell_cluster(News::Unwatch(watch));
    }

    /// Notes that a user's connection is gone.
    pub fn sign_out(&self, who: Signed, place: Place, list: Vec<String>) {
        let app = Arc::clone(&who.app);
        self.tell_cluster(News::Unwatch(Watch { place, app, list }));
        if self.users.sign_out(&who.app, &who.user, place) {
            self.tell_cluster(News::SignedOut(who));
        }
        self.drive();
    }

    /// Closes all connections of a user, on all instances.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`]: other instances cannot be told.
    pub fn terminate(&self, app: &str, user: &str) -> Result<(), PublishError> {
        if let Some(reason) = self.health().degraded {
            return Err(PublishError::Unavailable(reason));
        }
        self.command(Command::Terminate { app, user });
        self.drive();
        Ok(())
    }
}
