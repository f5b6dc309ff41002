//! What each kind of broker brings along: how to connect, publish and follow. All else is the same for all of them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Outgoing;
use super::shared::Shared;

/// A kind of broker, with everything that an operator said about it.
pub(super) trait Broker: Send + Sync + 'static {
    type Wire: Wire;

    /// Whether this can be a subject there.
    fn check(subject: &str) -> Result<(), String>;

    /// Connects once. What is heard is told to `ear` from then on, but only while the life is driven.
    fn connect(&self, ear: &Arc<Shared>) -> impl Future<Output = Result<(Self::Wire, Life), String>> + Send;
}

/// Drives connections until one of them breaks; says which one, and why.
pub(super) type Life = Pin<Box<dyn Future<Output = String> + Send>>;

/// Connections of which none has broken yet. Dropped, they are closed.
pub(super) trait Wire: Send + Sync + 'static {
    /// One for each pair of connections that has to prove itself.
    fn canaries(&self) -> Vec<Canary>;

    /// Hands messages over at its first poll, and waits until the broker has answered for each: true if it took it,
    /// false if another server is responsible.
    ///
    /// # Errors
    /// When the wire is of no more use.
    fn publish(&self, batch: Vec<Outgoing>) -> impl Future<Output = Result<Vec<bool>, String>> + Send;

    /// Follows subjects, or no longer, and waits for the answer. Those that are followed now are [`Shared::entered`]; the
    /// others are with another server.
    ///
    /// # Errors
    /// When the wire is of no more use.
    fn ask(&self, wish: Wish, subjects: &[Arc<str>]) -> impl Future<Output = Result<(), String>> + Send;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Follow,
    Unfollow,
}

/// A subject that nobody else knows, and the server that it passes through.
#[derive(Clone, Debug)]
pub(super) struct Canary {
    pub(super) subject: Arc<str>,
    pub(super) place: String,
}

/// What comes of connecting, in time.
pub(super) async fn within<T>(
    limit: Duration,
    connecting: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    timeout(limit, connecting)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
}

/// A subject that begins like this and that nobody else thinks of.
pub(super) fn random_subject(prefix: &str) -> Result<String, String> {
    let low = getrandom::u64().map_err(|error| error.to_string())?;
    let high = getrandom::u64().map_err(|error| error.to_string())?;
    Ok(format!("{prefix}{high:016x}{low:016x}"))
}
