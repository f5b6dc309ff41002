//! What the scenarios share: a server of one's own, and ways to talk to it.

pub(crate) mod client;
pub(crate) mod heard;
pub(crate) mod http;
pub(crate) mod node;
pub(crate) mod python;
pub(crate) mod scene;
pub(crate) mod server;
pub(crate) mod stand;
pub(crate) mod wait;
