//! Webhooks of members: who sends them, under which id.
//!
//! Every node sees who comes and goes, and makes the same notice of it. The owner of the channel tells the app's server, and tells the
//! other nodes that it did. They keep the notice until they hear that; if they do not, the next one in the order of owners tells
//! some beats later, then the one after it. Whoever hears that something was told that it does not see so tells how things are,
//! if nobody else does and they stay so. While nodes come and go all wait for calm, as the ledger does, but not for ever.
//!
//! A notice is named by the transition with which a stay began, so it has the same id everywhere, whether the end of the stay was
//! seen as a transition, in a snapshot or not at all. Two nodes have two ids for one thing where they see different things:
//! connections of one user at two nodes that come, or end, at the same time; a node that is given up by some while others hear the
//! user leave it, or whose last beat did not reach all. Both are told only if the first one to tell dies before it has said so, or if
//! the two cannot hear each other. And who opened after a user came does not know whether that was told: it may tell again of what
//! the app's server knows. What only nodes knew that are dead is not told, and whoever was cut off and repeats what is long told
//! may talk others out of what they have to tell, until the user comes or goes again.

use std::collections::BTreeMap;

use jackfield_envelope::{Message, Micros, Stay, Told, Topic, Turn, User};

use crate::cluster::Cluster;
use crate::event::{Effect, MemberNotice, is_coming};
use crate::membership::BEAT_US;
use crate::roster::{GATHER_US, chunks};
use crate::rules::Rule;
use crate::timers::Timer;

/// What was seen, and not told yet, as far as this node knows.
#[derive(Default)]
pub(crate) struct Notices {
    /// Users who left a moment ago, since when, and what is told unless they come back.
    away: BTreeMap<(Topic, User), (Micros, MemberNotice)>,
    /// What others come first to tell.
    untold: BTreeMap<(Topic, User), Untold>,
    /// What was told lately, here or elsewhere, and when.
    told: BTreeMap<(Stay, Turn), Micros>,
    /// What the app's server thinks of users of whom it was told lately: whether they are there.
    thinks: BTreeMap<(Topic, User), (Micros, bool)>,
    /// What this node has told since it said so last, and when that was.
    unsaid: Vec<Told>,
    said_at: Micros,
}

/// What is to be told of one user: the last turn alone, which is how things are.
struct Untold {
    notice: MemberNotice,
    /// From then on others wait for whoever comes first, and since when it is known at all.
    since: Micros,
    seen: Micros,
}

impl Notices {
    /// Whether somebody is known to have told this.
    #[cfg(test)]
    pub(crate) fn knows(&self, it: &MemberNotice) -> bool {
        self.told.contains_key(&(it.stay, it.turn))
    }

    /// What is not told yet.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &MemberNotice> {
        let away = self.away.values().map(|(_, notice)| notice);
        away.chain(self.untold.values().map(|untold| &untold.notice))
    }
}

impl Cluster {
    /// A user who was nowhere in a channel is there.
    pub(crate) fn note_came(&mut self, topic: Topic, user: User, stay: Stay) {
        let notice = self.notice(topic, user, stay, true);
        let who = key(&notice);
        // What a node finds when it comes was told by those who were there.
        if !self.is_open() && !self.peers.are_whole() {
            self.notices.untold.remove(&who);
            self.notices.away.remove(&who);
            return;
        }
        if self.notices.away.remove(&who).is_none() {
            self.tell_in_turn(notice);
        } else if let Some(mut untold) = self.notices.untold.remove(&who) {
            // It waited for this, here and elsewhere.
            untold.since = untold.since.max(self.me.now);
            self.tell_or_keep(who, untold);
        }
    }

    /// A user is nowhere in a channel any more, and perhaps back in a moment.
    pub(crate) fn note_went(&mut self, topic: Topic, user: User, stay: Stay) {
        let notice = self.notice(topic, user, stay, false);
        self.notices.away.insert(key(&notice), (self.me.now, notice));
    }

