//! The listener for operators: `GET /metrics`, the plugins and the configuration. Loopback by default.
//!
//! `GET /plugins`, `GET /plugins/NAME`, `POST /plugins/reload`, `POST /plugins/NAME/reload`, `POST /plugins/NAME/rollback`;
//! `GET /adapters`; `GET /config`, `POST /config/reload`.
//! Answers are JSON. They are for whoever shows the token of the configuration; without one, for this machine alone, and for no page in a
//! browser. Each change leaves a line in the log.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jackfield_config::Token;
use jackfield_wasm::{Outcome, PluginReport};
use serde_json::{Value, json};

use crate::change_adapter;
use crate::metrics::Metrics;
use crate::reload::{self, Cause};
use crate::shared::Shared;

/// What the answers are made of.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Serves until the runtime ends.
pub(crate) async fn serve(listener: TcpListener, desk: Desk) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let guarded = Router::new()
        .route("/plugins", get(list))
        .route("/plugins/{name}", get(show))
        .route("/plugins/reload", post(reload_all))
        .route("/plugins/{name}/reload", post(reload_one))
        .route("/plugins/{name}/rollback", post(roll_back))
        .route("/adapters", get(change_adapter::status))
        .route("/config", get(configuration))
        .route("/config/reload", post(reconfigure))
        .layer(middleware::from_fn_with_state(desk.clone(), admit));
    let router = Router::new()
        .route("/metrics", get(metrics))
        .merge(guarded)
        .with_state(desk);
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// Lets operators in.
async fn admit(
    State(desk): State<Desk>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let refused = refusal(desk.shared.settings().admin_token.as_ref(), caller, request.headers());
    match refused {
        Some((status, reason)) => (status, Json(json!({ "error": reason }))).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(token: Option<&Token>, caller: SocketAddr, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    // A page that somebody on this machine looks at must not change plugins behind their back.
    if headers.contains_key(header::ORIGIN) {
        return Some((StatusCode::FORBIDDEN, "this is not for pages in browsers"));
    }
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match (token, shown.and_then(|value| value.strip_prefix("Bearer "))) {
        (Some(token), Some(shown)) if token.is(shown) => None,
        (Some(_), _) => Some((
            StatusCode::UNAUTHORIZED,
            "show the token: `authorization: Bearer TOKEN`",
        )),
        (None, _) if caller.ip().to_canonical().is_loopback() => None,
        (None, _) => Some((
            StatusCode::FORBIDDEN,
            "from elsewhere this takes a token: set `admin.token`",
        )),
    }
}

async fn metrics(State(desk): State<Desk>) -> Response {
    match desk.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn list(State(desk): State<Desk>) -> Json<Value> {
    let plugins: Vec<Value> = desk.shared.registry.plugins().iter().map(described).collect();
    Json(json!({ "plugins": plugins }))
}

async fn show(State(desk): State<Desk>, Path(name): Path<String>) -> Response {
    let mut plugins = desk.shared.registry.plugins();
    // At each of its doors.
    plugins.retain(|plugin| plugin.name == name);
    if plugins.is_empty() {
        return nobody(&name);
    }
    let plugins: Vec<Value> = plugins.iter().map(described).collect();
    Json(json!({ "plugins": plugins })).into_response()
}

async fn reload_all(State(desk): State<Desk>, ConnectInfo(caller): ConnectInfo<SocketAddr>) -> Response {
    let outcomes = desk.shared.registry.reload(None).await;
    told("reload", caller, "all", &outcomes)
}

async fn reload_one(
    State(desk): State<Desk>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
) -> Response {
    let outcomes = desk.shared.registry.reload(Some(name.clone())).await;
    told("reload", caller, &name, &outcomes)
}

async fn roll_back(
    State(desk): State<Desk>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
) -> Response {
    let outcomes = desk.shared.registry.roll_back(name.clone()).await;
    told("rollback", caller, &name, &outcomes)
}

/// Which configuration is in use, and whether what is written now was refused. None of its values.
async fn configuration(State(desk): State<Desk>) -> Json<Value> {
    let reloads = &desk.shared.reloads;
    let refusal = reloads
        .refusal()
        .map(|(at_unix_s, reason)| json!({ "at_unix_s": at_unix_s, "reason": reason }));
    Json(json!({
        "generation": reloads.generation(),
        "file": reloads.file,
        "since_unix_s": reloads.since_unix_s(),
        "last_refusal": refusal,
    }))
}

/// Reads the configuration again; 409 if it was refused.
async fn reconfigure(State(desk): State<Desk>, ConnectInfo(caller): ConnectInfo<SocketAddr>) -> Response {
    let reloads = &desk.shared.reloads;
    let outcome = reloads.ask(Cause::Operator(caller)).await;
    tracing::info!(%caller, outcome = outcome.name(), "an operator reloads the configuration");
    let mut told = json!({ "outcome": outcome.name(), "generation": reloads.generation() });
    let status = match outcome {
        reload::Outcome::Applied(changes) => {
            told["changes"] = json!(changes);
            StatusCode::OK
        }
        reload::Outcome::Unchanged => StatusCode::OK,
        reload::Outcome::Refused(reason) => {
            told["reason"] = json!(reason);
            StatusCode::CONFLICT
        }
    };
    (status, Json(told)).into_response()
}

/// The line in the log, and the answer: 409 if something was refused.
fn told(action: &'static str, caller: SocketAddr, plugin: &str, outcomes: &[(String, Outcome)]) -> Response {
    tracing::info!(action, plugin, %caller, ?outcomes, "an operator changes plugins");
    if outcomes.is_empty() {
        return nobody(plugin);
    }
    let refused = outcomes
        .iter()
        .any(|(_, outcome)| matches!(outcome, Outcome::Refused(_)));
    let status = if refused { StatusCode::CONFLICT } else { StatusCode::OK };
    let outcomes: Vec<Value> = outcomes
        .iter()
        .map(|(name, outcome)| match outcome {
            Outcome::Live(generation) => json!({ "name": name, "outcome": "live", "generation": generation }),
            Outcome::Unchanged => json!({ "name": name, "outcome": "unchanged" }),
            Outcome::Refused(reason) => json!({ "name": name, "outcome": "refused", "reason": reason }),
        })
        .collect();
    (status, Json(json!({ "plugins": outcomes }))).into_response()
}

fn nobody(name: &str) -> Response {
    let error = format!("the configuration wants no plugin `{name}`");
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

fn described(plugin: &PluginReport) -> Value {
    let mut described = json!({
        "name": plugin.name,
        "door": plugin.door,
        "state": plugin.state.word(),
        "last_error": plugin.fault,
    });
    if let Some(version) = &plugin.live {
        let us = |of_thousand| {
            version
                .times
                .within(of_thousand)
                .map(|time| time.as_nanos() as f64 / 1_000.0)
        };
        described["version"] = json!({
            "digest": version.digest,
            "version": version.version,
            "generation": version.generation,
            "grants": version.grants,
            "calls": version.calls,
            "p50_us": us(500),
            "p99_us": us(990),
            "traps": version.traps,
            "pauses": version.pauses,
            "instances": version.instances,
            "memory_bytes": version.memory_bytes,
            "counters": version.counters,
        });
    }
    described
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
