//! What one follower has of one origin on one topic: the last number, and what is out of order behind it.

use std::collections::BTreeMap;

use jackfield_envelope::{Data, Link, Micros};

/// One origin on one topic.
#[derive(Debug, Default)]
pub(crate) struct Rx {
    /// All up to this number is delivered, or was not owed.
    pub(crate) last: Option<u64>,
    /// The origin's time of that number, or the end of time if it is not known.
    pub(crate) at: Micros,
    /// Something is known to be missing.
    pub(crate) gap: Option<Box<Gap>>,
}

/// Something is missing.
#[derive(Debug, Default)]
pub(crate) struct Gap {
    /// The highest number that is known to exist.
    pub(crate) top: u64,
    held: BTreeMap<u64, Data>,
    held_bytes: usize,
    /// When to ask, or to ask again.
    pub(crate) due: Micros,
    pub(crate) asked: u32,
    /// The baseline with which was asked last.
    pub(crate) since: Micros,
}

/// By what a frame is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge {
    /// What the origin published before is not owed.
    pub(crate) base: Micros,
    /// All that the origin published until then is here, or known to be missing.
    pub(crate) settled: Micros,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Deliver,
    Drop,
    Hold,
}

impl Rx {
    /// Whether a frame is the next one.
    pub(crate) fn judge(&self, link: &Link, judge: Judge) -> Verdict {
        // While something is missing, what settles cannot tell what.
        let settled = |at: Micros| self.gap.is_none() && at <= judge.settled;
        let fits = match self.last {
            Some(last) if link.n <= last => return Verdict::Drop,
            Some(last) => (link.prev != 0 && link.prev <= last) || settled(link.prev_at),
            None if link.at < judge.base || settled(link.at) => return Verdict::Drop,
            None => link.prev_at < judge.base || settled(link.prev_at),
        };
        // Older than the follow: there is nothing in between that is owed.
        if fits || (link.prev == 0 && link.prev_at < judge.base) {
            Verdict::Deliver
        } else {
            Verdict::Hold
        }
    }

    /// All up to `n`, which was published `at` this time, is done with.
    pub(crate) fn advance(&mut self, n: u64, at: Micros) {
        if self.last < Some(n) {
            (self.last, self.at) = (Some(n), at);
        }
        if let Some(gap) = &mut self.gap {
            // Something came, so it is worth asking again.
            gap.asked = 0;
            while let Some(first) = gap.held.first_entry()
                && *first.key() <= n
            {
                gap.held_bytes -= first.remove().frame.len();
            }
        }
        self.close_if_complete();
    }

    /// There is nobody to deliver to: nothing up to `n`, and nothing that is missing, matters any more.
    pub(crate) fn skip(&mut self, n: u64, at: Micros) {
        if let Some(gap) = self.gap.take() {
            self.advance(gap.top, Micros::MAX);
        }
        if n > 0 {
            self.advance(n, at);
        }
    }

    /// Puts a frame aside. Beyond the bound the number alone is kept, and the frame is asked for again.
    pub(crate) fn hold(&mut self, data: Data, due: Micros, bound: usize) -> bool {
        let n = data.link.n;
        let opened = self.owe(n, due);
        if let Some(gap) = &mut self.gap
            && gap.held.len() < bound
            && gap.held_bytes + data.frame.len() <= MAX_HELD_BYTES
            && !gap.held.contains_key(&n)
        {
            gap.held_bytes += data.frame.len();
            gap.held.insert(n, data);
        }
        opened
    }

    /// `n` exists. True if that opens a gap, to be asked about at `due`.
    pub(crate) fn owe(&mut self, n: u64, due: Micros) -> bool {
        if self.last.is_some_and(|last| n <= last) {
            return false;
        }
        let opened = self.gap.is_none();
        let gap = self.gap.get_or_insert_with(Box::default);
        gap.top = gap.top.max(n);
        if opened {
            gap.due = due;
        }
        opened
    }

    /// The first held frame, if it is the next one now.
    pub(crate) fn next_held(&mut self, judge: Judge) -> Option<Data> {
        loop {
            let first = self.gap.as_ref()?.held.first_key_value()?.1.link;
            let verdict = self.judge(&first, judge);
            if verdict == Verdict::Hold {
                return None;
            }
            let gap = self.gap.as_mut()?;
            let (_, data) = gap.held.pop_first()?;
            gap.held_bytes -= data.frame.len();
            if verdict == Verdict::Deliver {
                self.advance(data.link.n, data.link.at);
                return Some(data);
            }
        }
    }

    /// The origin remembers nothing of the topic: nothing above the last number exists but what is held.
    pub(crate) fn forget_top(&mut self) {
        let last = self.last.unwrap_or(0);
        if let Some(gap) = &mut self.gap {
            gap.top = gap.held.keys().next_back().copied().unwrap_or(last);
        }
        self.close_if_complete();
    }

    fn close_if_complete(&mut self) {
        let last = self.last.unwrap_or(0);
        if self
            .gap
            .as_ref()
            .is_some_and(|gap| gap.held.is_empty() && gap.top <= last)
        {
            self.gap = None;
        }
    }
}

/// A gap lasts 300 ms as a rule: this is a thousand frames a second on one topic.
pub(crate) const MAX_HELD: usize = 256;

/// For one origin and topic; what does not fit is asked for again.
const MAX_HELD_BYTES: usize = 1 << 20;
