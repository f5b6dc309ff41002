//! An app: one tenant, with its key, its secret and what it may do.
//!
//! The secret can be used (to check and to make signatures) but not read: no method returns it, and `Debug` hides it.

use std::fmt;
use std::sync::Arc;

use jackfield_protocol::signature;

use crate::doors::Rule;

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
}

/// What an app may do. Every key has an effect.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether clients may send `client-…` events.
    pub client_events: bool,
    /// How many client events one connection may send.
    pub client_event_rule: Rule,
    /// How many events the app's server may publish.
    pub publish_rule: Rule,
    /// Who is told when a channel becomes occupied.
    pub webhooks: Vec<Endpoint>,
}

/// Where an app's own server wants to be told of notices.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// An `http` or `https` URL.
    pub url: String,
    /// Names of the events wanted; empty means all.
    pub events: Vec<String>,
    /// Headers to send along.
    pub headers: Vec<(String, String)>,
}

/// A secret that signs and verifies, and is never shown.
#[derive(Clone)]
pub struct Secret(Arc<str>);

/// The table of apps. Look-ups are on the path of every handshake and every HTTP request: they do not wait.
pub trait Apps: Send + Sync {
    /// The app with this id.
    fn by_id(&self, id: &str) -> Option<Arc<App>>;
    /// The app with this key.
    fn by_key(&self, key: &str) -> Option<Arc<App>>;
}

impl App {
    /// An app with its secret.
    pub fn new(id: &str, key: &str, secret: Secret, policy: Policy) -> Self {
        Self {
            id: id.into(),
            key: key.into(),
            secret,
            policy,
        }
    }

    /// Whether `signature` is the hexadecimal HMAC-SHA256 of `message` under this app's secret. Constant time.
    pub fn verify(&self, message: &[u8], signature: &str) -> bool {
        signature::verify(self.secret.0.as_bytes(), message, signature)
    }

    /// The hexadecimal HMAC-SHA256 of `message` under this app's secret.
    pub fn sign(&self, message: &[u8]) -> String {
        signature::hmac_sha256_hex(self.secret.0.as_bytes(), message)
    }
}

impl Secret {
    /// Wraps a secret as it stands in the configuration.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
    }
}
