//! The last event of each cache channel, for whoever subscribes later.
//!
//! Bounded by number, bytes and time; what is over is forgotten, oldest first. A forgotten event is a cache miss, which
//! clients and app servers are told of.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::topic::Topic;

/// An event that is kept.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The frame to send.
    pub frame: Bytes,
    /// The publisher's data.
    pub data: Arc<str>,
    /// When it is forgotten, in the hub's time.
    pub until_ms: u64,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Cache {
    events: HashMap<Topic, (u64, Cached)>,
    /// In the order in which they came, with the number by which an event that was replaced is told from its successor.
    order: VecDeque<(u64, Topic)>,
    count: u64,
    bytes: usize,
}

impl Cache {
    /// Keeps an event in place of the channel's last one.
    pub(crate) fn put(&mut self, topic: &Topic, frame: Bytes, data: Arc<str>, now_ms: u64) {
        let cached = Cached {
            frame,
            data,
            until_ms: now_ms + KEPT_MS,
        };
        self.count += 1;
        self.bytes += size(&cached);
        self.order.push_back((self.count, topic.clone()));
        if let Some((_, replaced)) = self.events.insert(topic.clone(), (self.count, cached)) {
            self.bytes -= size(&replaced);
        }
        while self.events.len() > EVENTS || self.bytes > BYTES {
            self.forget_oldest();
        }
        // What was replaced goes once it is the greater part; what is still kept stays, however busy another channel is.
        if self.order.len() > 2 * self.events.len() + SLACK {
            let events = &self.events;
            self.order
                .retain(|(count, topic)| events.get(topic).is_some_and(|(kept, _)| kept == count));
        }
    }

    /// The channel's last event, if it is not too old.
    pub(crate) fn get(&self, topic: &Topic, now_ms: u64) -> Option<Cached> {
        let (_, cached) = self.events.get(topic)?;
        (now_ms < cached.until_ms).then(|| cached.clone())
    }

    /// Forgets what is too old.
    pub(crate) fn sweep(&mut self, now_ms: u64) {
        while let Some((count, topic)) = self.order.front() {
            let current = self.events.get(topic).filter(|(kept, _)| kept == count);
            if current.is_some_and(|(_, cached)| now_ms < cached.until_ms) {
                return;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((count, topic)) = self.order.pop_front() else {
            return;
        };
        if self.events.get(&topic).is_some_and(|(kept, _)| *kept == count)
            && let Some((_, cached)) = self.events.remove(&topic)
        {
            self.bytes -= size(&cached);
        }
    }
}

fn size(cached: &Cached) -> usize {
    cached.frame.len() + cached.data.len()
}

/// Pusher keeps an event for 30 minutes.
const KEPT_MS: u64 = 30 * 60 * 1_000;
/// Cache channels with an event: each costs its event twice and some 200 bytes.
const EVENTS: usize = 100_000;
/// Places of replaced events that are not worth looking for.
const SLACK: usize = 1_024;
/// Bytes of events.
const BYTES: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use jackfield_protocol::names::ChannelName;

    use super::*;

    fn topic(number: usize) -> Topic {
        Topic::new(
            "1",
            &ChannelName::parse(&format!("cache-{number}")).expect("a good name"),
        )
    }

    fn put(cache: &mut Cache, number: usize, data: &str, now_ms: u64) {
        cache.put(
            &topic(number),
            Bytes::copy_from_slice(data.as_bytes()),
            data.into(),
            now_ms,
        );
    }

    #[test]
    fn the_last_event_is_kept_for_its_time() {
        let mut cache = Cache::default();
        put(&mut cache, 1, "old", 0);
        put(&mut cache, 1, "new", 10);
        assert_eq!(&*cache.get(&topic(1), 11).expect("kept").data, "new");
        assert!(cache.get(&topic(1), 10 + KEPT_MS).is_none());
        cache.sweep(10 + KEPT_MS);
        assert_eq!((cache.events.len(), cache.order.len(), cache.bytes), (0, 0, 0));
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let mut cache = Cache::default();
        for number in 0..=EVENTS {
            put(&mut cache, number, "x", 0);
        }
        assert!(cache.get(&topic(0), 1).is_none() && cache.get(&topic(1), 1).is_some());
        assert_eq!(cache.bytes, 2 * EVENTS);
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many_bytes() {
        let mut cache = Cache::default();
        let frame = Bytes::from(vec![b'x'; BYTES / 4]);
        for number in 0..5 {
            cache.put(&topic(number), frame.clone(), "".into(), 0);
        }
        let kept: Vec<bool> = (0..5).map(|number| cache.get(&topic(number), 1).is_some()).collect();
        assert_eq!(kept, [false, true, true, true, true]);
        assert_eq!(cache.bytes, BYTES);
        // In place of its channel's last one an event needs no more room than before.
        cache.put(&topic(1), frame, "".into(), 2);
        assert!((1..5).all(|number| cache.get(&topic(number), 3).is_some()));
    }

    #[test]
    fn one_channel_does_not_fill_the_order() {
        let mut cache = Cache::default();
        put(&mut cache, 0, "quiet", 0);
        for _ in 0..3 * EVENTS {
            put(&mut cache, 1, "x", 0);
        }
        assert!(cache.order.len() <= 2 * 2 + SLACK && cache.get(&topic(1), 1).is_some());
        assert!(
            cache.get(&topic(0), 1).is_some(),
            "a busy channel costs a quiet one its event"
        );
    }
}
