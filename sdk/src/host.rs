//! What the host offers to a plugin.
//!
//! In a guest each function is a call of the host; in native tests it reaches [`double`](crate::double). `log`,
//! `clock`, `random`, digests and [`sleep`] are always granted; [`handshake`], [`remote_address`], [`headers`], [`body`]
//! and [`body_md5_is`] to auth plugins; [`verify`] needs the grant `sign`, [`count`] the grant `counters`, [`send`] the
//! grant `http` (lines in the operator's `plugins/NAME.toml`).

#[cfg(target_arch = "wasm32")]
use crate::bindings::host::jackfield::host as backend;
#[cfg(not(target_arch = "wasm32"))]
use crate::double::backend;

use crate::Header;
pub use crate::bindings::host::jackfield::host::handshake::Details as Handshake;
pub use crate::bindings::host::jackfield::host::http::{
    Error as HttpError, Request as HttpRequest, Response as HttpResponse,
};
pub use crate::bindings::host::jackfield::host::log::Level;

/// Writes one line to the host's log under the plugin's name. Lines over 2,048 bytes are cut, lines over 100 a second
/// counted and dropped.
pub fn log(level: Level, message: &str) {
    backend::log::write(level, message);
}

/// Logs something for whoever looks for a fault.
pub fn debug(message: &str) {
    log(Level::Debug, message);
}

/// Logs something an operator may want to know.
pub fn info(message: &str) {
    log(Level::Info, message);
}

/// Logs something an operator should look at.
pub fn warn(message: &str) {
    log(Level::Warn, message);
}

/// Logs something an operator must act on.
pub fn error(message: &str) {
    log(Level::Error, message);
}

/// Microseconds on the host's monotonic clock. The zero is arbitrary. `Instant::now()` panics in a guest: use this.
#[must_use]
pub fn monotonic_us() -> u64 {
    backend::clock::monotonic_us()
}

/// Milliseconds since 1970-01-01T00:00:00Z. May jump. `SystemTime::now()` panics in a guest: use this.
#[must_use]
pub fn unix_ms() -> u64 {
    backend::clock::unix_ms()
}

/// Bytes from the operating system's random source.
///
/// # Panics
///
/// If `length` is over 4,096: the host traps.
#[must_use]
pub fn random(length: u32) -> Vec<u8> {
    backend::random::bytes(length)
}

/// SHA-256 of `data`, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256(data: &[u8]) -> String {
    backend::digest::sha256(data)
}

/// MD5 of `data`, as 32 lower-case hexadecimal digits. It withstands nobody who wants two texts with the same one.
#[must_use]
pub fn md5(data: &[u8]) -> String {
    backend::digest::md5(data)
}

/// Whether `signature` (64 lower-case hexadecimal digits) is the HMAC-SHA256 of `message` under the secret of the app that the question
/// to an auth plugin is about. Compared in constant time by the host, which keeps the secret.
#[must_use]
pub fn verify(message: &[u8], signature: &str) -> bool {
    backend::sign::verify(message, signature)
}

/// Adds `by` to the plugin's counter `name` (`[a-z0-9_]`, 48 bytes; 32 counters at most) in the host's metrics.
pub fn count(name: &str, by: u64) {
    backend::counters::add(name, by);
}

/// The handshake of the connection that the question to an auth plugin is about; none for an API request.
///
/// Fetched only when it is asked for, because most questions are decided without it.
#[must_use]
pub fn handshake() -> Option<Handshake> {
    backend::handshake::get()
}

/// The IP address of whoever sent the HTTP request that the question to an auth plugin is about, without a port; empty when it is
/// about a connection, which has its own.
#[must_use]
pub fn remote_address() -> String {
    backend::request::remote_address()
}

/// The headers of the HTTP request that the question to an auth plugin is about, as far as the operator chose them in
/// `auth.headers`; none when it is about a connection, which has them in its [`handshake`].
#[must_use]
pub fn headers() -> Vec<Header> {
    backend::request::headers()
}

