//! Numbers, texts and lists in an envelope: the reading side. Every length is checked against what is left.

use bytes::{Buf as _, Bytes};

use super::Malformed;
use crate::topic::{NodeId, Topic, User};

/// What has not been read yet.
pub(super) struct Reader(Bytes);

impl Reader {
    pub(super) const fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left: what later versions appended is not there.
    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| Malformed::Short)
    }

    pub(super) fn node(&mut self) -> Result<NodeId, Malformed> {
        self.fixed().map(NodeId)
    }

    pub(super) fn fixed(&mut self) -> Result<u64, Malformed> {
        self.0.try_get_u64_le().map_err(|_| Malformed::Short)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Bounds),
        }
    }

    /// LEB128, at most ten bytes.
    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed::Bounds);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Bounds)
    }

    pub(super) fn small(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed::Bounds)
    }

    /// A number that was written as its distance below `from`.
    pub(super) fn below(&mut self, from: u64) -> Result<u64, Malformed> {
        from.checked_sub(self.number()?).ok_or(Malformed::Bounds)
    }

    /// Shares the envelope's bytes.
    pub(super) fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed::Bounds)?;
        if length > self.0.len() {
            return Err(Malformed::Short);
        }
        Ok(self.0.split_to(length))
    }

    /// A copy, so that a small thing that is kept does not keep a large envelope.
    pub(super) fn owned(&mut self) -> Result<Bytes, Malformed> {
        let bytes = self.bytes()?;
        if bytes.len() > MAX_INFO_BYTES {
            return Err(Malformed::Bounds);
        }
        Ok(Bytes::copy_from_slice(&bytes))
    }

    pub(super) fn topic(&mut self) -> Result<Topic, Malformed> {
        self.text(MAX_TOPIC_BYTES, Topic::new)
    }

    pub(super) fn user(&mut self) -> Result<User, Malformed> {
        self.text(MAX_NAME_BYTES, |text| User::from(text))
    }

    pub(super) fn name(&mut self) -> Result<String, Malformed> {
        self.text(MAX_NAME_BYTES, str::to_owned)
    }

    /// A list; nothing is set aside for what is announced and does not come.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.number()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn text<T>(&mut self, limit: usize, make: impl FnOnce(&str) -> T) -> Result<T, Malformed> {
        let bytes = self.bytes()?;
        if bytes.is_empty() || bytes.len() > limit {
            return Err(Malformed::Bounds);
        }
        std::str::from_utf8(&bytes).map(make).map_err(|_| Malformed::Bounds)
    }
}

/// An app's id, a slash and a channel's name: 164 bytes as Pusher has it, and room.
pub const MAX_TOPIC_BYTES: usize = 512;

/// A node's name, or a user's id.
const MAX_NAME_BYTES: usize = 512;

/// What is known of a user: 1 KiB as Pusher has it, and room for larger limits.
const MAX_INFO_BYTES: usize = 64 << 10;
