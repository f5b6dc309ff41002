//! Waiting for something that must happen, never longer than [`LIMIT`].

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long anything may take before a test fails: far more than it needs, for busy machines.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// What comes of `future`.
///
/// # Panics
/// When it takes too long; says `what` did.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(LIMIT, what, future).await
}

/// The same for what takes longer than anything else.
///
/// # Panics
/// As [`in_time`].
pub(crate) async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {limit:?} for {what}"),
    }
}

/// Looks again and again until there is something to see.
///
/// # Panics
/// When there is still nothing in the end; says `what` was missing.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "waited {LIMIT:?} for {what}");
        sleep(GLANCE).await;
    }
}

/// The pause between two looks.
pub(crate) const GLANCE: Duration = Duration::from_millis(10);
