//! Notices on their way to the webhook door, in memory and bounded.
//!
//! Offering never waits: a full queue drops the notice and counts it. Taking gives the oldest and all others of the same app that wait, in order, up to a batch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jackfield_hub::doors::{Notice, NoticeQueue};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The queue.
#[derive(Default)]
pub struct NoticeStore {
    /// With the moment of each one's arrival.
    waiting: Mutex<VecDeque<(Instant, Notice)>>,
    arrived: Notify,
    dropped: AtomicU64,
}

impl NoticeStore {
    /// Waits for notices and takes those of one app: as many at most, and as soon as the oldest has waited for as long, as `batching`
    /// says when it is looked at.
    pub async fn take(&self, batching: impl Fn() -> (usize, Duration)) -> Vec<Notice> {
        loop {
            let (most, pause) = batching();
            let oldest = self.waiting.lock().front().map(|(arrival, _)| *arrival);
            match oldest {
                Some(arrival) if arrival.elapsed() >= pause => return self.take_batch(most),
                Some(arrival) => tokio::time::sleep_until(arrival + pause).await,
                None => self.arrived.notified().await,
            }
        }
    }

    /// Notices that found the queue full, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn take_batch(&self, most: usize) -> Vec<Notice> {
        let mut waiting = self.waiting.lock();
        let Some((_, first)) = waiting.pop_front() else {
            return Vec::new();
        };
        let mut batch = vec![first];
        let mut index = 0;
        while index < waiting.len() && batch.len() < most {
            if waiting[index].1.app == batch[0].app {
                batch.extend(waiting.remove(index).map(|(_, notice)| notice));
            } else {
                index += 1;
            }
        }
        batch
    }
}

impl NoticeQueue for NoticeStore {
    fn offer(&self, notice: Notice) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let notice = Notice {
            time_ms: now.as_millis() as u64,
            ..notice
        };
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push_back((Instant::now(), notice));
        drop(waiting);
        self.arrived.notify_one();
    }
}

/// Notices that may wait: some 20 MiB when a receiver is away while many channels come and go.
const WAITING: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(app: &str, id: usize) -> Notice {
        let (app, channel) = (app.to_owned(), "c".to_owned());
        Notice {
            id: id.to_string(),
            app,
            name: "channel_occupied",
            channel,
            event: "{}".to_owned(),
            time_ms: 0,
        }
    }

    #[test]
    fn takes_one_app_at_a_time_in_order() {
        let store = NoticeStore::default();
        for (app, id) in [("1", 0), ("2", 1), ("1", 2)] {
            store.offer(notice(app, id));
        }
        let ids = |batch: Vec<Notice>| batch.into_iter().map(|n| n.id).collect::<Vec<_>>();
        assert_eq!(ids(store.take_batch(10)), ["0", "2"]);
        assert_eq!(ids(store.take_batch(10)), ["1"]);
        assert!(store.take_batch(10).is_empty());
    }

    #[tokio::test]
    async fn lets_more_gather_though_it_comes_late() {
        let store = NoticeStore::default();
        let pause = Duration::from_millis(50);
        store.offer(notice("1", 0));
        let start = Instant::now();
        let (batch, ()) = tokio::join!(store.take(|| (10, pause)), async { store.offer(notice("1", 1)) });
        assert_eq!((batch.len(), start.elapsed() >= pause), (2, true));
    }

    #[test]
    fn drops_and_counts_what_is_too_much() {
        let store = NoticeStore::default();
        for id in 0..=WAITING {
            store.offer(notice("1", id));
        }
        assert_eq!(store.dropped(), 1);
        assert_eq!(store.take_batch(7).len(), 7);
    }
}
