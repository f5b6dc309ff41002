//! Every way in which the server ends a connection, as one type.
//!
//! The numbers stand here and nowhere else. The range of a code tells a Pusher client what to do next (pusher protocol,
//! "Connection closure"), so [`Close::advice`] is derived from the number and cannot contradict it.
//!
//! 4301 and 4302 are absent on purpose: clients never come back after them, they are `pusher:error` events only.

/// Why the server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// 1000: the client said goodbye; RFC 6455 §7.4.1.
    Normal,
    /// 1002: the client broke the framing rules; RFC 6455 §7.4.1.
    ProtocolError,
    /// 1003: a binary message, which Pusher does not know; RFC 6455 §7.4.1.
    Unsupported,
    /// 1007: a text message that is not UTF-8; RFC 6455 §8.1.
    InvalidUtf8,
    /// 1008: legal framing in an abusive shape, such as thousands of tiny fragments; RFC 6455 §7.4.1.
    PolicyViolated,
    /// 1009: a message over the limit; RFC 6455 §7.4.1.
    TooBig,
    /// 4000: the app accepts TLS only.
    TlsRequired,
    /// 4001: no app has this key.
    AppUnknown,
    /// 4003: the app is switched off.
    AppDisabled,
    /// 4004: the app is at its connection quota.
    OverQuota,
    /// 4005: the path is not one of the protocol's.
    PathNotFound,
    /// 4006: the protocol version is not a number.
    VersionInvalid,
    /// 4007: the protocol version is a number that is not served.
    ProtocolUnsupported,
    /// 4008: the client named no protocol version.
    ProtocolMissing,
    /// 4009: the client may not connect, or did not sign in in time.
    Unauthorized,
    /// 4100: this instance has no room for another connection.
    OverCapacity,
    /// 4100: the client reads more slowly than its channels speak, and its outbox is full.
    OutboxFull,
    /// 4100: the client sends more than its app allows, and the app wants such clients gone. Back off, because a client that came
    /// back at once would find a new count, and the limit would be none.
    OverRate,
    /// 4200: nothing is wrong, another instance (or this one, later) will serve the client.
    Reconnect,
    /// 4201: the client was silent, was asked for a sign of life, and stayed silent.
    PongMissing,
    /// 4202: nothing happened on the connection for a very long time.
    Idle,
    /// A code that a plugin chose; made by [`Close::from_plugin`] alone, which checks the range.
    Refused {
        /// 4000 to 4299.
        code: u16,
    },
}

/// What a client does after a close (pusher protocol, "Connection closure").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reconnect {
    /// 4000–4099: the same attempt will fail again.
    Never,
    /// 4100–4199: wait at least a second.
    BackOff,
    /// 4200–4299: come back at once.
    AtOnce,
    /// The range says nothing: each client decides by itself.
    Client,
}

impl Close {
    /// The close for a code that a plugin chose.
    ///
    /// Codes outside of 4000–4299 become [`Close::Unauthorized`]: above it clients give up for good, below it the
    /// numbers belong to WebSocket itself.
    pub const fn from_plugin(code: u16) -> Self {
        match code {
            4000..=4299 => Self::Refused { code },
            _ => Self::Unauthorized,
        }
    }

    /// The number in the close frame.
    pub const fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::ProtocolError => 1002,
            Self::Unsupported => 1003,
            Self::InvalidUtf8 => 1007,
            Self::PolicyViolated => 1008,
            Self::TooBig => 1009,
            Self::TlsRequired => 4000,
            Self::AppUnknown => 4001,
            Self::AppDisabled => 4003,
            Self::OverQuota => 4004,
            Self::PathNotFound => 4005,
            Self::VersionInvalid => 4006,
            Self::ProtocolUnsupported => 4007,
            Self::ProtocolMissing => 4008,
            Self::Unauthorized => 4009,
            Self::OverCapacity | Self::OutboxFull | Self::OverRate => 4100,
            Self::Reconnect => 4200,
            Self::PongMissing => 4201,
            Self::Idle => 4202,
            Self::Refused { code } => code,
        }
    }

    /// The text in the close frame, for whoever debugs the client. At most 123 bytes (RFC 6455 §5.5).
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "goodbye",
            Self::ProtocolError => "the frame breaks the rules of RFC 6455",
            Self::Unsupported => "binary messages are not supported; send JSON as text",
            Self::InvalidUtf8 => "the text is not valid UTF-8",
            Self::PolicyViolated => "the message came in too many fragments",
            Self::TooBig => "the message is larger than this server accepts",
            Self::TlsRequired => "this app accepts TLS connections only; connect with wss://",
            Self::AppUnknown => "no app has this key",
            Self::AppDisabled => "this app is disabled",
            Self::OverQuota => "this app is at its limit of connections",
            Self::PathNotFound => "path not found; connect to /app/KEY",
            Self::VersionInvalid => "the protocol version must be a number; add ?protocol=7",
            Self::ProtocolUnsupported => "this protocol version is not supported; 5, 6 and 7 are",
            Self::ProtocolMissing => "no protocol version was given; add ?protocol=7",
            Self::Unauthorized => "not authorized",
            Self::OverCapacity => "over capacity; try again later",
            Self::OutboxFull => "this client reads too slowly and its queue is full",
            Self::OverRate => "this client sends more than its app allows; come back later",
            Self::Reconnect => "please reconnect",
            Self::PongMissing => "no answer to pusher:ping in time",
            Self::Idle => "nothing happened on this connection for too long",
            Self::Refused { .. } => "refused by a plugin of this server",
        }
    }

    /// What a Pusher client will do after this close.
    pub const fn advice(self) -> Reconnect {
        match self.code() {
            4000..=4099 => Reconnect::Never,
            4100..=4199 => Reconnect::BackOff,
            4200..=4299 => Reconnect::AtOnce,
            _ => Reconnect::Client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Close, Reconnect};

    // Pusher protocol, "Connection closure": the range carries the meaning.
    #[test]
    fn the_range_decides_what_a_client_does() {
        for (close, code, advice) in [
            (Close::Normal, 1000, Reconnect::Client),
            (Close::TooBig, 1009, Reconnect::Client),
            (Close::AppUnknown, 4001, Reconnect::Never),
            (Close::Unauthorized, 4009, Reconnect::Never),
            (Close::OverCapacity, 4100, Reconnect::BackOff),
            (Close::OutboxFull, 4100, Reconnect::BackOff),
            (Close::OverRate, 4100, Reconnect::BackOff),
            (Close::Reconnect, 4200, Reconnect::AtOnce),
            (Close::PongMissing, 4201, Reconnect::AtOnce),
            (Close::Refused { code: 4150 }, 4150, Reconnect::BackOff),
        ] {
            assert_eq!((close.code(), close.advice()), (code, advice), "{close:?}");
        }
    }

    // pusher-js never reconnects from 4300 on, and codes below 4000 are not for plugins.
    #[test]
    fn a_plugin_chooses_within_its_range_only() {
        for code in [4000, 4123, 4299] {
            assert_eq!(Close::from_plugin(code), Close::Refused { code });
        }
        for code in [0, 1000, 3999, 4300, 4301, u16::MAX] {
            assert_eq!(Close::from_plugin(code), Close::Unauthorized);
        }
    }
}
