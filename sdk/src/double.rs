//! A double of the host for native tests: everything a plugin may call, without any WASM.
//!
//! Each thread has a double of its own, and each `#[test]` runs on a thread of its own, so tests neither share state
//! nor need to clean up. Clocks stand still until they are set, random bytes repeat, digests and signatures are real.
//!
//! ```
//! use jackfield_sdk::{double, host};
//!
//! double::add_app("1001", "a secret");
//! let signature = double::sign("1001", b"1234.5678:private-room");
//! assert!(host::verify(b"1234.5678:private-room", &signature));
//!
//! double::set_unix_ms(1_353_088_179_000);
//! assert_eq!(host::unix_ms(), 1_353_088_179_000);
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use crate::bindings::host::jackfield::host::cluster::Status;
use crate::host::links::{Broker, Outgoing};
use crate::host::{Handshake, HttpError, HttpRequest, HttpResponse, Level};
use crate::{ApiRequest, App, Connection, Header, SubscribeRequest, host};

pub(crate) mod backend;

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// What the double knows and what it was told.
#[derive(Default)]
struct Host {
    monotonic_us: u64,
    unix_ms: u64,
    /// Secrets by app id.
    secrets: BTreeMap<String, String>,
    /// The app that questions are about.
    app: String,
    lines: Vec<(Level, String)>,
    counters: BTreeMap<String, u64>,
    slept_ms: Vec<u32>,
    handshake: Option<Handshake>,
    remote_address: String,
    headers: Vec<Header>,
    body: Vec<u8>,
    requests: Vec<HttpRequest>,
    /// Prepared, not given yet.
    answers: VecDeque<Result<HttpResponse, HttpError>>,
    cluster: Cluster,
    links: Links,
}

/// What an adapter told, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The tickets it confirmed.
    pub confirmed: Vec<u64>,
    /// The topics that it said it follows.
    pub following: Vec<String>,
    /// The states it went through.
    pub states: Vec<Status>,
    /// The messages of peers that it delivered: topic and frame.
    pub delivered: Vec<(String, Vec<u8>)>,
    /// The tickets of which it said that nobody knows.
    pub failed: Vec<u64>,
    /// The topics that it said it lost.
    pub lost: Vec<String>,
}

/// What an adapter asked of its links, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Number, broker and options.
    pub opened: Vec<(u32, Broker, String)>,
    /// What it published.
    pub published: Vec<Outgoing>,
    /// The subjects that it asked to follow.
    pub followed: Vec<String>,
    /// The subjects that it asked to follow no longer.
    pub unfollowed: Vec<String>,
}

/// A client as it may come, of the app `1001` with key `app-key`. Change what the test is about.
///
/// ```
/// use jackfield_sdk::{Connection, double};
///
/// let stranger = Connection { remote_address: "192.0.2.7".to_owned(), ..double::client() };
/// assert_eq!(stranger.app.id, "1001");
/// ```
#[must_use]
pub fn client() -> Connection {
    Connection {
        app: App {
            id: "1001".to_owned(),
            key: "app-key".to_owned(),
        },
        socket_id: "1234.5678".to_owned(),
        remote_address: "127.0.0.1".to_owned(),
    }
}

/// A handshake as it may come. Change what the test is about and give it to [`set_handshake`].
#[must_use]
pub fn handshake() -> Handshake {
    Handshake {
        origin: None,
        path: "/app/app-key".to_owned(),
        query: "protocol=7".to_owned(),
        headers: Vec::new(),
    }
}

/// Sets the handshake that [`crate::host::handshake`] returns. There is none before.
pub fn set_handshake(handshake: Handshake) {
    HOST.with_borrow_mut(|host| host.handshake = Some(handshake));
}

/// A publish as it may come, of the app of [`client`], now, without a signature and without a body. Change what the test is about.
#[must_use]
pub fn api_request() -> ApiRequest {
    ApiRequest {
        app_key: client().app.key,
        lines: "POST\n/apps/1001/events\n".to_owned(),
        prefix_length: 0,
        body_length: 0,
        unix_ms: host::unix_ms(),
    }
}

