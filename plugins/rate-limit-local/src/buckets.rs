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

    /// Takes out as many buckets as a part of a snapshot holds, if there are any: each is when it will be full, the bytes of
    /// its key, and the key.
    pub(crate) fn take_part(&mut self) -> Option<Vec<u8>> {
        let mut part = Vec::new();
        while part.len() < PART_BYTES
            && let Some((key, full_at_ns)) = self.full_at_ns.pop_first()
        {
            part.extend(full_at_ns.to_le_bytes());
            part.extend((key.len() as u32).to_le_bytes());
            part.extend(key.as_bytes());
        }
        (!part.is_empty()).then_some(part)
    }

    /// Puts the buckets of a part in.
    pub(crate) fn put_part(&mut self, mut part: &[u8]) -> Result<(), String> {
        while !part.is_empty() {
            let bucket = take_bucket(&mut part).ok_or("this is not what a version of this plugin kept")?;
            if self.full_at_ns.len() < CAPACITY {
                self.full_at_ns.insert(bucket.0.into(), bucket.1);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.full_at_ns.len()
    }
}

fn take_bucket<'a>(part: &mut &'a [u8]) -> Option<(&'a str, u128)> {
    let full_at_ns = u128::from_le_bytes(*part.split_off(..16)?.as_array()?);
    let bytes = u32::from_le_bytes(*part.split_off(..4)?.as_array()?);
    let key = str::from_utf8(part.split_off(..bytes as usize)?).ok()?;
    Some((key, full_at_ns))
}

/// A part ends with the bucket that reaches this many bytes: small enough to be made and read in a fraction of a call's time.
const PART_BYTES: usize = 256 << 10;

/// How many buckets there may be. With keys of 50 bytes they take about 8 MB, half of what a plugin's memory may grow
/// to.
pub(crate) const CAPACITY: usize = 65_536;

/// How many buckets one new bucket looks at.
const SAMPLE: usize = 8;
