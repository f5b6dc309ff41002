//! What development mode adds: a page to try things out, and two addresses that sign for it.
//!
//! Both sign with the development app's secret and then go the ordinary way: the page's publish is judged by the same
//! plugins as anybody's. Never served in production mode.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use jackfield_config::DEVELOPMENT_APP;
use jackfield_hub::{App, Apps as _};
use jackfield_protocol::signature;
use serde::Deserialize;
use serde_json::json;

use crate::api::Publish;
use crate::http::{json_response, refuse};
use crate::proxies::Caller;
use crate::shared::Shared;

/// Adds the page and its two helpers.
pub(crate) fn add_routes(router: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    router
        .route("/", get(|| async { Html(include_str!("development.html")) }))
        .route("/dev/auth", post(auth))
        .route("/dev/publish", post(publish))
}

#[derive(Deserialize)]
struct AuthRequest {
    socket_id: String,
    channel_name: String,
}

/// Signs a subscription, as an app's own server would.
async fn auth(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let (Some(app), Ok(request)) = (development_app(&shared), serde_json::from_slice::<AuthRequest>(&body)) else {
        return refuse(StatusCode::BAD_REQUEST, "send {\"socket_id\": …, \"channel_name\": …}");
    };
    let signature = app.sign(format!("{}:{}", request.socket_id, request.channel_name).as_bytes());
    json_response(
        StatusCode::OK,
        json!({ "auth": format!("{}:{signature}", app.key) }).to_string(),
    )
}

/// Signs a publish and carries it out.
async fn publish(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some(app) = development_app(&shared) else {
        return refuse(StatusCode::NOT_FOUND, "the development app is not configured");
    };
    // Only scripts of this page can send JSON: other sites' would need a permission that nobody gives.
    if request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind != "application/json")
    {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json");
    }
    let caller = Caller::of(&request);
    let Ok(body) = axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES).await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    };
    let path = format!("/apps/{}/events", app.id);
    let mut signed = Request::new(Body::from(body.clone()));
    *signed.method_mut() = axum::http::Method::POST;
    match format!("{path}?{}", signed_query(&app, &path, &body)).parse() {
        Ok(uri) => *signed.uri_mut() = uri,
        Err(_) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the signed address is not one"),
    }
    signed.extensions_mut().insert(caller);
    Publish::One.carry_out(&shared, &app.id, signed).await
}

fn signed_query(app: &App, path: &str, body: &[u8]) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
        .to_string();
    let md5 = signature::md5_hex(body);
    let pairs = [
        ("auth_key", &*app.key),
        ("auth_timestamp", &now),
        ("auth_version", "1.0"),
        ("body_md5", &md5),
    ];
    let signature = app.sign(signature::api_string_to_sign("POST", path, &pairs).as_bytes());
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}&auth_signature={signature}", query.join("&"))
}

fn development_app(shared: &Shared) -> Option<Arc<App>> {
    shared.apps.by_id(DEVELOPMENT_APP.0)
}

/// More than an event may have, so that the API itself says what is too much.
const MAX_BODY_BYTES: usize = 1 << 20;