/// The body of the HTTP request that the question to an auth plugin is about; empty when it is about a connection.
///
/// It is copied, so [`body_md5_is`] and `body_length` of the request are cheaper where they will do.
#[must_use]
pub fn body() -> Vec<u8> {
    backend::request::body()
}

/// Whether `digest` is the MD5 of [`body`], as 32 lower-case hexadecimal digits: `body_md5` of the Pusher HTTP API.
#[must_use]
pub fn body_md5_is(digest: &str) -> bool {
    backend::request::body_md5_is(digest)
}

/// Sends a request to one of the places that the operator allows, and waits for the whole answer.
///
/// A plugin that calls this becomes an *io* plugin: its asker waits for the answer, other work goes on.
///
/// # Errors
///
/// [`HttpError`], which says whose fault it was. An answer of status 500 is an answer.
pub fn send(request: &HttpRequest) -> Result<HttpResponse, HttpError> {
    backend::http::send(request)
}

/// Waits for `ms` milliseconds, 5,000 at most.
///
/// A plugin that calls this becomes an *io* plugin: its asker waits for the answer, other work goes on.
pub fn sleep(ms: u32) {
    backend::wait::sleep(ms);
}

/// How an adapter tells the host what became of its requests. None of these waits; what is told during a call takes
/// effect when the call has returned.
pub mod cluster {
    use super::backend;
    use crate::bindings::host::jackfield::host::cluster::Status;

    /// Every live peer that follows the topics of these envelopes will see them, as far as the adapter can know.
    pub fn confirmed(tickets: &[u64]) {
        backend::cluster::confirmed(tickets);
    }

    /// From now on messages of peers on these topics arrive here.
    pub fn following(topics: &[String]) {
        backend::cluster::following(topics);
    }

    /// Instances can reach each other. An adapter that never says so keeps its instance from being ready.
    pub fn up() {
        backend::cluster::state(&Status::Up);
    }

    /// Instances cannot reach each other, and why, in words for the operator.
    pub fn degraded(reason: &str) {
        backend::cluster::state(&Status::Degraded(reason.to_owned()));
    }
}

/// What adapters that reach other instances tell the host. One that calls nothing of this is taken to be alone.
pub mod peers {
    use super::backend;
    pub use crate::bindings::host::jackfield::host::peers::Message;

    /// Messages have come on topics that are followed, in this order. What this instance published itself is among them.
    pub fn deliver(messages: &[Message]) {
        backend::peers::deliver(messages);
    }

    /// Nobody knows whether these envelopes were sent.
    pub fn failed(tickets: &[u64]) {
        backend::peers::failed(tickets);
    }

    /// Nothing arrives on these topics any more, although nobody asked for that.
    pub fn lost(topics: &[String]) {
        backend::peers::lost(topics);
    }
}

/// Connections to brokers that the host keeps for an adapter (grant `links`). None of these waits; what comes of them is
/// told by [`Adapter::receive`](crate::Adapter::receive).
pub mod links {
    use super::backend;
    pub use crate::bindings::host::jackfield::host::links::{Broker, Outgoing};

    /// Opens the link of this number (0 to 3), or finds it as it was. `options` is a JSON object; secrets of the
    /// configuration stand in it as the adapter got them.
    ///
    /// # Errors
    ///
    /// A text that names the option that is wrong. A broker that is away is none.
    pub fn open(link: u32, broker: Broker, options: &str) -> Result<(), String> {
        backend::links::open(link, broker, options)
    }

    /// Hands a batch over.
    ///
    /// # Errors
    ///
    /// Nothing of it was sent: the link is down, or too much is on its way already.
    pub fn publish(link: u32, batch: &[Outgoing]) -> Result<(), String> {
        backend::links::publish(link, batch)
    }

    /// Follows subjects from now on, over every reconnect.
    ///
    /// # Errors
    ///
    /// One of them can be no subject.
    pub fn follow(link: u32, subjects: &[String]) -> Result<(), String> {
        backend::links::follow(link, subjects)
    }

    /// Ends that.
    pub fn unfollow(link: u32, subjects: &[String]) {
        backend::links::unfollow(link, subjects);
    }
}
