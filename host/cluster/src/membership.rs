//! Who is alive, and what is owed by those who are not.

mod beat;
mod expiry;
mod join;
mod tails;
mod tick;

pub(crate) use expiry::Debt;
pub(crate) use join::Phase;
pub(crate) use tails::Telling;

/// A node says every second that it is there.
pub(crate) const BEAT_US: u64 = 1_000_000;

/// More beats than this missed in a row, and a node is expired: no ghost outlives it by ten seconds.
pub(crate) const MAX_SILENT: u32 = 5;
