//! The buckets in use, at most [`CAPACITY`] of them.
//!
//! Room is made in small steps, by the questions that need it: a new bucket first looks at the next few old ones, in
//! the order of their keys, and drops those that are full again. So no call takes long, and as each new bucket looks at
//! several, the old ones go faster than new ones come.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::rc::Rc;

/// When each bucket will be full, in nanoseconds, by key.
///
/// A tree, because keys are chosen by clients and a guest's `HashMap` is seeded alike in every instance.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    full_at_ns: BTreeMap<Rc<str>, u128>,
    /// The last key looked at for making room.
    cursor: Rc<str>,
}

impl Buckets {
    /// When this bucket will be full. A bucket that is not there always has been.
    pub(crate) fn full_at_ns(&self, key: &str) -> u128 {
        self.full_at_ns.get(key).copied().unwrap_or(0)
    }

    /// Notes when this bucket will be full.
    pub(crate) fn set(&mut self, key: &str, full_at_ns: u128, now_ns: u128) {
        if let Some(bucket) = self.full_at_ns.get_mut(key) {
            *bucket = full_at_ns;
        } else {
            self.make_room(now_ns);
            self.full_at_ns.insert(key.into(), full_at_ns);
        }
    }

    /// Drops the full ones of the next few buckets; if there is no room and none was full, the one that is nearest to
    /// it.
    ///
    /// Its client gets back a part of a burst, which is less harm than refusing a client who has done nothing yet.
    fn make_room(&mut self, now_ns: u128) {
        let after = (Excluded(&*self.cursor), Unbounded);
        let sample: Vec<(Rc<str>, u128)> = self
            .full_at_ns
            .range::<str, _>(after)
            .take(SAMPLE)
            .map(|(key, &at)| (Rc::clone(key), at))
            .collect();
        for (key, _) in sample.iter().filter(|&&(_, full_at_ns)| full_at_ns <= now_ns) {
            self.full_at_ns.remove(key);
        }
        if self.full_at_ns.len() >= CAPACITY {
            let nearest = sample
                .iter()
                .min_by_key(|&&(_, full_at_ns)| full_at_ns)
                .map(|(key, _)| &**key);
            self.drop_one(nearest);
        }
        // Past the last key the next look begins at the front again.
        self.cursor = match sample.into_iter().last() {
            Some((key, _)) => key,
            None => Rc::default(),
        };
    }

    /// Drops the bucket of this key; where there was none to choose from, the first one.
    fn drop_one(&mut self, key: Option<&str>) {
        match key {
            Some(key) => self.full_at_ns.remove(key),
            None => self.full_at_ns.pop_first().map(|(_, full_at_ns)| full_at_ns),
        };
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.full_at_ns.len()
    }
}

/// How many buckets there may be. With keys of 50 bytes they take about 8 MB, half of what a plugin's memory may grow
/// to.
pub(crate) const CAPACITY: usize = 65_536;

/// How many buckets one new bucket looks at.
const SAMPLE: usize = 8;
