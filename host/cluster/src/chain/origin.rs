//! This node as an origin: the counter, the last publish of each topic, and a ring of what was published lately.

use std::collections::VecDeque;

use bytes::Bytes;
use jackfield_envelope::{Link, Micros, Topic};

use crate::stable::{Keyed, Table};

/// What was published here.
pub(crate) struct Origin {
    counter: u64,
    /// The last publish of every topic that is not forgotten.
    recent: Table<Sent>,
    /// What can be sent again, without a hole in its numbers.
    ring: VecDeque<Kept>,
    ring_bytes: usize,
    ring_limit: usize,
    /// The `at` of the newest publish that left the ring.
    floor: Micros,
    /// Last publishes of topics that left the ring and wait to be forgotten, oldest first.
    settling: VecDeque<(Topic, Sent)>,
    forgotten_at: Micros,
}

/// A publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) n: u64,
    pub(crate) at: Micros,
}

struct Kept {
    topic: Topic,
    link: Link,
    envelope: Bytes,
}

/// What the ring has for somebody who misses something.
pub(crate) struct Missing {
    /// Nothing in between is missing here.
    pub(crate) whole: bool,
    pub(crate) top: u64,
    pub(crate) frames: Vec<(u64, Bytes)>,
}

impl Origin {
    pub(crate) fn new(seed: u64, ring_limit: usize) -> Self {
        Self {
            counter: 0,
            recent: Table::with_hasher(Keyed(seed)),
            ring: VecDeque::new(),
            ring_bytes: 0,
            ring_limit,
            floor: 0,
            settling: VecDeque::new(),
            forgotten_at: 0,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.recent.len() >= MAX_RECENT
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The next number, and what was before it on this topic.
    pub(crate) fn take(&mut self, topic: &Topic, at: Micros) -> Link {
        let sent = Sent { n: self.number(), at };
        let before = match self.recent.get_mut(topic.as_str()) {
            Some(recent) => std::mem::replace(recent, sent),
            None => {
                self.recent.insert(topic.clone(), sent);
                Sent {
                    n: 0,
                    at: self.forgotten_at,
                }
            }
        };
        Link {
            n: sent.n,
            prev: before.n,
            at,
            prev_at: before.at,
        }
    }

    /// Keeps what was published, and lets go of what is too much.
    pub(crate) fn keep(&mut self, topic: Topic, link: Link, envelope: Bytes) {
        self.ring_bytes += envelope.len() + KEPT_BYTES;
        self.ring.push_back(Kept { topic, link, envelope });
        while self.ring_bytes > self.ring_limit && self.ring.len() > 1 {
            self.let_go();
        }
    }

    /// Forgets topics without a publish for a minute, whose last one is `settled` with everybody.
    pub(crate) fn forget(&mut self, now: Micros, settled: impl Fn(&Topic, Sent) -> bool) {
        let old = |at: Micros| at + KEEP_US < now;
        while self.ring.front().is_some_and(|kept| old(kept.link.at)) {
            self.let_go();
        }
        while let Some((topic, sent)) = self.settling.front() {
            let last = self.recent.get(topic) == Some(sent);
            if last && !(old(sent.at) && settled(topic, *sent)) {
                break;
            }
            if last {
                self.recent.remove(topic);
                self.forgotten_at = sent.at;
            }
            self.settling.pop_front();
        }
    }

    pub(crate) const fn forgotten_at(&self) -> Micros {
        self.forgotten_at
    }

    /// The last publish on a topic, if it is remembered.
    pub(crate) fn last(&self, topic: &Topic) -> Option<Sent> {
        self.recent.get(topic).copied()
    }

    /// Topics by their last publish, oldest first, from after `after` on.
    pub(crate) fn since(&self, after: Micros) -> impl Iterator<Item = (&Topic, Sent)> {
        let settling = self.settling.iter().map(|(topic, sent)| (topic, *sent));
        let start = self.ring.partition_point(|kept| kept.link.at <= after);
        let ring = self.ring.range(start..).map(|kept| {
            let Link { n, at, .. } = kept.link;
            (&kept.topic, Sent { n, at })
        });
        let all = settling.filter(move |(_, sent)| sent.at > after).chain(ring);
        all.filter(|(topic, sent)| self.recent.get(*topic) == Some(sent))
    }

    /// All of a topic after number `after`, or, if that is 0, from `since` on.
    pub(crate) fn missing(&self, topic: &Topic, after: u64, since: Micros) -> Missing {
        let Some(top) = self.last(topic) else {
            let whole = self.forgotten_at < since;
            return Missing {
                whole,
                top: 0,
                frames: Vec::new(),
            };
        };
        let mut frames = Vec::new();
        let (mut n, mut at) = (top.n, top.at);
        let reached = |n: u64, at: Micros| if after > 0 { n != 0 && n <= after } else { at < since };
        let whole = loop {
            // What is older than the follow is not owed in any case.
            if reached(n, at) || (n == 0 && at < since) {
                break true;
            }
            let Some(kept) = self.kept(n) else {
                break n != 0 && after == 0 && self.floor < since;
            };
            frames.push((n, kept.envelope.clone()));
            (n, at) = (kept.link.prev, kept.link.prev_at);
        };
        frames.reverse();
        Missing {
            whole,
            top: top.n,
            frames,
        }
    }

    fn kept(&self, n: u64) -> Option<&Kept> {
        let first = self.ring.front()?.link.n;
        self.ring.get(usize::try_from(n.checked_sub(first)?).ok()?)
    }

    fn let_go(&mut self) {
        let Some(kept) = self.ring.pop_front() else { return };
        self.ring_bytes -= kept.envelope.len() + KEPT_BYTES;
        let Link { n, at, .. } = kept.link;
        self.floor = at;
        let sent = Sent { n, at };
        if self.recent.get(&kept.topic) == Some(&sent) {
            self.settling.push_back((kept.topic, sent));
        }
    }
}

/// Cuts a list of envelopes into pieces of bearable size.
pub(crate) fn pieces(frames: &[(u64, Bytes)], chunk: usize) -> Vec<&[(u64, Bytes)]> {
    let mut pieces = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, (_, frame)) in frames.iter().enumerate() {
        if bytes > 0 && bytes + frame.len() > chunk {
            pieces.push(&frames[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += frame.len();
    }
    pieces.push(&frames[start..]);
    pieces.truncate(MAX_PIECES);
    pieces
}

/// A minute: longer than any repair takes, and longer than a node is away before it is expired.
const KEEP_US: u64 = 60_000_000;

/// 32 MiB hold a minute of a thousand events of 500 B a second.
pub(crate) const RING_BYTES: usize = 32 << 20;

/// What a kept envelope costs beside its bytes, roughly.
const KEPT_BYTES: usize = 80;

/// As many different topics as are published on within a minute; beyond, publishes are refused.
const MAX_RECENT: usize = 1 << 20;

/// One answer sends a megabyte; whoever lacks more asks again.
const MAX_PIECES: usize = 16;
