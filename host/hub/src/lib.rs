//! Who is in which channel, and what may reach it.
//!
//! Start at [`Hub`]: `publish` and `deliver` are the whole story. [`Gate`] decides who may do what, [`Shard`] is one
//! event loop's part of every channel, [`Outbox`] the bounded queue in front of one socket, and [`doors`] the traits
//! behind which plugins stand.
//!
//! Invariants: no I/O, no clock and no `.await` here; no JSON, frames are opaque bytes; no lock is held while a plugin
//! runs; nothing is done per subscriber but appending a shared frame.
#![warn(missing_docs)]

mod app;
mod cache;
mod channel;
pub mod cluster;
mod command;
pub mod doors;
mod gate;
mod hub;
mod notices;
mod outbox;
mod presence;
mod seats;
mod shard;
mod tickets;
mod topic;
mod users;

pub use app::{App, Apps, ClientRule, Endpoint, Policy, Rules, Secret, per_second, per_seconds};
pub use cache::Cached;
pub use channel::Welcome;
pub use gate::{Gate, Grant, Pass, Toll};
pub use hub::{Event, Hub, JoinError, Occupancy, PublishError, Receipt};
pub use outbox::{Outbox, OutboxFull, OutboxLimits};
pub use seats::{Seat, Seats};
pub use shard::{Job, Joined, Late, Shard, ShardHandle, Subscribe};
pub use topic::Topic;
pub use users::Place;
