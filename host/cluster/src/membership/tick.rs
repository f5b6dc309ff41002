//! What is done once a beat.

use jackfield_envelope::Message;

use crate::cluster::Cluster;
use crate::membership::{BEAT_US, MAX_SILENT, Phase};
use crate::rules::Rule;

impl Cluster {
    pub(crate) fn tick(&mut self) {
        let now = self.me.now;
        if now > self.me.last_tick + (u64::from(MAX_SILENT) + 1) * BEAT_US && self.me.last_tick > 0 {
            self.wake_up();
        }
        if now > self.me.last_tick + 2 * BEAT_US {
            // What others have said meanwhile is not read yet.
            self.peers.calm_ticks = 0;
        }
        self.me.last_tick = now;
        self.me.next_tick = now + BEAT_US;
        if self.me.phase == Phase::Ended {
            return;
        }
        self.buses.prove();
        let mutual = self.me.rules.hold(Rule::Mutual);
        for peer in self.peers.live.values_mut() {
            peer.listen(now, mutual);
        }
        self.count_silence();
        let confirmed = self.fully_confirmed();
        self.buses.make_ready(confirmed);
        self.advance_swap();
        self.advance_phase();
        if self.is_heard_of() {
            self.tell_tails();
            self.send_beats();
        }
        self.send_canaries();
        self.retry_publishes();
        if self.buses.proven && self.me.rules.hold(Rule::Debt) {
            self.owe_strangers();
        }
        self.pay_debts();
        self.clean();
        self.pull_snapshots();
        // What others announced while the link was away is not known yet.
        let calm = self.peers.calm_ticks.saturating_add(1);
        self.peers.calm_ticks = if self.buses.proven { calm } else { 0 };
        // Whoever left the channel before it was empty is told of before.
        self.tell_members();
        self.announce_all();
    }

    /// To oneself: when it comes back, the link is proven.
    fn send_canaries(&mut self) {
        let inbox = self.me.inbox.clone();
        for bus in self.buses.speaking() {
            self.send(bus, &inbox, Message::Canary);
        }
    }

    /// Lets go of what nobody can ask for any more.
    fn clean(&mut self) {
        let now = self.me.now;
        let (live, roster) = (&self.peers.live, &self.roster);
        // Whoever was met a moment ago has heard what was forgotten until then; its topics are not known yet.
        let known = self.peers.are_whole();
        self.origin.forget(now, |topic, sent| {
            let mut occupants = roster.occupants(topic);
            known
                && occupants.all(|node| {
                    let telling = live.get(&node).map(|peer| &peer.telling);
                    telling.is_none_or(|telling| telling.acked >= sent.at && !telling.late.contains_key(topic))
                })
        });
        if self.me.k.is_multiple_of(CLEAN_TICKS) {
            self.forget_rx();
            for node in self.peers.forget_sources(now) {
                for known in self.topics.table.values_mut() {
                    known.rx.remove(&node);
                }
            }
            self.ledger.forget(now);
        }
    }
}

/// Looking at all topics is worth it every ten seconds.
const CLEAN_TICKS: u64 = 10;
