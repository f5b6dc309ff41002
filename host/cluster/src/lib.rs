//! The cluster protocol: many instances that look like one.
//!
//! A pure state machine: [`Cluster::handle`] takes an event and the time, and says what to do. There is no I/O, no clock,
//! no randomness and no runtime in it, and nothing of sockets, channels or Pusher: topics are texts, frames and
//! members are bytes. So a whole cluster, with its brokers and their faults, runs inside of one test. The driver, a crate of its
//! own, connects it with a hub, an adapter and a clock, and decides nothing.
//!
//! What it promises, for every origin and topic: a follower delivers what was published after its
//! [`Effect::Followed`] in order, once, and leaves nothing out unless it says so by [`Effect::Close`].

#![warn(missing_docs)]

mod chain;
mod cluster;
mod event;
mod ledger;
mod membership;
mod notices;
mod peers;
mod publish;
mod roster;
mod rules;
mod stable;
mod stats;
mod swap;
mod timers;
mod topics;

pub use cluster::{Cluster, Setup};
pub use event::{
    Announcement, Answer, BusId, Degraded, Delivery, Effect, Event, Loss, MAX_BUSES, MemberNotice, Publication,
    Refused, State, Stay, Turn,
};
pub use jackfield_envelope::{Micros, NodeId, Topic, User};
pub use stats::Stats;
pub use swap::BusState;

#[cfg(test)]
mod tests;
