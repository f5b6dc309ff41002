//! The Pusher protocol, versions 5 to 7: what clients and publishers say, and what they are told.
//!
//! Each part does one thing: `handshake` judges the query of the upgrade, `session` holds one client's conversation,
//! `frames` writes what the server says to clients, `api` reads what an app's servers ask and writes the answers,
//! `webhooks` writes what they are told unasked.

pub mod api;
pub mod frames;
pub mod handshake;
pub mod session;
pub mod webhooks;
