//! Coming into a channel and leaving it, and what the others are told of that.

use std::sync::atomic::Ordering;

use jackfield_protocol::names::ChannelKind;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;

use super::{Event, Hub, Later};
use crate::channel::{Joiner, State, Welcome};
use crate::doors::{AdapterRequest, DoorError};
use crate::presence::Came;
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
        loop {
            let channel = self.find_or_add(topic, now_ms);
            let mut state = channel.state.lock();
            if state.removed {
                continue;
            }
            check_room(&state, &joiner)?;
            if !state.following && state.waiting.is_empty() {
                self.adapter.submit(AdapterRequest::Follow(topic.clone()))?;
            }
            state.by_shard[joiner.place.shard] += 1;
            state.total += 1;
            if state.following {
                self.admit(&mut state, topic, joiner, now_ms);
                return Ok(false);
            }
            state.waiting.push(joiner);
            break;
        }
        self.drive();
        Ok(true)
    }

    /// Takes somebody out.
    pub(crate) fn leave(&self, topic: &Topic, leaver: &Leaver<'_>, now_ms: u64) {
        let Some(channel) = self.find(topic.as_str()) else {
            return;
        };
        let mut state = channel.state.lock();
        let waited = state.forget_waiting(leaver.place, leaver.ticket);
        state.by_shard[leaver.place.shard] -= 1;
        state.total -= 1;
        if let Some(user_id) = leaver.user_id.filter(|_| !waited)
            && state.presence.leave(user_id, now_ms)
        {
            self.tell_all(&state, topic, &frames::member_removed(topic.channel(), user_id));
            self.later
                .lock()
                .push_back((now_ms, Later::Away(topic.clone(), user_id.to_owned())));
        }
        if state.counts && !waited {
            self.count(&mut state, topic, now_ms);
        }
        if state.total == 0 {
            self.linger(&mut state, topic, now_ms);
        }
    }

    /// The adapter follows the channel: whoever waits comes in.
    pub(super) fn welcome_waiting(&self, topic: &str) {
        let now_ms = self.now_ms.load(Ordering::Relaxed);
        let Some((topic, channel)) = self.find_with_topic(topic) else {
            return;
        };
        let mut state = channel.state.lock();
        state.following = true;
        for joiner in std::mem::take(&mut state.waiting) {
            self.admit(&mut state, &topic, joiner, now_ms);
        }
    }

    /// The user has left a while ago: if they stayed away, the app's server is told.
    pub(super) fn tell_if_gone(&self, topic: &Topic, user_id: &str, since_ms: u64) {
        let Some(channel) = self.find(topic.as_str()) else {
            return;
        };
        if channel.state.lock().presence.is_gone(user_id, since_ms) {
            self.notices.member_removed(topic, user_id);
        }
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
                self.count(&mut state, &topic, now_ms);
            }
        }
    }

    /// Somebody is in, from this moment on.
    fn admit(&self, state: &mut State, topic: &Topic, joiner: Joiner, now_ms: u64) {
        if !std::mem::replace(&mut state.announced, true) {
            self.notices.occupied(topic);
        }
        if let Some(member) = &joiner.member {
            let came = state.presence.join(member);
            if came != Came::Again {
                let text = frames::member_added(topic.channel(), &member.user_id, member.user_info.as_deref());
                let frame = websocket::text_frame(text.as_bytes());
                // Pusher protocol, "Presence channel events": not to the one who has just come.
                let except = Some(joiner.place.socket);
                self.push_all(
                    state,
                    Event {
                        topic: topic.clone(),
                        frame,
                        except,
                        kept: None,
                    },
                );
            }
            if came == Came::First {
                self.notices.member_added(topic, &member.user_id);
            }
        }
        let counted = !matches!(
            topic.channel().kind(),
            ChannelKind::Presence | ChannelKind::ServerToUser
        );
        state.counts |= counted && joiner.app.policy.subscription_count;
        let welcome = self.welcome(state, topic, now_ms);
        let Joiner { place, ticket, .. } = joiner;
        self.shards[place.shard].push(Job::Joined(Joined {
            place,
            ticket,
            topic: topic.clone(),
            welcome,
        }));
        if state.counts {
            self.count(state, topic, now_ms);
        }
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
    fn count(&self, state: &mut State, topic: &Topic, now_ms: u64) {
        let count = state.subscribers();
        if count > COUNTED_AT_ONCE && now_ms < state.count_told_ms + COUNT_PAUSE_MS {
            if !std::mem::replace(&mut state.count_changed, true) {
                self.recount.lock().push(topic.clone());
            }
            return;
        }
        (state.count_told_ms, state.count_changed) = (now_ms, false);
        self.tell_all(
            state,
            topic,
            &frames::subscription_count(topic.channel(), u64::from(count)),
        );
        self.notices.subscription_count(topic, u64::from(count));
    }

    fn tell_all(&self, state: &State, topic: &Topic, text: &str) {
        let frame = websocket::text_frame(text.as_bytes());
        self.push_all(
            state,
            Event {
                topic: topic.clone(),
                frame,
                except: None,
                kept: None,
            },
        );
    }
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
const COUNTED_AT_ONCE: u32 = 100;
const COUNT_PAUSE_MS: u64 = 5_000;
