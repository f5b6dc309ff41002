//! This node as a receiver: what to deliver, what to ask for, what to give up.

use jackfield_envelope::{Data, Envelope, Message, Micros, Need, NodeId, Resend, Tail, Topic};

use crate::chain::Judge;
use crate::chain::origin::pieces;
use crate::chain::rx::Verdict;
use crate::cluster::Cluster;
use crate::event::{Delivery, Effect, Loss};
use crate::peers::Source;
use crate::rules::Rule;
use crate::timers::Timer;
use crate::topics::Followed;

impl Cluster {
    pub(crate) fn on_data(&mut self, topic: &str, from: NodeId, data: Data) {
        let now = self.me.now;
        let Some(source) = self.peers.source(from, now) else {
            return;
        };
        source.clock.sample(data.link.at, now);
        let Some(known) = self.topics.table.get_mut(topic) else {
            return;
        };
        let judge = judge(known, source, now);
        let rx = known.rx.entry(from).or_default();
        let Some(mut judge) = judge.filter(|_| known.occupied) else {
            // Nobody is there whom it could be owed to, now or later.
            rx.skip(data.link.n, data.link.at);
            return;
        };
        if !self.me.rules.hold(Rule::Base) {
            judge.base = data.link.at;
        }
        let verdict = match rx.judge(&data.link, judge) {
            Verdict::Hold if !self.me.rules.hold(Rule::Hold) => Verdict::Deliver,
            verdict => verdict,
        };
        match verdict {
            Verdict::Drop => self.stats.duplicates += 1,
            Verdict::Hold => {
                let due = now + HOLD_US;
                if rx.hold(data, due, self.me.bounds.held) {
                    self.stats.gaps += 1;
                    self.timers.set(due, Timer::Gap(known.topic.clone(), from));
                }
            }
            Verdict::Deliver => {
                rx.advance(data.link.n, data.link.at);
                self.effects.push(deliver(&known.topic, data));
                while let Some(next) = rx.next_held(judge) {
                    self.effects.push(deliver(&known.topic, next));
                }
            }
        }
    }

    /// The origin says that these exist.
    pub(crate) fn owe_tails(&mut self, from: NodeId, entries: &[Tail]) {
        let now = self.me.now;
        let Some(source) = self.peers.source(from, now) else {
            return;
        };
        for tail in entries {
            let Some(known) = self.topics.table.get_mut(tail.topic.as_str()) else {
                continue;
            };
            let Some(judge) = judge(known, source, now) else {
                continue;
            };
            let rx = known.rx.entry(from).or_default();
            if !known.occupied {
                rx.skip(tail.n, tail.at);
                continue;
            }
            let owed = rx.last.is_some() || (tail.at >= judge.base && tail.at > judge.settled);
            if owed && rx.owe(tail.n, now + HOLD_US) {
                self.stats.gaps += 1;
                self.timers.set(now + HOLD_US, Timer::Gap(tail.topic.clone(), from));
            }
        }
    }

    /// Something has been missing for a while: ask for it, or give it up.
    pub(crate) fn on_gap(&mut self, topic: &Topic, from: NodeId) {
        let now = self.me.now;
        let Some(source) = self.peers.source(from, now) else {
            return;
        };
        let Some(known) = self.topics.table.get_mut(topic) else {
            return;
        };
        let Some(judge) = judge(known, source, now) else { return };
        let Some(rx) = known.rx.get_mut(&from) else { return };
        while let Some(next) = rx.next_held(judge) {
            self.effects.push(deliver(topic, next));
        }
        let after = rx.last.unwrap_or(0);
        let Some(gap) = rx.gap.as_mut().filter(|gap| gap.due <= now) else {
            return;
        };
        if gap.asked >= MAX_ASKED {
            self.give_up(topic, from, Loss::Gap);
            return;
        }
        // Without a link there is nobody to ask, and no hurry.
        gap.asked += u32::from(self.buses.proven);
        gap.since = judge.base;
        gap.due = now + ASK_AGAIN_US;
        self.timers.set(gap.due, Timer::Gap(topic.clone(), from));
        self.stats.needs += 1;
        let need = Need {
            topic: topic.clone(),
            after,
            since: judge.base,
        };
        self.tell_node(from, Message::Need(need));
    }

