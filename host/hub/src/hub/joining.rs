//! Coming into a channel and leaving it, and what the others are told of that.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use jackfield_protocol::names::{ChannelKind, SocketId};
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;

use super::{Event, Hub};
use crate::app::App;
use crate::channel::{Joiner, State, Welcome};
use crate::cluster::News;
use crate::doors::DoorError;
use crate::presence;
use crate::shard::{Job, Joined};
use crate::topic::Topic;
use crate::users::Place;

/// Why somebody may not come in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The channel is new here and cannot be followed.
    #[error("{0}")]
    Door(#[from] DoorError),
    /// The presence channel has as many members as it may have.
    #[error("this presence channel has {0} members, and more may not come in")]
    Full(usize),
}

/// Somebody who leaves.
pub(crate) struct Leaver<'a> {
    pub(crate) place: Place,
    pub(crate) ticket: u32,
    /// Who it was, in a presence channel.
    pub(crate) user_id: Option<&'a str>,
}

impl Hub {
    /// Takes somebody in. The shard hears of it by a [`Job::Joined`]: at once if the channel is followed, else when it is,
    /// and then this says true.
    pub(crate) fn enter(&self, topic: &Topic, joiner: Joiner, now_ms: u64) -> Result<bool, JoinError> {
        self.now_ms.store(now_ms, Ordering::Relaxed);
        let waits;
        loop {
            let channel = self.find_or_add(topic, now_ms);
            let mut state = channel.state.lock();
            if state.removed {
                continue;
            }
            check_room(&state, &joiner)?;
            if state.total == 0 {
                let number = self.occupations.fetch_add(1, Ordering::Relaxed) + 1;
                self.cluster.submit(News::Occupied(topic.clone(), number))?;
                state.occupation = number;
            }
            state.by_shard[joiner.place.shard] += 1;
            state.total += 1;
            waits = !state.following;
            if waits {
                state.waiting.push(joiner);
            } else {
                self.admit(&mut state, topic, joiner, now_ms);
            }
            break;
        }
        self.drive();
        Ok(waits)
    }

    /// Takes somebody out.
    pub(crate) fn leave(&self, topic: &Topic, leaver: &Leaver<'_>, now_ms: u64) {
        let Some(channel) = self.find(topic.as_str()) else {
            return;
        };
        let mut state = channel.state.lock();
        self.now_ms.store(now_ms, Ordering::Relaxed);
        let waited = state.forget_waiting(leaver.place, leaver.ticket);
        state.by_shard[leaver.place.shard] -= 1;
        state.total -= 1;
        if let Some(user_id) = leaver.user_id.filter(|_| !waited)
            && state.presence.leave(user_id)
        {
            self.tell_cluster(News::Left(topic.clone(), user_id.into()));
        }
        if !waited {
            self.tell_cluster(News::Counted(topic.clone(), state.subscribers()));
        }
        if state.total == 0 {
            state.vacate();
            self.tell_cluster(News::Vacated(topic.clone()));
            self.linger(&mut state, topic, now_ms);
        }
        drop(state);
        self.drive();
    }

    /// Tells counts that have waited for their time.
    pub(super) fn tell_counts(&self, now_ms: u64) {
        let topics = std::mem::take(&mut *self.recount.lock());
        for topic in topics {
            let Some(channel) = self.find(topic.as_str()) else {
                continue;
            };
            let mut state = channel.state.lock();
            if std::mem::take(&mut state.count_changed) {
                self.tell_count(&mut state, &topic, now_ms);
            }
        }
    }

    /// Somebody is in, from this moment on.
    pub(super) fn admit(&self, state: &mut State, topic: &Topic, joiner: Joiner, now_ms: u64) {
        if let Some(member) = &joiner.member {
            let came = state.presence.join(member);
            if came.new {
                let text = frames::member_added(topic.channel(), &member.user_id, member.user_info.as_deref());
                // Pusher protocol, "Presence channel events": not to the one who has just come.
                self.tell_all(state, topic, &text, Some(joiner.place.socket));
            }
            if came.first_here {
                self.tell_cluster(News::Joined(topic.clone(), presence::present(member)));
            }
        }
        let welcome = self.welcome(state, topic, now_ms);
        let Joiner { place, ticket, .. } = joiner;
        self.shards[place.shard].push(Job::Joined(Joined {
            place,
            ticket,
            topic: topic.clone(),
            welcome,
        }));
        self.tell_cluster(News::Counted(topic.clone(), state.subscribers()));
    }

    /// What has happened and cannot be refused any more.
    pub(super) fn tell_cluster(&self, news: News) {
        // Those who leave and those who are in already are taken by any queue.
        let _ = self.cluster.submit(news);
    }

    fn welcome(&self, state: &mut State, topic: &Topic, now_ms: u64) -> Welcome {
        let channel = topic.channel();
        let text = match channel.kind() {
            ChannelKind::Presence => frames::presence_succeeded(channel, state.presence.members()),
            _ => frames::subscription_succeeded(channel),
        };
        let cached = channel.is_cache().then(|| self.cache.lock().get(topic, now_ms));
        if matches!(cached, Some(None)) && !std::mem::replace(&mut state.missed, true) {
            self.notices.cache_miss(topic);
        }
        Welcome { text, cached }
    }

    /// Tells everybody how many they are: always in a small channel, at most every few seconds in a large one.
    pub(super) fn tell_count(&self, state: &mut State, topic: &Topic, now_ms: u64) {
        if state.count > COUNTED_AT_ONCE && now_ms < state.count_told_ms + COUNT_PAUSE_MS {
            if !std::mem::replace(&mut state.count_changed, true) {
                self.recount.lock().push(topic.clone());
            }
            return;
        }
        (state.count_told_ms, state.count_changed) = (now_ms, false);
        self.tell_all(
            state,
            topic,
            &frames::subscription_count(topic.channel(), state.count),
            None,
        );
        if state.count_owned {
            self.notices.subscription_count(topic, state.count);
        }
    }

    /// Keeps an event in place of the channel's last one.
    pub(super) fn keep(&self, topic: &Topic, frame: &Bytes) {
        let Some(data) = websocket::text_of(frame).and_then(frames::data_of) else {
            return;
        };
        let now_ms = self.now_ms.load(Ordering::Relaxed);
        self.cache.lock().put(topic, frame.clone(), data.into(), now_ms);
    }

    pub(super) fn tell_all(&self, state: &State, topic: &Topic, text: &str, except: Option<SocketId>) {
        let event = Event {
            topic: topic.clone(),
            frame: websocket::text_frame(text.as_bytes()),
            except,
            kept: false,
        };
        self.push_all(state, event);
    }
}

/// Whether the subscribers of a channel are told how many they are.
pub(super) fn is_counted(app: &App, topic: &Topic) -> bool {
    let kind = topic.channel().kind();
    app.policy.subscription_count && !matches!(kind, ChannelKind::Presence | ChannelKind::ServerToUser)
}

fn check_room(state: &State, joiner: &Joiner) -> Result<(), JoinError> {
    let Some(member) = &joiner.member else { return Ok(()) };
    let limit = joiner.app.policy.max_presence_members;
    if state.presence.has_room(&member.user_id, limit) {
        Ok(())
    } else {
        Err(JoinError::Full(limit))
    }
}

/// Pusher documents, "Subscription count events": above 100 subscribers at most one per 5 s.
const COUNTED_AT_ONCE: u64 = 100;
const COUNT_PAUSE_MS: u64 = 5_000;
