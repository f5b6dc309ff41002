//! What is counted, for metrics.

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that could not be read, or came where they do not belong.
    pub malformed: u64,
    /// Messages of kinds that this version does not know.
    pub unknown_kinds: u64,
    /// Publishes that had come before.
    pub duplicates: u64,
    /// Times when something was missing.
    pub gaps: u64,
    /// Questions for what was missing.
    pub needs: u64,
    /// Publishes that came by asking.
    pub repaired: u64,
    /// Questions to which this node had to answer that it does not have it any more.
    pub ring_short: u64,
    /// Topics whose sockets were closed because something was lost.
    pub closes: u64,
    /// Snapshots asked for.
    pub snapshots: u64,
    /// Peers that were silent for too long.
    pub expired: u64,
    /// Peers of which the last word is not known.
    pub debts: u64,
}
