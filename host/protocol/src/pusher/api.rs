//! What an app's servers ask over HTTP, and the JSON that answers them.
//!
//! `publish` reads one event for up to a hundred channels, `batch` up to ten events for one channel each, `query` what
//! the GET requests want to know, and `answers` writes what they are told. A request that was read is well-formed by
//! construction; one that was refused says why in an [`ApiError`], for the developer, by the name of the key.
//!
//! Who may ask is decided before, how many are counted elsewhere.
//!
//! Rule: Pusher documents, "HTTP API reference".

pub mod answers;
mod batch;
mod body;
mod error;
mod info;
mod publish;
mod query;

pub use batch::{BatchEvent, BatchRequest};
pub use error::ApiError;
pub use info::Info;
pub use publish::PublishRequest;
pub use query::{ChannelQuery, ChannelsQuery, check_users_of};

use crate::names::MAX_NAME_BYTES;

/// How much one request may publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishLimits {
    /// Largest `data` of an event, in bytes.
    pub max_event_bytes: usize,
    /// Most channels that one event may name.
    pub max_channels: usize,
    /// Longest name of a channel, in bytes.
    pub max_channel_name_bytes: usize,
    /// Longest name of an event, in bytes.
    pub max_event_name_bytes: usize,
    /// Most events in one batch.
    pub max_batch: usize,
}

impl PublishLimits {
    /// 10 kB an event, 100 channels, 200 bytes a name, 10 events a batch (Pusher documents, "HTTP API reference").
    pub const PUSHER: Self = Self {
        max_event_bytes: 10 * 1024,
        max_channels: 100,
        max_channel_name_bytes: MAX_NAME_BYTES,
        max_event_name_bytes: MAX_NAME_BYTES,
        max_batch: 10,
    };
}
