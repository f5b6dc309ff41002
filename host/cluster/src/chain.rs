//! The chain of publishes: numbered and kept by their origin, put into order and completed by their receivers.

mod clock;
mod origin;
mod receiver;
mod rx;

pub(crate) use clock::Clock;
pub(crate) use origin::{Origin, RING_BYTES};
pub(crate) use rx::{Judge, MAX_HELD, Rx};
