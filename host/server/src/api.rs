//! The HTTP API for an app's own servers.
//!
//! The order is fixed by the gate's types: the request is authorised as it came, then read, then counted, then carried
//! out. Errors are JSON and say what was wrong.

mod publish;
mod questions;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jackfield_hub::doors::{ApiRequest, Claim, Refusal};
use jackfield_hub::{App, Apps as _, Grant};
use jackfield_protocol::pusher::api::{ApiError, PublishLimits};

use crate::http::{refuse, refuse_for_now};
use crate::shared::Shared;
use crate::upgrade::{remote_address, seen_headers};

pub(crate) use publish::Publish;

/// Adds the API's addresses.
pub(crate) fn add_routes(router: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    router
        .route("/apps/{id}/events", post(publish::events))
        .route("/apps/{id}/batch_events", post(publish::batch))
        .route("/apps/{id}/channels", get(questions::channels))
        .route("/apps/{id}/channels/{name}", get(questions::channel))
        .route("/apps/{id}/channels/{name}/users", get(questions::users))
        .route(
            "/apps/{id}/users/{user}/terminate_connections",
            post(questions::terminate),
        )
}

/// A request that was authorised.
struct Call {
    grant: Grant,
    request: Arc<ApiRequest>,
}

impl Call {
    fn app(&self) -> &Arc<App> {
        self.grant.app()
    }

    fn body(&self) -> &[u8] {
        &self.request.body
    }

    /// As it came, without the question mark.
    fn query(&self) -> &str {
        let lines = self.request.lines.rsplit_once('\n');
        lines.map(|(_, query)| query).unwrap_or_default()
    }
}

/// Reads a request and puts it to the auth door.
async fn authorize(shared: &Shared, id: &str, request: Request, limit: BodyLimit) -> Result<Call, Response> {
    shared.api_requests.fetch_add(1, Ordering::Relaxed);
    let app = shared.apps.by_id(id);
    let app = app.ok_or_else(|| refuse(StatusCode::NOT_FOUND, &format!("there is no app with the id `{id}`")))?;
    if !app.policy.enabled {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            &format!("the app with the id `{id}` is disabled"),
        ));
    }
    let limit = limit(&app.policy.publish_limits);
    let request = Arc::new(read(shared, app, request, limit).await?);
    let claim = Claim::ApiRequest(Arc::clone(&request));
    let grant = shared.gate.authorize(&claim).wait().await.map_err(refused)?;
    Ok(Call { grant, request })
}

/// Reads the body, bounded before it is allocated, and makes the claim that auth plugins see.
async fn read(shared: &Shared, app: Arc<App>, request: Request, limit: usize) -> Result<ApiRequest, Response> {
    let too_large = || {
        refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("the body is larger than {limit} bytes"),
        )
    };
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > limit as u64) {
        return Err(too_large());
    }
    let claim = claim(shared, app, &request);
    let body = tokio::time::timeout(BODY_WAIT, Limited::<Body>::new(request.into_body(), limit).collect());
    match body.await {
        Ok(Ok(body)) => Ok(ApiRequest {
            body: body.to_bytes(),
            ..claim
        }),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(refuse(
            StatusCode::BAD_REQUEST,
            &format!("the body could not be read: {error}"),
        )),
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

/// What is known of a request before its body is read.
fn claim(shared: &Shared, app: Arc<App>, request: &Request) -> ApiRequest {
    let settings = shared.settings();
    let prefix = [settings.external_path_prefix.as_str(), &shared.path_prefix];
    ApiRequest {
        app,
        remote_address: remote_address(request),
        lines: lines(request, prefix),
        prefix_length: prefix.map(str::len).iter().sum::<usize>() as u32,
        headers: seen_headers(shared, request.headers()),
        body: Bytes::new(),
    }
}

/// Method, path and query, the path with its prefixes. HTTP lets no line end into any of them.
fn lines(request: &Request, [outer, inner]: [&str; 2]) -> String {
    let (method, uri) = (request.method().as_str(), request.uri());
    [
        method,
        "\n",
        outer,
        inner,
        uri.path(),
        "\n",
        uri.query().unwrap_or_default(),
    ]
    .concat()
}

/// The HTTP answer to a refusal of the gate.
fn refused(refusal: Refusal) -> Response {
    let status = status(refusal.code, StatusCode::UNAUTHORIZED);
    match refusal.retry_after_ms {
        Some(ms) => refuse_for_now(status, &refusal.message, ms),
        None if status == StatusCode::SERVICE_UNAVAILABLE => refuse_for_now(status, &refusal.message, 1_000),
        None => refuse(status, &refusal.message),
    }
}

/// The HTTP answer to a request that makes no sense.
fn wrong(error: &ApiError) -> Response {
    refuse(status(error.status(), StatusCode::BAD_REQUEST), &error.to_string())
}

fn status(code: u16, otherwise: StatusCode) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(otherwise)
}

/// How large a request's body may be, for what the app may publish.
type BodyLimit = fn(&PublishLimits) -> usize;

/// One event: its data, escaped, and its channels' names.
fn event_body(limits: &PublishLimits) -> usize {
    limits.max_event_bytes * ESCAPED + limits.max_channels * limits.max_channel_name_bytes * 2 + EVENT_FRAME_BYTES
}

/// A batch of them, each to one channel.
fn batch_body(limits: &PublishLimits) -> usize {
    limits.max_batch * (limits.max_event_bytes * ESCAPED + EVENT_FRAME_BYTES)
}

/// A question, which needs none.
fn small_body(_limits: &PublishLimits) -> usize {
    EVENT_FRAME_BYTES
}

/// How much longer a string can be in JSON than it is.
const ESCAPED: usize = 6;
/// What stands around an event's data.
const EVENT_FRAME_BYTES: usize = 1 << 10;
/// How long a body may take.
const BODY_WAIT: Duration = Duration::from_secs(10);
