//! What the cluster tells, carried out.

use std::sync::atomic::Ordering;

use jackfield_protocol::close::Close;
use jackfield_protocol::pusher::frames::{self, Watched};
use jackfield_protocol::websocket;

use super::joining::is_counted;
use super::{Event, Hub};
use crate::cluster::{Delivery, Listener, Present, Signed, Told, Watch};
use crate::command::Command;
use crate::shard::Job;
use crate::topic::Topic;

impl Listener for Hub {
    fn hear(&self, told: Told<'_>) {
        match told {
            Told::Answered(ticket, outcome) => self.tickets.settle(ticket, &outcome),
            Told::Event(delivery) => self.deliver(delivery),
            Told::Command(command) => self.obey(command),
            Told::Followed(topic, number, members) => self.followed(topic, number, &members),
            Told::Lost(topic) => self.lost(topic),
            Told::MemberAdded(topic, member) => self.member_added(topic, &member),
            Told::MemberRemoved(topic, user) => self.member_removed(topic, user),
            Told::Counted(topic, total, owned) => self.counted(topic, total, owned),
            Told::Online(user, online) => self.online(&user, online),
            Told::Watching(watch, online) => self.watching(&watch, &online),
            Told::Unwatch(watch) => self.users.unwatch(&watch.app, watch.place, &watch.list),
            Told::Announce(topic, occupied, id) => {
                if let Some(topic) = Topic::parse(topic) {
                    self.notices.occupancy(&topic, occupied, id);
                }
            }
            Told::Notice(topic, user, came, id) => {
                if let Some(topic) = Topic::parse(topic) {
                    self.notices.member(&topic, user, came, id);
                }
            }
            Told::Health(health) => *self.health.write() = health,
        }
    }
}

impl Hub {
    fn deliver(&self, delivery: Delivery<'_>) {
        let Some((topic, channel)) = self.find_with_topic(delivery.topic) else {
            return;
        };
        let mut state = channel.state.lock();
        if delivery.kept {
            self.keep(&topic, &delivery.frame);
            state.missed = false;
        }
        let event = Event {
            topic,
            frame: delivery.frame,
            except: delivery.except,
            kept: false,
        };
        self.push_all(&state, event);
    }

    fn obey(&self, command: &[u8]) {
        match Command::decode(command) {
            Some(Command::Terminate { app, user }) => {
                for place in self.users.connections(app, user) {
                    self.shards[place.shard].push(Job::Close(place, Close::Unauthorized));
                }
            }
            Some(Command::Keep { topic, frame }) => self.keep_for_later(topic, frame),
            None => {}
        }
    }

    fn followed(&self, topic: &str, number: u64, members: &[Present]) {
        let now_ms = self.now_ms.load(Ordering::Relaxed);
        let Some((topic, channel)) = self.find_with_topic(topic) else {
            return;
        };
        let mut state = channel.state.lock();
        if state.occupation != number || state.following {
            return;
        }
        state.following = true;
        state.presence.begin(members);
        for joiner in std::mem::take(&mut state.waiting) {
            self.admit(&mut state, &topic, joiner, now_ms);
        }
    }

    fn lost(&self, topic: &str) {
        let Some((topic, channel)) = self.find_with_topic(topic) else {
            return;
        };
        let state = channel.state.lock();
        for (handle, _) in self.shards.iter().zip(&state.by_shard).filter(|(_, count)| **count > 0) {
            handle.push(Job::CloseAll(topic.clone(), Close::Reconnect));
        }
    }

    fn member_added(&self, topic: &str, member: &Present) {
        let Some((topic, channel)) = self.find_with_topic(topic) else {
            return;
        };
        let mut state = channel.state.lock();
        if state.following && state.presence.add(member) {
            let info = crate::presence::info(member);
            let text = frames::member_added(topic.channel(), &member.user, info.as_deref());
            self.tell_all(&state, &topic, &text, None);
        }
    }

    fn member_removed(&self, topic: &str, user: &str) {
        let Some((topic, channel)) = self.find_with_topic(topic) else {
            return;
        };
        let mut state = channel.state.lock();
        if state.following && state.presence.remove(user) {
            let text = frames::member_removed(topic.channel(), user);
            self.tell_all(&state, &topic, &text, None);
        }
    }

    fn counted(&self, topic: &str, total: u64, owned: bool) {
        let Some(topic) = Topic::parse(topic) else { return };
        let app = self.apps.by_id(topic.app());
        if !app.is_some_and(|app| is_counted(&app, &topic)) {
            return;
        }
        let here = self.find(topic.as_str());
        if let Some(channel) = &here {
            let mut state = channel.state.lock();
            (state.count, state.count_owned) = (total, owned);
            self.tell_count(&mut state, &topic, self.now_ms.load(Ordering::Relaxed));
        } else if owned {
            self.notices.subscription_count(&topic, total);
        }
    }

    fn online(&self, who: &Signed, online: bool) {
        let ids = [&*who.user];
        let event = if online {
            Watched::Online(&ids)
        } else {
            Watched::Offline(&ids)
        };
        let watchers = self.users.watchers(&who.app, &who.user);
        self.tell_watchers(&watchers, &[event]);
    }

    fn watching(&self, watch: &Watch, online: &[bool]) {
        self.users.watch(&watch.app, watch.place, &watch.list);
        let those = |wanted: bool| {
            let list = watch.list.iter().zip(online);
            let ids: Vec<&str> = list
                .filter(|(_, online)| **online == wanted)
                .map(|(id, _)| id.as_str())
                .collect();
            ids
        };
        let (there, away) = (those(true), those(false));
        let mut told = Vec::new();
        if !there.is_empty() {
            told.push(Watched::Online(&there));
        }
        if !away.is_empty() {
            told.push(Watched::Offline(&away));
        }
        self.tell_watchers(&[watch.place], &told);
    }

    /// Keeps an event of a cache channel that nobody here may be subscribed to.
    fn keep_for_later(&self, topic: &str, frame: &[u8]) {
        let Some(topic) = Topic::parse(topic) else { return };
        let channel = self.find(topic.as_str());
        let mut state = channel.as_ref().map(|channel| channel.state.lock());
        if let Some(state) = &mut state {
            // Whoever follows gets it in its place among the others.
            if state.following {
                return;
            }
            state.missed = false;
        }
        self.keep(&topic, &frame.to_vec().into());
    }

    fn tell_watchers(&self, watchers: &[crate::users::Place], events: &[Watched<'_, &str>]) {
        if watchers.is_empty() || events.is_empty() {
            return;
        }
        let frame = websocket::text_frame(frames::watchlist_events(events).as_bytes());
        for place in watchers {
            self.shards[place.shard].push(Job::Tell(*place, frame.clone()));
        }
    }
}
