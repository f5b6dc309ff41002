//! An app: one tenant, with its key, its secret and what it may do.
//!
//! The secret can be used (to check and to make signatures) but not read: no method returns it, and `Debug` hides it.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use jackfield_protocol::pusher::api::PublishLimits;
use jackfield_protocol::pusher::session::{Features, Limits};
use jackfield_protocol::signature::SigningKey;

use crate::doors::Rule;
use crate::seats::{Seat, Seats};

/// One tenant of this server.
#[derive(Debug)]
pub struct App {
    /// The id in HTTP paths: letters, digits, `_` and `-`.
    pub id: Arc<str>,
    /// The public key in WebSocket paths.
    pub key: Arc<str>,
    secret: Secret,
    /// What the app may do.
    pub policy: Policy,
    seats: Arc<Seats>,
}

/// What an app may do. Every key has an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether the app is served at all.
    pub enabled: bool,
    /// Whether clients have to come over TLS.
    pub force_tls: bool,
    /// Connections at a time; none: no limit.
    pub max_connections: Option<NonZeroU64>,
    /// `Origin`s that may connect, each with at most one `*`; empty: all.
    pub allowed_origins: Vec<String>,
    /// What clients may use.
    pub features: Features,
    /// Whether subscribers are told how many they are.
    pub subscription_count: bool,
    /// How long a client may stay without signin or authorised subscription; none: for ever.
    pub user_authentication_timeout: Option<Duration>,
    /// Bounds of what clients ask for.
    pub limits: Limits,
    /// Bounds of what the HTTP API takes.
    pub publish_limits: PublishLimits,
    /// Members of a presence channel.
    pub max_presence_members: usize,
    /// How much, by what is counted.
    pub rules: Rules,
    /// Who is told of notices.
    pub webhooks: Vec<Endpoint>,
}

/// The app's rules for the rate-limit door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Client events of one connection.
    pub client_event: ClientRule,
    /// Messages of one connection, whatever they say; none: no limit.
    pub message: Option<ClientRule>,
    /// Events from the app's own servers.
    pub publish: Rule,
    /// Questions from the app's own servers.
    pub read: Rule,
}

/// A rule for what one connection sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRule {
    /// How much it may be.
    pub rule: Rule,
    /// Whether a client over the rule is closed instead of told.
    pub closes: bool,
}

/// Where an app's own server wants to be told of notices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// An `http` or `https` URL.
    pub url: String,
    /// Names of the events wanted; empty means all.
    pub events: Vec<String>,
    /// How the names of the channels wanted begin and end; empty means any.
    pub channel_starts_with: String,
    /// As above.
    pub channel_ends_with: String,
    /// Headers to send along.
    pub headers: Vec<(String, String)>,
}

/// A secret that signs and verifies, and is never shown.
#[derive(Clone, Debug)]
pub struct Secret(SigningKey);

/// The table of apps. Look-ups are on the path of every handshake and every HTTP request: they do not wait.
pub trait Apps: Send + Sync {
    /// The app with this id.
    fn by_id(&self, id: &str) -> Option<Arc<App>>;
    /// The app with this key.
    fn by_key(&self, key: &str) -> Option<Arc<App>>;
}

/// Pusher's own limits, every feature off, and room for what a busy app does.
impl Default for Policy {
    fn default() -> Self {
        Self {
            enabled: true,
            force_tls: false,
            max_connections: None,
            allowed_origins: Vec::new(),
            features: Features::OFF,
            subscription_count: false,
            user_authentication_timeout: None,
            limits: Limits::PUSHER,
            publish_limits: PublishLimits::PUSHER,
            max_presence_members: 100,
            rules: Rules::default(),
            webhooks: Vec::new(),
        }
    }
}

/// Ten client events a second as at Pusher; for the app's own servers a limit that stops a runaway, not a busy one.
impl Default for Rules {
    fn default() -> Self {
        Self {
            client_event: ClientRule {
                rule: per_second(10),
                closes: false,
            },
            message: None,
            publish: per_second(1_000_000),
            read: per_second(1_000_000),
        }
    }
}

/// So many a second, and a second's worth at once.
pub const fn per_second(amount: u32) -> Rule {
    per_seconds(amount, 1)
}

/// So many in so many seconds, and all of them at once if the client likes.
pub const fn per_seconds(amount: u32, seconds: u32) -> Rule {
    Rule {
        amount,
        period_ms: seconds.saturating_mul(1_000),
        burst: amount,
    }
}

impl App {
    /// An app with its secret.
    pub fn new(id: &str, key: &str, secret: Secret, policy: Policy) -> Self {
        Self {
            id: id.into(),
            key: key.into(),
            secret,
            seats: Arc::default(),
            policy,
        }
    }

