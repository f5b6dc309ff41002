//! `info`: which attributes of channels an answer is to tell.

use super::ApiError;
use crate::names::{ChannelKind, ChannelName};

/// The attributes that were asked for, as a comma-separated list.
///
/// Rule: Pusher documents, "HTTP API reference": `info`, and which channels have which attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Distinct users; presence channels only.
    pub user_count: bool,
    /// Subscribed connections.
    pub subscription_count: bool,
    /// The last event; cache channels only, and only where one channel is asked about.
    pub cache: bool,
}

impl Info {
    /// Whether nothing was asked for.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Reads a list; `accepted` is what it may hold, in words.
    pub(super) fn parse(list: &str, accepted: &'static str) -> Result<Self, ApiError> {
        let mut info = Self::default();
        for attribute in list.split(',').map(str::trim).filter(|attribute| !attribute.is_empty()) {
            match attribute {
                "user_count" => info.user_count = true,
                "subscription_count" => info.subscription_count = true,
                "cache" if accepted.contains("cache") => info.cache = true,
                _ => {
                    let attribute = attribute.chars().take(LONGEST_ECHO).collect();
                    return Err(ApiError::InfoUnknown { attribute, accepted });
                }
            }
        }
        Ok(info)
    }

    /// Whether `channel` has all that was asked for.
    pub(super) fn check(self, channel: &ChannelName) -> Result<(), ApiError> {
        if self.user_count && channel.kind() != ChannelKind::Presence {
            let (what, only) = ("user_count", "presence channels");
            return Err(ApiError::Unavailable { what, only });
        }
        if self.cache && !channel.is_cache() {
            let (what, only) = ("cache", "cache channels");
            return Err(ApiError::Unavailable { what, only });
        }
        Ok(())
    }
}

/// Characters of an unknown attribute that are repeated in the answer.
const LONGEST_ECHO: usize = 40;