    /// Another node has told.
    pub(crate) fn on_told(&mut self, told: Vec<Told>) {
        for it in told {
            // Who was cut off repeats what is long told.
            if self.notices.told.contains_key(&(it.stay, it.turn)) {
                continue;
            }
            let came = is_coming(it.turn);
            let who = (it.topic, it.user);
            self.remember_told(&who, it.stay, it.turn);
            let stay = self.roster.stays(&who.0, &who.1).next();
            // Who left a moment ago is not gone yet.
            let here = stay.is_some() || self.notices.away.contains_key(&who);
            if let Some(source) = self.peers.sources.get_mut(&it.stay.node).filter(|_| !came) {
                source.given_up = source.given_up.max(it.stay.number);
            }
            if self.settle_told(&who, came) || here == came || !self.me.rules.hold(Rule::Told) {
                continue;
            }
            let stay = stay.unwrap_or(it.stay);
            // Under an id that was not used before.
            let beat = self.beat_of(stay);
            let turn = if here { Turn::Back(beat) } else { Turn::Gone(beat) };
            let (topic, user) = who.clone();
            let notice = MemberNotice {
                topic,
                user,
                stay,
                turn,
            };
            let doubt = Untold {
                notice,
                since: self.me.now + DOUBT_US,
                seen: self.me.now + DOUBT_US,
            };
            self.keep(who, doubt);
        }
    }

    /// Once a beat.
    pub(crate) fn tell_members(&mut self) {
        let now = self.me.now;
        self.notices.told.retain(|_, at| *at + TOLD_US > now);
        self.notices.thinks.retain(|_, (at, _)| *at + TOLD_US > now);
        self.tell_due();
        let away = std::mem::take(&mut self.notices.away);
        for (who, (since, notice)) in away {
            // Whoever comes first decides whether the user was away for long.
            let waits = if self.owns(&who.0) { AWAY_US } else { AWAY_ELSEWHERE_US };
            if since + waits <= now {
                self.tell_in_turn(notice);
            } else {
                self.notices.away.insert(who, (since, notice));
            }
        }
    }

    /// The order of owners, or the time, is another one: what waits is told before what happens now.
    pub(crate) fn tell_due(&mut self) {
        let (now, calm) = (self.me.now, self.is_calm());
        for (who, mut untold) in std::mem::take(&mut self.notices.untold) {
            if !calm && untold.seen + CALM_US > now {
                // Until then everybody waits: those who come first as well.
                untold.since = untold.since.max(now);
            }
            self.tell_or_keep(who, untold);
        }
    }

    /// This node goes: whoever has come since may take for told what waits here.
    pub(crate) fn tell_all_members(&mut self) {
        let now = self.me.now;
        if self.is_open() {
            for (_, untold) in std::mem::take(&mut self.notices.untold) {
                if untold.since <= now {
                    self.tell_member(untold.notice);
                }
            }
            self.say_told();
        }
    }

    /// Others hear what was told here.
    pub(crate) fn say_told(&mut self) {
        // What it is about comes before it.
        self.flush_moves();
        self.notices.said_at = self.me.now;
        let unsaid = std::mem::take(&mut self.notices.unsaid);
        if unsaid.is_empty() {
            return;
        }
        let size = |told: &Told| told.topic.as_str().len() + told.user.len() + TOLD_BYTES;
        for told in chunks(unsaid, self.me.bounds.chunk_bytes, size) {
            self.tell_all(Message::Told(told));
        }
    }

    /// The same at every node.
    fn notice(&self, topic: Topic, user: User, stay: Stay, came: bool) -> MemberNotice {
        let source = self.peers.sources.get(&stay.node);
        let turn = match self.peers.live.get(&stay.node) {
            Some(peer) if came && source.is_some_and(|source| stay.number <= source.given_up) => {
                Turn::Back(peer.first_k)
            }
            _ if came => Turn::Came,
            None if stay.node != self.me.id => Turn::Gone(source.and_then(|source| source.buried).unwrap_or(0)),
            _ => Turn::Left,
        };
        MemberNotice {
            topic,
            user,
            stay,
            turn,
        }
    }

    /// The number of a node's last beat.
    fn beat_of(&self, stay: Stay) -> u64 {
        let peer = self.peers.live.get(&stay.node);
        peer.map_or(self.me.k, |peer| peer.k)
    }

