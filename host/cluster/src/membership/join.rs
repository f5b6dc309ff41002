//! Coming and going: is the name free, is everything here that clients may ask for, does everybody know that we leave.

use jackfield_envelope::{Bye, Message, Micros, NodeId, Publishes};

use crate::cluster::Cluster;
use crate::event::{Effect, Event};
use crate::membership::expiry::End;
use crate::membership::{BEAT_US, MAX_SILENT};
use crate::peers::{Peer, Source};

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Listens whether its name is in use. It says nothing of itself yet.
    Listening {
        /// Since when its link is proven.
        proven: Option<Micros>,
        /// Another node of this name: who, heard first, heard last.
        namesake: Option<(NodeId, Micros, Micros)>,
    },
    /// Collects what the others have, and waits until they hear it.
    Joining,
    Open,
    /// Clients are gone; what was said last is being acknowledged.
    Leaving(Micros),
    Ended,
}

impl Cluster {
    pub(crate) fn is_open(&self) -> bool {
        self.me.phase == Phase::Open
    }

    /// Whether beats are sent.
    pub(crate) fn is_heard_of(&self) -> bool {
        matches!(self.me.phase, Phase::Joining | Phase::Open | Phase::Leaving(_))
    }

    /// Once a beat.
    pub(crate) fn advance_phase(&mut self) {
        match self.me.phase {
            Phase::Listening { proven, namesake } => self.listen(proven, namesake),
            Phase::Joining if self.may_open() => {
                self.me.phase = Phase::Open;
                self.peers.calm_ticks = 0;
            }
            Phase::Leaving(since) => self.try_to_go(since),
            Phase::Joining | Phase::Open | Phase::Ended => {}
        }
    }

    /// Another node uses this one's name.
    pub(crate) fn hear_namesake(&mut self, node: NodeId) {
        let now = self.me.now;
        if let Phase::Listening { namesake, .. } = &mut self.me.phase {
            let first = namesake
                .filter(|(known, ..)| *known == node)
                .map_or(now, |(_, first, _)| first);
            *namesake = Some((node, first, now));
        }
    }

    /// Somebody starts: is it under our name?
    pub(crate) fn on_hello(&mut self, from: NodeId, name: &str) {
        let now = self.me.now;
        if let Some(source) = self.peers.source(from, now) {
            source.hello = Some(now);
        }
        if *name == *self.me.name && self.is_heard_of() {
            self.tell_node(from, Message::Taken(name.to_owned()));
        } else if *name == *self.me.name && from < self.me.id {
            // Of two that start at the same time, one waits.
            self.hear_namesake(from);
        }
    }

    pub(crate) fn on_leave(&mut self) {
        if matches!(self.me.phase, Phase::Joining | Phase::Open) {
            self.tell_all_members();
            self.me.phase = Phase::Leaving(self.me.stamp());
        } else if !matches!(self.me.phase, Phase::Leaving(_) | Phase::Ended) {
            self.me.phase = Phase::Ended;
            self.effects.push(Effect::Gone);
        }
    }

    pub(crate) fn on_bye(&mut self, from: NodeId, bye: &Bye) {
        let settled = bye.settled.iter().find(|(node, _)| *node == self.me.id);
        let known_seq = settled.map_or(0, |(_, seq)| *seq);
        self.end_peer(
            from,
            End::Left {
                last_at: bye.last_at,
                known_seq,
            },
        );
    }

    fn listen(&mut self, proven: Option<Micros>, namesake: Option<(NodeId, Micros, Micros)>) {
        let now = self.me.now;
        let proven = if self.buses.proven { proven.or(Some(now)) } else { None };
        self.me.phase = Phase::Listening { proven, namesake };
        if let Some((node, first, last)) = namesake {
            let (gone, stays) = (u64::from(MAX_SILENT) + 1, 2 * u64::from(MAX_SILENT));
            if first + stays * BEAT_US < last {
                self.me.phase = Phase::Ended;
                self.effects.push(Effect::NameTaken(node));
                return;
            }
            if last + gone * BEAT_US > now {
                return self.tell_all(Message::Hello(self.me.name.to_string()));
            }
        }
        let listened = proven.is_some_and(|since| since + LISTEN_US <= now);
        if listened || (self.buses.proven && self.buses.alone()) {
            self.me.phase = Phase::Joining;
            return self.advance_phase();
        }
        self.tell_all(Message::Hello(self.me.name.to_string()));
    }

    fn may_open(&self) -> bool {
        let met = |peer: &Peer| {
            let mut buses = self.buses.usable();
            // Whoever is on another bus alone would be neither heard nor told.
            peer.pull.is_whole()
                && !peer.strangers
                && buses.any(|bus| {
                    let heard = peer.bus(bus);
                    let publishes = heard.publishes.is_some_and(|it| it != Publishes::Elsewhere);
                    heard.is_fresh(self.me.now) && heard.lists_me && publishes && self.buses.is_ready(bus)
                })
        };
        // Those that start at the same time wait for each other.
        let starts = |(node, source): (&NodeId, &Source)| {
            let lately = source.hello.is_some_and(|at| at + STARTING_US >= self.me.now);
            lately && !self.peers.live.contains_key(node)
        };
        let alone = !self.peers.sources.iter().any(starts);
        self.buses.proven && alone && self.peers.live.values().all(met)
    }

    fn try_to_go(&mut self, since: Micros) {
        // All that was published, and on all the topics that it says it has.
        let behind = |peer: &Peer| peer.telling.settled.0 < since || peer.telling.settled.1 < peer.pull.told;
        if !self.peers.live.values().any(behind) || since + GOING_US <= self.me.now {
            self.me.phase = Phase::Ended;
            let peers = self
                .peers
                .live
                .iter()
                .filter(|(_, peer)| peer.telling.settled.0 >= since);
            let bye = Bye {
                last_at: since,
                settled: peers.map(|(node, peer)| (*node, peer.telling.settled.1)).collect(),
            };
            self.tell_all(Message::Bye(bye));
            self.effects.push(Effect::Gone);
        }
    }

    /// So late for its own beat that others have expired this node: it was suspended. It keeps its sockets; what it
    /// missed is found as after any loss of links.
    pub(crate) fn wake_up(&mut self) {
        self.peers.link_down_at = Some(self.me.now);
        self.buses.forget_proof();
        for peer in self.peers.live.values_mut() {
            peer.silent = 0;
            peer.heard_in_tick = true;
        }
        for bus in self.buses.usable() {
            self.handle_now(Event::LinkDown(bus));
            self.handle_now(Event::LinkUp(bus));
        }
        self.tell_all(Message::Hello(self.me.name.to_string()));
    }
}

/// Two beats and a half: every live node is heard in that time.
const LISTEN_US: u64 = BEAT_US * 5 / 2;

/// Whoever has said that it starts is heard of again by then.
const STARTING_US: u64 = 2 * BEAT_US;

/// Acknowledgements take a beat; whoever has not answered by then will not.
const GOING_US: u64 = 2 * BEAT_US;