    pub(crate) fn on_need(&mut self, from: NodeId, need: &Need) {
        let missing = self.origin.missing(&need.topic, need.after, need.since);
        let mut resend = Resend {
            topic: need.topic.clone(),
            after: need.after,
            since: need.since,
            whole: missing.whole,
            top: missing.top,
            frames: Vec::new(),
        };
        if !missing.whole {
            self.stats.ring_short += 1;
            self.tell_node(from, Message::Resend(resend));
            return;
        }
        for piece in pieces(&missing.frames, self.me.bounds.chunk_bytes) {
            resend.frames = piece.iter().map(|(_, frame)| frame.clone()).collect();
            self.tell_node(from, Message::Resend(resend.clone()));
            resend.after = piece.last().map_or(0, |(n, _)| *n);
        }
    }

    pub(crate) fn on_resend(&mut self, from: NodeId, resend: Resend) {
        let now = self.me.now;
        let Some(source) = self.peers.source(from, now) else {
            return;
        };
        let Some(known) = self.topics.table.get_mut(&resend.topic) else {
            return;
        };
        let Some(judge) = judge(known, source, now).filter(|_| known.occupied) else {
            return;
        };
        let Some(rx) = known.rx.get_mut(&from) else { return };
        let Some(gap) = &mut rx.gap else { return };
        if !resend.whole {
            gap.top = gap.top.max(resend.top);
            self.give_up(&resend.topic, from, Loss::Gap);
            return;
        }
        // An answer to an older question says nothing of what is missing now.
        let connects = match (resend.after, rx.last) {
            // Every baseline that was ever computed for this follow is one: they differ by what clocks may drift.
            (0, _) => resend.since <= judge.base.max(gap.since),
            (after, last) => last.is_some_and(|last| last >= after),
        };
        if !connects {
            return;
        }
        // All that there was is older than what was asked for.
        if resend.frames.is_empty() && resend.top > 0 {
            rx.advance(resend.top, resend.since);
        } else if resend.frames.is_empty() {
            rx.forget_top();
        }
        for frame in resend.frames {
            let Ok(Envelope {
                from: origin,
                message: Message::Data(data),
            }) = Envelope::decode(resend.topic.as_str(), frame, &self.me.seal)
            else {
                self.stats.malformed += 1;
                continue;
            };
            if origin != from || rx.last >= Some(data.link.n) {
                continue;
            }
            // The baseline may have risen since the question: then this is older than the follow, after all.
            let owed = rx.last.is_some() || data.link.at >= judge.base;
            rx.advance(data.link.n, data.link.at);
            if owed {
                self.stats.repaired += 1;
                self.effects.push(deliver(&resend.topic, data));
            }
        }
        while let Some(next) = rx.next_held(judge) {
            self.effects.push(deliver(&resend.topic, next));
        }
    }

    /// What is missing of this origin will not come: whoever it was for connects anew.
    pub(crate) fn give_up(&mut self, topic: &Topic, from: NodeId, why: Loss) {
        let Some(known) = self.topics.table.get_mut(topic) else {
            return;
        };
        if let Some(rx) = known.rx.get_mut(&from) {
            rx.skip(0, 0);
        }
        if known.listening().is_some() {
            self.stats.closes += 1;
            self.effects.push(Effect::Close {
                topic: topic.clone(),
                why,
            });
        }
    }

    /// Forgets origins on topics where nothing came for a while: that all is here until then says it as well.
    pub(crate) fn forget_rx(&mut self) {
        for known in self.topics.table.values_mut() {
            let told = known.told;
            known.rx.retain(|node, rx| {
                let settled = self
                    .peers
                    .sources
                    .get(node)
                    .map_or(0, |source| source.settled_for(told));
                rx.gap.is_some() || rx.at.saturating_add(FORGET_US) > settled
            });
        }
    }
}

/// None as long as the topic's follow is not confirmed.
fn judge(known: &Followed, source: &Source, now: Micros) -> Option<Judge> {
    let since = known.since?;
    Some(Judge {
        base: source.clock.at_least(since, now).unwrap_or(0),
        settled: source.settled_for(known.told),
    })
}

fn deliver(topic: &Topic, data: Data) -> Effect {
    Effect::Deliver(Delivery {
        topic: topic.clone(),
        frame: data.frame,
        flags: data.flags,
        except: data.except,
    })
}

/// How long a frame waits for the one before it: two buses, or a broker with several nodes, swap neighbours by less.
const HOLD_US: u64 = 300_000;

/// The origin has answered by then, or the question or the answer was lost.
const ASK_AGAIN_US: u64 = 1_000_000;

/// Six questions without an answer: longer than an origin lives unheard.
const MAX_ASKED: u32 = 6;

/// What has been silent for so long is known by its origin's settled time alone.
const FORGET_US: u64 = 60_000_000;