    fn tell_in_turn(&mut self, notice: MemberNotice) {
        let who = key(&notice);
        let before = self.notices.untold.remove(&who);
        // Who is back before anybody has told never left; who goes before anybody has told never came.
        let thinks = self.notices.thinks.get(&who).map(|(_, thinks)| *thinks);
        let settled = before.is_some() && thinks == Some(notice.came());
        if settled || self.notices.told.contains_key(&(notice.stay, notice.turn)) {
            return;
        }
        let untold = Untold {
            notice,
            since: self.me.now,
            seen: before.map_or(self.me.now, |before| before.seen),
        };
        self.tell_or_keep(who, untold);
    }

    /// Tells it if that is this node's to do, and it is time.
    fn tell_or_keep(&mut self, who: (Topic, User), untold: Untold) {
        let rank = self.rank(&who.0);
        let due = rank.map(|rank| untold.since + rank * PATIENCE_US);
        // Who has just left may be gone.
        let leaving = untold.notice.came() && self.notices.away.contains_key(&who);
        let calm = self.is_calm() || (self.buses.proven && untold.seen + CALM_US <= self.me.now);
        if calm && !leaving && due.is_some_and(|due| due <= self.me.now) {
            self.tell_member(untold.notice);
        } else if rank == Some(0) || self.me.rules.hold(Rule::Told) {
            self.keep(who, untold);
        }
    }

    fn keep(&mut self, who: (Topic, User), untold: Untold) {
        if self.notices.untold.len() < MAX_UNTOLD {
            self.notices.untold.insert(who, untold);
        }
    }

    /// Somebody has told that a user came, or left. False if nothing is known here that has to do with it.
    fn settle_told(&mut self, who: &(Topic, User), came: bool) -> bool {
        let since = self.me.now + DOUBT_US;
        let Some(untold) = self.notices.untold.get_mut(who) else {
            return false;
        };
        if untold.notice.came() == came {
            self.notices.untold.remove(who);
        } else {
            // It is later, or they know more.
            untold.since = untold.since.max(since);
        }
        true
    }

    fn tell_member(&mut self, notice: MemberNotice) {
        if self.notices.unsaid.is_empty() {
            let due = self.notices.said_at + GATHER_US;
            self.timers.set(due.max(self.me.now), Timer::Say);
        }
        self.notices.unsaid.push(Told {
            topic: notice.topic.clone(),
            user: User::clone(&notice.user),
            stay: notice.stay,
            turn: notice.turn,
        });
        self.remember_told(&key(&notice), notice.stay, notice.turn);
        self.effects.push(Effect::Notice(notice));
    }

    fn remember_told(&mut self, who: &(Topic, User), stay: Stay, turn: Turn) {
        let now = self.me.now;
        if self.notices.told.len() < MAX_TOLD {
            self.notices.told.insert((stay, turn), now);
        }
        if self.notices.thinks.len() < MAX_TOLD {
            self.notices.thinks.insert(who.clone(), (now, is_coming(turn)));
        } else {
            self.notices.thinks.remove(who);
        }
    }
}

fn key(notice: &MemberNotice) -> (Topic, User) {
    (notice.topic.clone(), User::clone(&notice.user))
}

/// Page changes and reconnects are back within it (Pusher documents, "Webhooks").
const AWAY_US: u64 = 3_000_000;

/// The owner looks once a beat, and what it tells takes a moment.
const AWAY_ELSEWHERE_US: u64 = AWAY_US + 2 * BEAT_US;

/// Whoever tells says so at once; it may be busy, and what it says late.
const PATIENCE_US: u64 = 3 * BEAT_US;

/// Where nodes come and go all the time, nothing waits for calm for longer.
const CALM_US: u64 = 15 * BEAT_US;

/// Nodes may see the end of another one two beats apart, or what they have missed in a snapshot, and wait then whether the user comes back.
const DOUBT_US: u64 = 9 * BEAT_US;

/// Who is cut off for longer begins anew.
const TOLD_US: u64 = 600 * BEAT_US;

/// What does not fit is told again by whoever was cut off over it.
const MAX_TOLD: usize = 65_536;

/// As many notices wait for an app's server; so many users here. What does not fit is left to others.
const MAX_UNTOLD: usize = 65_536;

/// What is told of a member, without the names, at most.
const TOLD_BYTES: usize = 34;
