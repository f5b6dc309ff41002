//! The seal: with a cluster key, nobody who can merely write to the broker can speak as a node.
//!
//! HMAC-SHA256 over the topic and the whole envelope, cut to 16 bytes. What was said once cannot be said again to any
//! effect: beats, publishes and transitions are numbered, and the numbers are sealed.

use bytes::{BufMut as _, Bytes, BytesMut};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Malformed;

/// The cluster's key, if there is one.
#[derive(Clone, Default)]
pub struct Seal(Option<Hmac<Sha256>>);

impl Seal {
    /// A seal with this key; without one, envelopes are open.
    pub fn new(key: Option<&[u8]>) -> Self {
        Self(key.map(|key| Hmac::new_from_slice(key).expect("HMAC takes keys of any length")))
    }

    pub(super) fn close(&self, topic: &str, mut bytes: BytesMut) -> Bytes {
        if let Some(key) = &self.0 {
            let mac = digest(key, topic, &bytes).finalize().into_bytes();
            bytes.put_slice(&mac[..SEAL_BYTES]);
        }
        bytes.freeze()
    }

    pub(super) fn open(&self, topic: &str, mut bytes: Bytes) -> Result<Bytes, Malformed> {
        let Some(key) = &self.0 else { return Ok(bytes) };
        let length = bytes.len().checked_sub(SEAL_BYTES).ok_or(Malformed::Seal)?;
        let mac = bytes.split_off(length);
        let digest = digest(key, topic, &bytes);
        digest.verify_truncated_left(&mac).map_err(|_| Malformed::Seal)?;
        Ok(bytes)
    }
}

fn digest(key: &Hmac<Sha256>, topic: &str, bytes: &[u8]) -> Hmac<Sha256> {
    let mut digest = key.clone();
    digest.update(&(topic.len() as u32).to_le_bytes());
    digest.update(topic.as_bytes());
    digest.update(bytes);
    digest
}

/// 128 bits: nobody guesses them.
const SEAL_BYTES: usize = 16;
