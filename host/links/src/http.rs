//! An HTTP client that goes only where it may.
//!
//! [`Places`] says where that is. A name is resolved here and the connection goes to an address that was looked at, so a name
//! server that gives another answer the second time changes nothing. Redirects are given back and not followed, proxies and
//! cookies do not exist, bodies are bounded both ways, and one deadline stands around everything.

mod address;
mod headers;
mod places;
mod public;
mod resolver;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Body, Method};

pub use address::Address;
pub use headers::check_headers;
pub use places::Places;

use resolver::{NotPublic, Resolver};

/// A request to make.
pub struct Request {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`.
    pub method: String,
    /// An http or https address without user name and password.
    pub url: String,
    /// Sent as they are. Those that are about the connection belong to the host.
    pub headers: Vec<(String, String)>,
    /// At most [`MAX_BODY_BYTES`].
    pub body: Vec<u8>,
}

/// What was answered, whatever the status.
pub struct Response {
    /// 200 to 999: what comes before the final status is not shown.
    pub status: u16,
    /// Names in lower case. Bytes of a value that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// At most [`MAX_BODY_BYTES`], as it was sent: nothing is unpacked.
    pub body: Vec<u8>,
}

/// Why there is no answer. What it says is for logs and guests alike: of the address it has scheme, host and port alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It may not go there. Nothing was sent.
    #[error("{0}")]
    Denied(String),
    /// No such request can be sent, here or anywhere. Nothing was sent.
    #[error("{0}")]
    Malformed(String),
    /// Nobody answered, or not in HTTP. The request may have arrived.
    #[error("{0}")]
    Unreachable(String),
    /// No whole answer within the deadline. The request may have arrived.
    #[error("no answer in time")]
    TimedOut,
    /// The request is over its bound, or the answer was. In the second case the request has arrived.
    #[error("the request or its answer is too large; a body may have {MAX_BODY_BYTES} bytes")]
    TooLarge,
}

/// Sends requests. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    places: Arc<Places>,
    deadline: Duration,
}

impl HttpClient {
    /// A client for these places; no request takes longer than `deadline`, from the look-up of the name to the answer's
    /// last byte.
    ///
    /// # Errors
    /// When TLS cannot be set up, for instance because this machine trusts no certificates at all.
    pub fn new(places: Places, deadline: Duration) -> Result<Self, String> {
        crate::tls::choose_ring();
        let client = reqwest::Client::builder()
            .user_agent(concat!("jackfield/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            // A proxy would resolve the name itself, and reach what the host must not.
            .no_proxy()
            .referer(false)
            .http1_only()
            .dns_resolver(Resolver::new(places.private()))
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE)
            .build()
            .map_err(|error| chain(&error))?;
        Ok(Self {
            client,
            places: Arc::new(places),
            deadline,
        })
    }

    /// Sends one request, once.
    ///
    /// # Errors
    /// [`HttpError`]. A status that is no success is none: it is an answer.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let sendable = self.sendable(request)?;
        tokio::time::timeout(self.deadline, self.answer(sendable))
            .await
            .unwrap_or(Err(HttpError::TimedOut))
    }

    /// Everything that can be refused without asking anybody is refused here.
    fn sendable(&self, request: Request) -> Result<reqwest::Request, HttpError> {
        let head: usize = request
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if request.body.len() > MAX_BODY_BYTES || request.url.len() + head > MAX_HEAD_BYTES {
            return Err(HttpError::TooLarge);
        }
        let address = Address::parse(&request.url)?;
        self.places.check(&address)?;
        let mut sendable = reqwest::Request::new(method(&request.method)?, address.into_url());
        *sendable.headers_mut() = headers::checked(&request.headers)?;
        *sendable.body_mut() = Some(Body::from(request.body));
        Ok(sendable)
    }

    async fn answer(&self, request: reqwest::Request) -> Result<Response, HttpError> {
        let mut response = self.client.execute(request).await.map_err(failure)?;
        let most = MAX_BODY_BYTES as u64;
        if response.content_length().is_some_and(|length| length > most) {
            return Err(HttpError::TooLarge);
        }
        let mut body = Vec::new();
        // Who announces little, or nothing, may still send much.
        while let Some(chunk) = response.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response {
            status: response.status().as_u16(),
            headers: headers::shown(response.headers()),
            body,
        })
    }
}

/// The methods of RFC 9110 and RFC 5789, but for CONNECT, which makes a tunnel, and TRACE, which gives headers back.
fn method(name: &str) -> Result<Method, HttpError> {
    match name {
        "GET" => Ok(Method::GET),
        "HEAD" => Ok(Method::HEAD),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        "OPTIONS" => Ok(Method::OPTIONS),
        _ => Err(HttpError::Malformed(
            "the method must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS".to_owned(),
        )),
    }
}

fn failure(error: reqwest::Error) -> HttpError {
    let denied = causes(&error).find_map(|cause| cause.downcast_ref::<NotPublic>());
    if let Some(denied) = denied {
        return HttpError::Denied(denied.to_string());
    }
    if error.is_timeout() {
        return HttpError::TimedOut;
    }
    HttpError::Unreachable(chain(&error.without_url()))
}

/// What went wrong, from the outside in.
fn chain(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The largest body, of requests and of answers: many at once must fit into memory.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// The most that address and headers of a request may have together; servers take a quarter of it. Those of an answer are
/// bounded by hyper: 100 headers, some 400 KiB.
pub const MAX_HEAD_BYTES: usize = 64 << 10;
/// Connections to one host that are kept for later: enough for a busy receiver, little for many idle ones.
const IDLE_CONNECTIONS: usize = 4;
/// How long they are kept.
const IDLE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
