//! Why a request to the HTTP API is refused, and with which status.

use crate::names::NameError;

/// Why a request is refused. The message is meant for the developer and names the key.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Two places to look for channels.
    #[error("both `channel` and `channels` are given; give one of them")]
    ChannelAndChannels,
    /// A list with nothing in it, or with too much.
    #[error("`{key}` holds {count} {what}; 1 to {limit} are accepted", what = if *.key == "batch" { "events" } else { "channels" })]
    Count {
        /// The key in the body.
        key: &'static str,
        /// Entries in the request.
        count: usize,
        /// Entries accepted.
        limit: usize,
    },
    /// An event over the limit.
    #[error("`data` is {bytes} bytes long; at most {limit} are accepted")]
    DataTooLarge {
        /// Length of the data in bytes.
        bytes: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// An encrypted channel is one of several.
    #[error("`channels` names an encrypted channel and others; an encrypted channel must be the only one")]
    EncryptedNotAlone,
    /// Something is wrong with one event of a batch.
    #[error("`batch[{index}]`: {error}")]
    InBatch {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        error: Box<Self>,
    },
    /// An attribute that nobody knows here.
    #[error("`info` asks for {attribute:?}; {accepted} are accepted")]
    InfoUnknown {
        /// As given, or the beginning of it.
        attribute: String,
        /// What may be asked for here.
        accepted: &'static str,
    },
    /// A required key is absent.
    #[error("`{key}` is missing")]
    Missing {
        /// The key in the body.
        key: &'static str,
    },
    /// A name or an id that breaks its rules.
    #[error("`{key}`: {error}")]
    Name {
        /// The key in the body.
        key: &'static str,
        /// The rule.
        #[source]
        error: NameError,
    },
    /// JSON, but a list, a string or the like.
    #[error("a JSON object is needed")]
    NotAnObject,
    /// Not JSON at all, or a key given twice.
    #[error("not a valid JSON object: {0}")]
    NotJson(#[source] serde_json::Error),
    /// Something that the channels in question do not have.
    #[error("`{what}` is known of {only} only")]
    Unavailable {
        /// What was asked for.
        what: &'static str,
        /// Where it may be asked for.
        only: &'static str,
    },
    /// A key of another type.
    #[error("`{key}` must be {expected}")]
    WrongType {
        /// The key in the body.
        key: &'static str,
        /// What would be accepted.
        expected: &'static str,
    },
}

impl ApiError {
    /// The HTTP status to answer: 413 for data over the limit, 400 for everything else.
    pub fn status(&self) -> u16 {
        match self {
            Self::DataTooLarge { .. } => 413,
            Self::InBatch { error, .. } => error.status(),
            _ => 400,
        }
    }
}
