//! The rules that the simulation can leave out, to show that it notices. Production has all of them.

/// One rule, named by what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A follower's baseline is a time; without it, the first frame seen.
    Base,
    /// Origins tell occupants the last number of their topics until it is acknowledged.
    Tails,
    /// A topic that somebody newly occupies is told, too, if there was a publish a moment ago.
    Late,
    /// A frame that does not fit its chain is held until the missing one is here.
    Hold,
    /// Silence counts while a link of one's own is proven.
    ProvenLink,
    /// A peer that left without a known last word is a debt.
    Debt,
    /// A debt is settled by a beat that has this node's topics applied, not by any beat.
    SettledBeat,
    /// A peer that is met (again) closes what it has forgotten meanwhile.
    Meeting,
    /// Transitions apply in their order alone.
    RosterOrder,
    /// A beat that knows more than was applied asks for a snapshot.
    RosterBeat,
    /// The owner of a channel goes by what was announced, and tells what it announces.
    Ledger,
    /// Of a member's coming or going whoever saw it tells, if those who come before have not said that they did.
    Told,
    /// Hearing is mutual and per bus.
    Mutual,
    /// A publish is confirmed when a bus on which the peer hears has confirmed, for every peer.
    Cover,
    /// A topic is followed when all buses that are up have confirmed.
    EveryBus,
    /// The topic of all nodes is followed on a bus that was left, and a peer there is met again.
    Rejoin,
}

/// Which rules hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    #[cfg(test)]
    pub(crate) without: Option<Rule>,
}

impl Rules {
    /// Whether this rule holds: always, outside the simulation.
    #[cfg(not(test))]
    pub(crate) const fn hold(self, _: Rule) -> bool {
        true
    }

    #[cfg(test)]
    pub(crate) fn hold(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}
