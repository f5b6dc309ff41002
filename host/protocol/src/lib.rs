//! What bytes mean: names, WebSocket frames, close codes, signatures and the Pusher conversation.
//!
//! Everything here is a value machine: bytes and time go in, intents and frames come out. The rooms above own the
//! sockets, the clock and the keys, so a whole conversation can be tested without any of them.
//!
//! There is no I/O, no clock, no randomness and no runtime in this crate, and nothing here knows who else is connected.

#![warn(missing_docs)]

pub mod close;
pub mod names;
pub mod pusher;
pub mod signature;
pub mod websocket;

// The bodies of the fuzz targets name this crate as strangers do: fuzz/ and the tests here share one file.
#[cfg(test)]
extern crate self as jackfield_protocol;

#[cfg(test)]
mod tests;
