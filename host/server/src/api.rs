//! The HTTP API for an app's own servers: `POST /apps/{id}/events`.
//!
//! The order is fixed by the gate's types: the request is authorised as it came, then read, then counted, then
//! published. 200 means that local fan-out is queued and that the adapter confirmed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jackfield_hub::doors::{ApiRequest, Claim, Refusal};
use jackfield_hub::{App, Event, Grant, Pass, PublishError, Toll, Topic};
use jackfield_protocol::pusher::frames;
use jackfield_protocol::pusher::publish::PublishRequest;
use jackfield_protocol::websocket;

use crate::http::{json_response, refuse, refuse_for_now};
use crate::shared::Shared;
use crate::upgrade::{remote_address, seen_headers};

/// `POST /apps/{id}/events`.
pub(crate) async fn events(State(shared): State<Arc<Shared>>, Path(id): Path<String>, request: Request) -> Response {
    shared.api_requests.fetch_add(1, Ordering::Relaxed);
    match publish(&shared, &id, request).await {
        Ok(()) => json_response(StatusCode::OK, "{}"),
        Err(response) => response,
    }
}

async fn publish(shared: &Arc<Shared>, id: &str, request: Request) -> Result<(), Response> {
    let app = shared.apps.by_id(id);
    let app = app.ok_or_else(|| refuse(StatusCode::NOT_FOUND, &format!("there is no app with the id `{id}`")))?;
    let (claim, body) = read(shared, app, request).await?;
    let grant: Grant = shared
        .gate
        .authorize(&Claim::ApiRequest(claim))
        .wait()
        .await
        .map_err(refused)?;
    let request = PublishRequest::parse(&body, MAX_EVENT_BYTES)
        .map_err(|error| refuse(status(error.status(), StatusCode::BAD_REQUEST), &error.to_string()))?;
    let pass: Pass = shared
        .gate
        .charge(grant, &Toll::Publish(1))
        .wait()
        .await
        .map_err(refused)?;
    let events = request.channels.iter().map(|channel| {
        let text = frames::event(channel, request.name.as_str(), &request.data);
        let topic = Topic::new(&pass.app().id, channel);
        Event {
            topic,
            frame: websocket::text_frame(text.as_bytes()),
            except: request.socket_id,
        }
    });
    let mut receipt = shared
        .hub
        .publish(&pass, events.collect())
        .map_err(|error| unpublished(&error))?;
    if let Some(settled) = receipt.settled() {
        return settled.map_err(|error| unpublished(&error));
    }
    match tokio::time::timeout(CONFIRMATION_WAIT, receipt.confirmed()).await {
        Ok(settled) => settled.map_err(|error| unpublished(&error)),
        Err(_) => Err(refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, UNKNOWN, 1_000)),
    }
}

/// Reads the body, bounded before it is allocated, and makes the claim that auth plugins see.
async fn read(shared: &Shared, app: Arc<App>, request: Request) -> Result<(ApiRequest, Bytes), Response> {
    let too_large = || {
        let message = format!("the body is larger than {MAX_BODY_BYTES} bytes");
        refuse(StatusCode::PAYLOAD_TOO_LARGE, &message)
    };
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > MAX_BODY_BYTES as u64) {
        return Err(too_large());
    }
    let claim = ApiRequest {
        app,
        remote_address: remote_address(&request),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: seen_headers(shared, request.headers()),
        body: Bytes::new(),
    };
    let body = tokio::time::timeout(
        BODY_WAIT,
        Limited::<Body>::new(request.into_body(), MAX_BODY_BYTES).collect(),
    );
    match body.await {
        Ok(Ok(body)) => {
            let body = body.to_bytes();
            Ok((
                ApiRequest {
                    body: body.clone(),
                    ..claim
                },
                body,
            ))
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(refuse(
            StatusCode::BAD_REQUEST,
            &format!("the body could not be read: {error}"),
        )),
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

/// The HTTP answer to a refusal of the gate.
pub(crate) fn refused(refusal: Refusal) -> Response {
    let status = status(refusal.code, StatusCode::UNAUTHORIZED);
    match refusal.retry_after_ms {
        Some(ms) => refuse_for_now(status, &refusal.message, ms),
        None if status == StatusCode::SERVICE_UNAVAILABLE => refuse_for_now(status, &refusal.message, 1_000),
        None => refuse(status, &refusal.message),
    }
}

fn unpublished(error: &PublishError) -> Response {
    refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, &error.to_string(), 1_000)
}

fn status(code: u16, otherwise: StatusCode) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(otherwise)
}

const UNKNOWN: &str = "the adapter did not confirm in time: delivered on this instance, unknown on others; a retry may \
                       deliver twice";

/// `data` of one event: Pusher's limit.
const MAX_EVENT_BYTES: usize = 10 << 10;

/// A request's body: `data` escaped six-fold, a hundred channel names, and room to spare.
const MAX_BODY_BYTES: usize = 128 << 10;

/// How long a body may take.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// How long a publisher waits for the adapter.
const CONFIRMATION_WAIT: Duration = Duration::from_secs(2);
