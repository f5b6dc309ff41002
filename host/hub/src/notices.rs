//! What an app's server may want to know, worded and queued.
//!
//! Nothing is worded for apps that do not want to hear of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jackfield_protocol::names::{ChannelKind, ChannelName, SocketId};
use jackfield_protocol::pusher::session::ClientEvent;
use jackfield_protocol::pusher::webhooks;

use crate::app::Apps;
use crate::doors::{Notice, NoticeQueue};
use crate::topic::Topic;

/// Puts notices into the queue under ids of their own.
pub(crate) struct Notices {
    queue: Arc<dyn NoticeQueue>,
    apps: Arc<dyn Apps>,
    /// Makes ids unique over restarts and instances.
    node: String,
    count: AtomicU64,
}

impl Notices {
    pub(crate) fn new(queue: Arc<dyn NoticeQueue>, apps: Arc<dyn Apps>, node: String) -> Self {
        Self {
            queue,
            apps,
            node,
            count: AtomicU64::new(0),
        }
    }

    /// Under an id that other instances would use as well.
    pub(crate) fn occupancy(&self, topic: &Topic, occupied: bool, id: String) {
        if occupied {
            self.tell_as(topic, "channel_occupied", Some(id), webhooks::channel_occupied);
        } else {
            self.tell_as(topic, "channel_vacated", Some(id), webhooks::channel_vacated);
        }
    }

    pub(crate) fn cache_miss(&self, topic: &Topic) {
        self.tell(topic, "cache_miss", webhooks::cache_miss);
    }

    /// Under an id that other instances would use as well.
    pub(crate) fn member(&self, topic: &Topic, user_id: &str, came: bool, id: String) {
        if came {
            self.tell_as(topic, "member_added", Some(id), |channel| {
                webhooks::member_added(channel, user_id)
            });
        } else {
            self.tell_as(topic, "member_removed", Some(id), |channel| {
                webhooks::member_removed(channel, user_id)
            });
        }
    }

    pub(crate) fn subscription_count(&self, topic: &Topic, count: u64) {
        self.tell(topic, "subscription_count", |channel| {
            webhooks::subscription_count(channel, count)
        });
    }

    pub(crate) fn client_event(&self, topic: &Topic, event: &ClientEvent, sender: SocketId) {
        self.tell(topic, "client_event", |_| webhooks::client_event(event, sender));
    }

    fn tell(&self, topic: &Topic, name: &'static str, word: impl FnOnce(&ChannelName) -> String) {
        self.tell_as(topic, name, None, word);
    }

    fn tell_as(
        &self,
        topic: &Topic,
        name: &'static str,
        id: Option<String>,
        word: impl FnOnce(&ChannelName) -> String,
    ) {
        // A user's own channel is the host's way to that user, not one of the app's.
        if topic.channel().kind() == ChannelKind::ServerToUser {
            return;
        }
        let app = self.apps.by_id(topic.app());
        if !app.is_some_and(|app| app.wants(name, topic.channel().as_str())) {
            return;
        }
        let own_id = || format!("{}-{}", self.node, self.count.fetch_add(1, Ordering::Relaxed));
        self.queue.offer(Notice {
            id: id.unwrap_or_else(own_id),
            app: topic.app().to_owned(),
            name,
            channel: topic.channel().as_str().to_owned(),
            event: word(topic.channel()),
            time_ms: 0,
        });
    }
}
