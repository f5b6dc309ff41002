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
pub mod doors;
mod gate;
mod hub;
mod outbox;
mod shard;
mod tickets;
mod topic;

pub use app::{App, Apps, Endpoint, Policy, Secret};
pub use gate::{Gate, Grant, Pass, Toll};
pub use hub::{Event, Hub, PublishError, Receipt};
pub use outbox::{Outbox, OutboxFull, OutboxLimits};
pub use shard::{Change, Job, Shard, ShardHandle, Subscription};
pub use topic::Topic;