/// Sets the address that [`crate::host::remote_address`] returns. It is empty before.
pub fn set_remote_address(address: &str) {
    HOST.with_borrow_mut(|host| address.clone_into(&mut host.remote_address));
}

/// Sets the headers that [`crate::host::headers`] returns. There are none before.
pub fn set_headers(headers: Vec<Header>) {
    HOST.with_borrow_mut(|host| host.headers = headers);
}

/// Sets the body that [`crate::host::body`] returns. It is empty before.
pub fn set_body(body: &[u8]) {
    HOST.with_borrow_mut(|host| host.body = body.to_vec());
}

/// Prepares the answer to the next request. Answers are given in the order in which they were prepared; without one
/// nobody is reached.
pub fn answer_http(answer: Result<HttpResponse, HttpError>) {
    HOST.with_borrow_mut(|host| host.answers.push_back(answer));
}

/// The requests sent so far.
#[must_use]
pub fn requests() -> Vec<HttpRequest> {
    HOST.with_borrow(|host| host.requests.clone())
}

/// A subscription to this channel, without a signature.
#[must_use]
pub fn subscription(channel: &str) -> SubscribeRequest {
    SubscribeRequest {
        channel: channel.to_owned(),
        auth: String::new(),
        channel_data: None,
    }
}

/// Sets the monotonic clock.
pub fn set_monotonic_us(us: u64) {
    HOST.with_borrow_mut(|host| host.monotonic_us = us);
}

/// Sets the wall clock, in milliseconds since 1970-01-01T00:00:00Z.
pub fn set_unix_ms(ms: u64) {
    HOST.with_borrow_mut(|host| host.unix_ms = ms);
}

/// Lets `ms` milliseconds pass on both clocks.
pub fn advance_ms(ms: u64) {
    HOST.with_borrow_mut(|host| host.advance_ms(ms));
}

/// Makes an app known whose signatures can be made, and which questions are about from now on: [`crate::host::verify`] verifies its own.
pub fn add_app(id: &str, secret: &str) {
    HOST.with_borrow_mut(|host| {
        host.secrets.insert(id.to_owned(), secret.to_owned());
        id.clone_into(&mut host.app);
    });
}

/// The HMAC-SHA256 of `message` under the app's secret, as a server library would make it.
///
/// # Panics
///
/// If the app was not added.
#[must_use]
pub fn sign(app: &str, message: &[u8]) -> String {
    HOST.with_borrow(|host| match host.hmac(app, message) {
        Some(mac) => hex(&mac.finalize().into_bytes()),
        None => panic!("no app {app:?}: add it with `double::add_app`"),
    })
}

/// The lines logged so far.
#[must_use]
pub fn lines() -> Vec<(Level, String)> {
    HOST.with_borrow(|host| host.lines.clone())
}

/// The value of one of the plugin's counters.
#[must_use]
pub fn counter(name: &str) -> u64 {
    HOST.with_borrow(|host| host.counters.get(name).copied().unwrap_or(0))
}

/// The waits asked for so far. The double does not wait; it moves its clocks.
#[must_use]
pub fn slept_ms() -> Vec<u32> {
    HOST.with_borrow(|host| host.slept_ms.clone())
}

/// What an adapter told since the last time this was asked.
#[must_use]
pub fn take_cluster() -> Cluster {
    HOST.with_borrow_mut(|host| std::mem::take(&mut host.cluster))
}

/// What an adapter has asked of its links since this was asked last.
#[must_use]
pub fn take_links() -> Links {
    HOST.with_borrow_mut(|host| std::mem::take(&mut host.links))
}

impl Host {
    const fn advance_ms(&mut self, ms: u64) {
        self.monotonic_us += ms * 1_000;
        self.unix_ms += ms;
    }

    /// The authentication code of `message`, if the app is known.
    fn hmac(&self, app: &str, message: &[u8]) -> Option<Hmac<Sha256>> {
        let secret = self.secrets.get(app)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
        mac.update(message);
        Some(mac)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Cluster, Status};
    use crate::host::{Level, cluster};
    use crate::{Header, double, host};

