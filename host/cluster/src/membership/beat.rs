//! Beats: what a node says of itself every second, and what follows from what others say.

use jackfield_envelope::{Beat, Mark, Message, Micros, NodeId, Publishes, Topic};

use crate::cluster::Cluster;
use crate::event::{BusId, Loss, MAX_BUSES};
use crate::membership::Telling;
use crate::peers::{Heard, MAX_PEERS, Peer};
use crate::roster::Pull;
use crate::rules::Rule;

impl Cluster {
    pub(crate) fn send_beats(&mut self) {
        // What has a number does not change any more.
        self.flush_moves();
        let at = self.me.stamp();
        self.me.k += 1;
        for bus in self.buses.speaking() {
            let beat = Beat {
                name: self.me.name.to_string(),
                k: self.me.k,
                at,
                ready: self.buses.is_ready(bus),
                open: self.is_open(),
                publishes: self.publishes_seen_from(bus),
                roster_seq: self.roster.seq(),
                roster_digest: self.roster.digest_of(self.me.id),
                forgotten_at: self.origin.forgotten_at(),
                death_at: self.peers.death_at(),
                peers: self.marks(bus, at),
                apps: self.me.apps,
            };
            let all = self.me.all.clone();
            self.send(bus, &all, Message::Beat(beat));
        }
    }

    pub(crate) fn on_beat(&mut self, bus: BusId, from: NodeId, beat: Beat) {
        let now = self.me.now;
        if beat.name == *self.me.name {
            self.hear_namesake(from);
        }
        let Some(source) = self.peers.source(from, now) else {
            return;
        };
        source.clock.sample(beat.at, now);
        if source.buried.is_some_and(|k| beat.k <= k) || !self.meet(from, &beat) {
            return;
        }
        let mark = beat.peers.iter().find(|mark| mark.node == self.me.id).copied();
        // First, because a bus that is attached again forgets what was said there before.
        self.rejoin(bus, from, &beat);
        self.note_beat(bus, from, &beat, mark);
        self.note_strangers(from, &beat.peers);
        self.meet_again(from, &beat, mark);
        if let Some(mark) = mark {
            if let Some(source) = self.peers.source(from, now) {
                source.settle(mark.settled_at, mark.settled_seq);
            }
            self.settle_debts(from, beat.at, mark);
        }
        self.compare_roster(from, beat.roster_seq, beat.roster_digest);
        self.retry_publishes();
    }

    /// Makes sure that the node counts as alive. False if there are too many.
    fn meet(&mut self, node: NodeId, beat: &Beat) -> bool {
        if self.peers.live.contains_key(&node) {
            return true;
        }
        if self.peers.live.len() >= MAX_PEERS {
            return false;
        }
        let peer = Peer {
            name: beat.name.as_str().into(),
            buses: [Heard::default(); MAX_BUSES as usize],
            first_k: beat.k,
            k: 0,
            open: false,
            was_open: false,
            apps: 0,
            strangers: false,
            heard_in_tick: true,
            silent: 0,
            met: None,
            on: 0,
            mark: None,
            beat_at: 0,
            beat_came: self.me.now,
            telling: Telling::new(self.me.stamp()),
            pull: Pull::default(),
        };
        self.peers.live.insert(node, peer);
        // It was cut off, and tells for itself what it has published.
        if let Some(source) = self.peers.sources.get_mut(&node) {
            source.died = 0;
        }
        self.peers.strangers.remove(&node);
        self.peers.calm_ticks = 0;
        self.roster.add_node(node);
        true
    }

    fn note_beat(&mut self, bus: BusId, from: NodeId, beat: &Beat, mark: Option<Mark>) {
        let now = self.me.now;
        let mutual = self.me.rules.hold(Rule::Mutual);
        self.buses.hear(bus);
        let Some(peer) = self.peers.live.get_mut(&from) else {
            return;
        };
        peer.heard_in_tick = true;
        let heard = &mut peer.buses[usize::from(bus.0)];
        if beat.k >= heard.k {
            // Two adapters of a peer may lead to one broker. Then two beats with one number come here, and the better one counts.
            let again = beat.k == heard.k;
            let other = if again { *heard } else { Heard::default() };
            *heard = Heard {
                k: beat.k,
                came: other.came.or(Some(now)),
                ready: beat.ready || other.ready,
                lists_me: mark.is_some_and(|mark| mark.heard) || other.lists_me,
                publishes: Some(other.publishes.map_or(beat.publishes, |it| it.min(beat.publishes))),
                alone: if beat.publishes == Publishes::Here {
                    beat.k
                } else {
                    heard.alone
                },
            };
            peer.listen(now, mutual);
        }
        if beat.k < peer.k {
            return;
        }
        let opened = peer.open != beat.open;
        (peer.open, peer.apps) = (beat.open, beat.apps);
        peer.was_open |= beat.open;
        // One beat comes once for each bus: where this node is heard on one, it is heard.
        let heard_before = beat.k == peer.k && peer.mark.is_some_and(|mark| mark.heard);
        peer.mark = mark.map(|mark| Mark {
            heard: mark.heard || heard_before,
            ..mark
        });
        peer.k = beat.k;
        (peer.beat_at, peer.beat_came) = (beat.at, now);
        if opened {
            self.peers.calm_ticks = 0;
            self.tell_due();
        }
    }

    /// A peer that did not know this node for a while has waited for nobody here. Where it has forgotten what subscribers
    /// here may have been owed, they connect anew.
    fn meet_again(&mut self, from: NodeId, beat: &Beat, mark: Option<Mark>) {
        let now = self.me.now;
        let Some(peer) = self.peers.live.get_mut(&from) else {
            return;
        };
        let known = mark.map(|mark| mark.since);
        let again = known.is_some() && peer.met != known;
        peer.met = known.or(peer.met);
        let Some(source) = self.peers.sources.get_mut(&from) else {
            return;
        };
        // Who does not know this node says nothing to it: what happens meanwhile is told by the first beat that lists it again.
        let heard_at = source.beat_at;
        if known.is_some() {
            source.beat_at = beat.at;
        }
        if !again || !self.me.rules.hold(Rule::Meeting) {
            return;
        }
        let owed = |since: Micros, told: u64| {
            let base = source.clock.at_least(since, now).unwrap_or(0);
            let forgotten = base <= beat.forgotten_at && source.settled_for(told) < beat.forgotten_at;
            // Somebody who is dead may have published meanwhile, and this node may never have heard of it.
            let died = base <= beat.death_at && heard_at < beat.death_at;
            forgotten || died
        };
        let topics = self.topics.table.values();
        let lost = topics.filter(|known| known.listening().is_some_and(|since| owed(since, known.told)));
        let lost: Vec<Topic> = lost.map(|known| known.topic.clone()).collect();
        for topic in lost {
            self.give_up(&topic, from, Loss::Debt);
        }
    }

    fn marks(&self, bus: BusId, at: Micros) -> Vec<Mark> {
        let now = self.me.now;
        let marks = self.peers.live.iter().map(|(node, peer)| {
            let (settled_at, settled_seq) = peer.telling.settled;
            let applied = peer.pull.applied;
            Mark {
                node: *node,
                heard: peer.bus(bus).is_fresh(now),
                applied,
                since: peer.telling.since.min(at),
                settled_at: settled_at.min(at),
                settled_seq: settled_seq.min(applied),
            }
        });
        marks.collect()
    }
}
