//! The Pusher protocol, versions 5 to 7: what clients and publishers say, and what they are told.
//!
//! Each part does one thing: `handshake` judges the query of the upgrade, `session` holds one client's conversation,
//! `frames` writes what the server says, `publish` reads what a publisher posts.
//!
//! Not spoken yet: presence and cache channels, signin, watchlists. They are refused by name, never ignored.

pub mod frames;
pub mod handshake;
pub mod publish;
pub mod session;