    // The examples of FIPS 180 and RFC 1321.
    #[test]
    fn digests_are_real() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(host::sha256(b"abc"), abc);
        assert_eq!(host::md5(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    // RFC 4231, test case 2.
    #[test]
    fn signatures_are_real_and_verified_as_text() {
        let message = b"what do ya want for nothing?";
        let signature = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        double::add_app("1001", "Jefe");
        assert_eq!(double::sign("1001", message), signature);
        assert!(host::verify(message, signature));
        assert!(!host::verify(b"something else", signature));
        assert!(!host::verify(message, &signature.to_uppercase()));
        assert!(!host::verify(message, &signature[..63]));
        double::add_app("1002", "another");
        assert!(!host::verify(message, signature), "another app's");
    }

    #[test]
    fn clocks_move_when_they_are_told_to() {
        double::set_unix_ms(5_000);
        double::set_monotonic_us(7);
        double::advance_ms(2);
        assert_eq!((host::unix_ms(), host::monotonic_us()), (5_002, 2_007));
        host::sleep(100);
        assert_eq!((host::unix_ms(), host::monotonic_us()), (5_102, 102_007));
        assert_eq!(double::slept_ms(), [100]);
    }

    #[test]
    fn random_bytes_repeat() {
        assert_eq!(host::random(4_096).len(), 4_096);
        assert_eq!(host::random(16), host::random(16));
    }

    #[test]
    #[should_panic(expected = "more than 4,096")]
    fn too_many_random_bytes_trap() {
        let _ = host::random(4_097);
    }

    #[test]
    fn lines_and_counters_are_kept() {
        host::debug("a");
        host::info("b");
        host::warn("c");
        host::error("d");
        let expected = [
            (Level::Debug, "a"),
            (Level::Info, "b"),
            (Level::Warn, "c"),
            (Level::Error, "d"),
        ];
        assert_eq!(double::lines(), expected.map(|(level, text)| (level, text.to_owned())));
        host::count("seen", 2);
        host::count("seen", 3);
        assert_eq!((double::counter("seen"), double::counter("unseen")), (5, 0));
    }

    #[test]
    fn requests_are_kept_and_answered_as_prepared() {
        let request = host::HttpRequest {
            method: "GET".to_owned(),
            url: "https://auth.example.org".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let response = host::HttpResponse {
            status: 204,
            headers: Vec::new(),
            body: Vec::new(),
        };
        double::answer_http(Ok(response.clone()));
        assert_eq!(host::send(&request), Ok(response));
        assert!(host::send(&request).is_err(), "no second answer was prepared");
        assert_eq!(double::requests(), [request.clone(), request]);
    }

    #[test]
    fn a_handshake_is_there_once_it_is_set() {
        assert_eq!(host::handshake(), None);
        double::set_handshake(double::handshake());
        assert_eq!(host::handshake(), Some(double::handshake()));
    }

    #[test]
    fn what_a_request_brings_is_there_once_it_is_set() {
        assert!(host::body().is_empty() && host::remote_address().is_empty() && host::headers().is_empty());
        double::set_remote_address("192.0.2.7");
        assert_eq!(host::remote_address(), "192.0.2.7");
        let header = Header {
            name: "cookie".to_owned(),
            value: "session=1".to_owned(),
        };
        double::set_headers(vec![header.clone()]);
        assert_eq!(host::headers(), [header]);
        double::set_body(b"abc");
        assert_eq!(host::body(), b"abc");
        assert!(host::body_md5_is("900150983cd24fb0d6963f7d28e17f72"));
        assert!(!host::body_md5_is("900150983CD24FB0D6963F7D28E17F72"));
    }

    #[test]
    fn what_an_adapter_tells_is_taken_once() {
        cluster::up();
        cluster::confirmed(&[1, 2]);
        cluster::following(&["1001/room".to_owned()]);
        cluster::degraded("no link");
        let told = Cluster {
            confirmed: vec![1, 2],
            following: vec!["1001/room".to_owned()],
            states: vec![Status::Up, Status::Degraded("no link".to_owned())],
            ..Cluster::default()
        };
        assert_eq!(double::take_cluster(), told);
        assert_eq!(double::take_cluster(), Cluster::default());
    }
}
