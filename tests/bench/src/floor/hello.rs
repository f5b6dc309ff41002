//! What the bench says first on a connection to the floor, in nine bytes.

use anyhow::{Result, bail};

/// What a connection is for.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// Hears its channel; what it sends goes to all others who do.
    Subscriber,
    /// Sends HTTP requests, each of which is answered and heard in as many channels as a batch has.
    Publisher,
    /// Asks and takes back by turns: each question is answered with a frame.
    Asker,
}

#[derive(Clone, Copy)]
pub(crate) struct Hello {
    pub(crate) role: Role,
    /// Of a subscriber its channel, of a publisher the number of its first request.
    pub(crate) first: u32,
    /// How much higher the number of a publisher's next request is.
    pub(crate) step: u32,
}

impl Hello {
    /// Bytes of it.
    pub(crate) const BYTES: usize = 9;

    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let role = match self.role {
            Role::Subscriber => b's',
            Role::Publisher => b'p',
            Role::Asker => b'a',
        };
        let mut bytes = [role; Self::BYTES];
        bytes[1..5].copy_from_slice(&self.first.to_be_bytes());
        bytes[5..].copy_from_slice(&self.step.to_be_bytes());
        bytes
    }

    pub(crate) fn decode([role, first @ .., a, b, c, d]: [u8; Self::BYTES]) -> Result<Self> {
        let role = match role {
            b's' => Role::Subscriber,
            b'p' => Role::Publisher,
            b'a' => Role::Asker,
            other => bail!("{other} is no role"),
        };
        Ok(Self {
            role,
            first: u32::from_be_bytes(first),
            step: u32::from_be_bytes([a, b, c, d]),
        })
    }
}

/// The floor's answer.
pub(crate) const GREETING: u8 = b'!';