    /// The same app by another configuration: what was taken of its quota stays taken.
    #[must_use]
    pub fn in_place_of(mut self, old: &Self) -> Self {
        self.seats = Arc::clone(&old.seats);
        self
    }

    /// Whether the other one is configured just as this one is.
    pub fn is_like(&self, other: &Self) -> bool {
        let public = |app: &Self| (Arc::clone(&app.id), Arc::clone(&app.key));
        // Secrets are not read, not even here: two that sign alike are one.
        let signed = |app: &Self| app.sign(b"");
        public(self) == public(other) && self.policy == other.policy && signed(self) == signed(other)
    }

    /// Takes a connection off the app's quota; none when there is none left.
    pub fn take_seat(&self) -> Option<Seat> {
        self.seats.take(self.policy.max_connections)
    }

    /// Whether a page of this origin may connect. A client that names no origin is no browser, and may.
    pub fn allows_origin(&self, origin: Option<&str>) -> bool {
        let allowed = &self.policy.allowed_origins;
        allowed.is_empty() || origin.is_none_or(|origin| allowed.iter().any(|pattern| fits(origin, pattern)))
    }

    /// Whether anybody wants to hear of this notice.
    pub fn wants(&self, notice: &str, channel: &str) -> bool {
        self.policy
            .webhooks
            .iter()
            .any(|endpoint| endpoint.wants(notice, channel))
    }

    /// Whether `signature` is the hexadecimal HMAC-SHA256 of `message` under this app's secret. Constant time.
    pub fn verify(&self, message: &[u8], signature: &str) -> bool {
        self.secret.0.verify(message, signature)
    }

    /// The hexadecimal HMAC-SHA256 of `message` under this app's secret.
    pub fn sign(&self, message: &[u8]) -> String {
        self.secret.0.sign_hex(message)
    }
}

impl Endpoint {
    /// Whether it wants to be told of the notice named `notice` about `channel`.
    pub fn wants(&self, notice: &str, channel: &str) -> bool {
        (self.events.is_empty() || self.events.iter().any(|name| name == notice))
            && channel.starts_with(&self.channel_starts_with)
            && channel.ends_with(&self.channel_ends_with)
    }
}

impl Secret {
    /// Wraps a secret as it stands in the configuration.
    pub fn new(text: &str) -> Self {
        Self(SigningKey::new(text.as_bytes()))
    }
}

/// `https://*.example.org` fits `https://a.example.org`. Compared without regard to case, as browsers send hosts.
fn fits(origin: &str, pattern: &str) -> bool {
    let (origin, pattern) = (origin.to_ascii_lowercase(), pattern.to_ascii_lowercase());
    match pattern.split_once('*') {
        None => origin == pattern,
        Some((head, tail)) => {
            origin.len() >= head.len() + tail.len() && origin.starts_with(head) && origin.ends_with(tail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_with_their_patterns() {
        for (origin, pattern, expected) in [
            ("https://example.org", "https://example.org", true),
            ("https://EXAMPLE.org", "https://example.org", true),
            ("https://a.example.org", "https://*.example.org", true),
            ("https://example.org", "https://*.example.org", false),
            ("https://a.example.org.evil.net", "https://*.example.org", false),
            ("http://a.example.org", "https://*.example.org", false),
            ("https://x", "*", true),
            ("https://ab", "https://a*ab", false),
        ] {
            assert_eq!(fits(origin, pattern), expected, "{origin} {pattern}");
        }
    }

    #[test]
    fn an_app_is_known_again_by_all_that_is_configured() {
        let app = |key: &str, secret: &str, policy: Policy| App::new("1", key, Secret::new(secret), policy);
        let ordinary = app("k", "s", Policy::default());
        assert!(ordinary.is_like(&app("k", "s", Policy::default())));
        let closed = Policy {
            enabled: false,
            ..Policy::default()
        };
        for other in [
            app("K", "s", Policy::default()),
            app("k", "S", Policy::default()),
            app("k", "s", closed),
        ] {
            assert!(!ordinary.is_like(&other), "{other:?}");
        }
    }

    #[test]
    fn an_app_in_the_place_of_another_has_its_connections() {
        let app = |limit: u64| {
            let max_connections = NonZeroU64::new(limit);
            let policy = Policy {
                max_connections,
                ..Policy::default()
            };
            App::new("1", "k", Secret::new("s"), policy)
        };
        let old = app(2);
        let seats = [old.take_seat(), old.take_seat()];
        let new = app(3).in_place_of(&old);
        let third = new.take_seat();
        assert!(third.is_some() && new.take_seat().is_none());
        drop(seats);
        assert!(new.take_seat().is_some());
    }

    #[test]
    fn debug_hides_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret([secret])");
    }
}
