//! HTTP on an event loop: one hyper connection per socket, the routes, and the shape of answers.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;
use tower_service::Service as _;

use crate::api::Publish;
use crate::shared::Shared;
use crate::{api, development, upgrade};

/// The routes of the public port. Made once per event loop.
fn router(shared: Arc<Shared>) -> Router {
    let routes = Router::new()
        .route("/app/{key}", get(upgrade::upgrade))
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready));
    let routes = api::add_routes(routes);
    let routes = if shared.development {
        development::add_routes(routes)
    } else {
        routes
    };
    // Behind a prefix, a request's path is without it.
    let router = match shared.path_prefix.as_str() {
        "" => routes,
        prefix => Router::new().nest(prefix, routes),
    };
    router.fallback(not_found).with_state(shared)
}

/// Serves one connection until it ends or becomes a WebSocket. When `end` says so it ends behind the request that is under way. While
/// the program drains, each answer is the last one of its connection.
pub(crate) async fn serve(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>, mut end: watch::Receiver<bool>) {
    thread_local! {
        static ROUTER: std::cell::OnceCell<Router> = const { std::cell::OnceCell::new() };
    }
    let routes = ROUTER.with(|routes| routes.get_or_init(|| router(Arc::clone(&shared))).clone());
    let requests = Requests::default();
    let service = hyper::service::service_fn(|mut request: Request<Incoming>| {
        requests.under_way.set(true);
        let caller = shared.settings().proxies.caller(peer.ip(), request.headers());
        request.extensions_mut().insert(caller);
        let (routes, shared, requests) = (&routes, &shared, &requests);
        async move {
            let mut answer = answer(routes, shared, request.map(Body::new)).await;
            if shared.is_draining() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                let headers = answer.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            requests.ended();
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        // Else it looks during each request whether the client is gone, with room for the next request in hand.
        .half_close(true)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let (mut connection, mut ceased) = (pin!(connection), pin!(requests.ceased()));
    let mut ends = false;
    let served = loop {
        tokio::select! {
            served = connection.as_mut() => break served,
            () = ceased.as_mut() => {
                tracing::debug!(%peer, "an HTTP connection was idle, or too slow");
                return;
            }
            // An error: the event loop is gone.
            _ = end.wait_for(|end| *end), if !ends => {
                ends = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    // An error is the client's: it spoke something else, was too slow, or went away.
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "an HTTP connection ended");
    }
}

/// Publishes are what nearly all requests are for. They are spared the way through the router, which is a twelfth of what a publish computes, unless it has a
/// prefix to take away.
async fn answer(routes: &Router, shared: &Arc<Shared>, request: axum::extract::Request) -> Response {
    let publish = match shared.path_prefix.as_str() {
        "" => Publish::wanted(request.method(), request.uri().path()),
        _ => None,
    };
    match publish {
        Some((publish, id)) => {
            let id = id.to_owned();
            publish.carry_out(shared, &id, request).await
        }
        None => {
            let answer = routes.clone().call(request).await;
            answer.unwrap_or_else(|never| match never {})
        }
    }
}

/// The requests of one connection: whether they go on. One timer for all of them: to set and clear one for each costs more than its share.
#[derive(Default)]
struct Requests {
    /// The head of one has come, and it was not answered yet.
    under_way: Cell<bool>,
    answered: Cell<u64>,
}

impl Requests {
    fn ended(&self) {
        self.under_way.set(false);
        self.answered.set(self.answered.get() + 1);
    }

    /// Until no head has come for as long as one may take: for up to twice as long behind an answer.
    async fn ceased(&self) {
        loop {
            let answered = self.answered.get();
            sleep(HEADER_TIMEOUT).await;
            if !self.under_way.get() && self.answered.get() == answered {
                return;
            }
        }
    }
}

/// An answer that says what was wrong: `{"error": …}`.
pub(crate) fn refuse(status: StatusCode, message: &str) -> Response {
    json_response(status, json!({ "error": message }).to_string())
}

/// The same with the time after which to try again.
pub(crate) fn refuse_for_now(status: StatusCode, message: &str, retry_after_ms: u32) -> Response {
    let mut response = refuse(status, message);
    let seconds = HeaderValue::from(retry_after_ms.div_ceil(1_000).max(1));
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Whether a balancer should send traffic here.
async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let reasons = shared.unready();
    if reasons.is_empty() {
        return json_response(StatusCode::OK, json!({ "ready": true }).to_string());
    }
    json_response(
        StatusCode::SERVICE_UNAVAILABLE,
        json!({ "ready": false, "reasons": reasons }).to_string(),
    )
}

async fn not_found(mut request: axum::extract::Request) -> Response {
    if let Some(told) = upgrade::nowhere(&mut request) {
        return told;
    }
    refuse(
        StatusCode::NOT_FOUND,
        &format!("there is nothing at {} {}", request.method(), request.uri().path()),
    )
}

/// The parts of a path, unescaped: axum's own, but for what it says of bytes that are no text. That is JSON here too.
pub(crate) struct PathParts<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParts<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let read = Path::from_request_parts(parts, state).await;
        read.map(|Path(parts)| Self(parts))
            .map_err(|error| refuse(error.status(), &error.body_text()))
    }
}

/// How long a client may take for its request's head: a slow one holds a socket, not a thread.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of a request.
const MAX_HEADERS: usize = 100;
/// Bytes of a request's head.
const MAX_HEADER_BYTES: usize = 16 << 10;
