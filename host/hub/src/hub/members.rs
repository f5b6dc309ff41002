//! Members who came and went, as an app's server is told of them: by one instance, and by another one if that died.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Hub;
use crate::cluster::Teller;
use crate::topic::Topic;

/// A user who came into a presence channel, or left it.
pub(super) struct Moved {
    topic: Topic,
    user: Arc<str>,
    came: bool,
    /// When it was to be told.
    due_ms: u64,
}

impl Hub {
    /// A user has come. `owned`: this instance tells.
    pub(super) fn came(&self, topic: &Topic, user: &Arc<str>, owned: bool) {
        if owned {
            return self.notices.member_added(topic, user);
        }
        let now_ms = self.now_ms.load(Ordering::Relaxed);
        self.doubt(Moved {
            topic: topic.clone(),
            user: Arc::clone(user),
            came: true,
            due_ms: now_ms,
        });
    }

    /// The user has left a while ago: if they stayed away, the app's server is told.
    pub(super) fn tell_if_gone(&self, topic: Topic, user: Arc<str>, since_ms: u64, now_ms: u64) {
        if self.take_away(&topic, &user, Some(since_ms)) {
            self.doubt(Moved {
                topic,
                user,
                came: false,
                due_ms: now_ms,
            });
        }
    }

    /// Tells what this instance is to tell, and forgets what another one has told.
    pub(super) fn tell_members(&self, now_ms: u64) {
        let unsure = std::mem::take(&mut *self.unsure.lock());
        for moved in unsure {
            let (topic, user) = (&moved.topic, &*moved.user);
            let due = Duration::from_millis(now_ms.saturating_sub(moved.due_ms));
            match self.cluster.teller(topic, due) {
                Teller::Here if moved.came => self.notices.member_added(topic, user),
                Teller::Here => self.notices.member_removed(topic, user),
                Teller::Elsewhere => {}
                Teller::Doubtful => self.doubt(moved),
            }
        }
    }

    fn doubt(&self, moved: Moved) {
        let mut unsure = self.unsure.lock();
        if unsure.len() >= UNSURE {
            // The oldest has been told long ago, unless its teller died in that very moment.
            unsure.pop_front();
        }
        unsure.push_back(moved);
    }
}

/// Members of whom it is not known yet that they were told: those of some three seconds.
const UNSURE: usize = 65_536;
