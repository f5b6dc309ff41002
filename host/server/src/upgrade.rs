//! From an HTTP request to a WebSocket connection on the same event loop.
//!
//! What is wrong with the handshake itself is answered in HTTP. What is wrong in Pusher's terms (no such app, a protocol
//! version too old) is told after the upgrade, as a close frame, because that is where clients look for it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use jackfield_hub::doors::Client;
use jackfield_hub::{App, Apps as _, Outbox, OutboxLimits, Seat};
use jackfield_protocol::close::Close;
use jackfield_protocol::names::SocketId;
use jackfield_protocol::pusher::{frames, handshake};
use jackfield_protocol::websocket;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::connection::{Arrival, Connection};
use crate::event_loop::EventLoop;
use crate::http::{PathParts, refuse, refuse_for_now};
use crate::proxies::Caller;
use crate::shared::Shared;
use crate::socket::Socket;

/// `GET /app/{key}`.
pub(crate) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    PathParts(key): PathParts<String>,
    mut request: Request,
) -> Response {
    let accept = match accept_key(request.headers()) {
        Ok(accept) => accept,
        Err(response) => return response,
    };
    if shared.is_draining() {
        return refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, "this instance is about to end", 1_000);
    }
    if shared.is_joining() {
        return refuse_for_now(
            StatusCode::SERVICE_UNAVAILABLE,
            "this instance is still joining the others",
            1_000,
        );
    }
    let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return refuse(StatusCode::BAD_REQUEST, "this connection cannot be upgraded");
    };
    match arrive(&shared, &key, &request) {
        Ok(arrival) => EventLoop::spawn(async move {
            if let Some((socket, early)) = upgraded(on_upgrade).await {
                // A task of its own, which does not carry the handshake's state for the rest of its life.
                EventLoop::spawn(Connection::run(socket, arrival, early));
            }
        }),
        Err((close, message)) => EventLoop::spawn(turn_away(on_upgrade, close, message)),
    }
    switching_protocols(accept)
}

/// Tells a WebSocket client that there is nothing at this path, where it looks for such news; none if it is no such client.
pub(crate) fn nowhere(request: &mut Request) -> Option<Response> {
    let accept = accept_key(request.headers()).ok()?;
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>()?;
    let message = format!(
        "there is nothing at {}; clients connect to /app/KEY",
        request.uri().path()
    );
    EventLoop::spawn(turn_away(on_upgrade, Close::PathNotFound, message));
    Some(switching_protocols(accept))
}

fn switching_protocols(accept: HeaderValue) -> Response {
    let upgrade = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, upgrade).into_response()
}

/// Whether the client may come in, as far as that is the host's to say; plugins are asked afterwards.
fn arrive(shared: &Shared, key: &str, request: &Request) -> Result<Arrival, (Close, String)> {
    handshake::check(request.uri().query().unwrap_or_default()).map_err(|close| (close, close.reason().to_owned()))?;
    let app = shared.apps.by_key(key);
    let app = app.ok_or_else(|| (Close::AppUnknown, format!("there is no app with the key `{key}`")))?;
    if !app.policy.enabled {
        return Err((Close::AppDisabled, format!("the app with the key `{key}` is disabled")));
    }
    if app.policy.force_tls && !Caller::of(request).tls {
        return Err((Close::TlsRequired, Close::TlsRequired.reason().to_owned()));
    }
    let origin = text(request, &header::ORIGIN);
    if !app.allows_origin(origin) {
        let message = format!("pages of {} may not connect to this app", origin.unwrap_or_default());
        return Err((Close::Unauthorized, message));
    }
    let seats = seats(shared, &app)?;
    let socket_id = socket_id();
    Ok(Arrival {
        client: Arc::new(client(shared, app, socket_id, request)),
        seats,
        socket_id,
    })
}

/// A place among the connections of this instance, and one among the app's.
fn seats(shared: &Shared, app: &App) -> Result<[Seat; 2], (Close, String)> {
    let full = |close, who| (close, format!("{who} has as many connections as it may have"));
    let seat = shared.seats.take(shared.settings().max_connections);
    let seat = seat.ok_or_else(|| full(Close::OverCapacity, "this instance"))?;
    let of_app = app.take_seat();
    let of_app = of_app.ok_or_else(|| full(Close::OverQuota, "this app"))?;
    Ok([seat, of_app])
}

fn text<'a>(request: &'a Request, name: &header::HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Checks the handshake (RFC 6455 §4.2.1) and answers its key. Extensions are declined by not being mentioned.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Response> {
    let says = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(word))
    };
    if !says(header::UPGRADE, "websocket") || !says(header::CONNECTION, "upgrade") {
        let mut response = refuse(
            StatusCode::UPGRADE_REQUIRED,
            "this address takes WebSocket connections only",
        );
        response
            .headers_mut()
            .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return Err(response);
    }
    if !says(header::SEC_WEBSOCKET_VERSION, "13") {
        let mut response = refuse(StatusCode::UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13");
        response
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(response);
    }
    // Sixteen bytes in base64.
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let accept = key.and_then(|key| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok());
    accept.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64"))
}

/// The socket behind the HTTP connection, and what was read from it beyond the handshake.
async fn upgraded(on_upgrade: OnUpgrade) -> Option<(Socket, Bytes)> {
    let upgraded: Upgraded = on_upgrade.await.ok()?;
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((Socket::new(parts.io.into_inner()), parts.read_buf))
}

/// Tells a client why it cannot stay. Written without waiting: the kernel's buffer of a fresh socket is empty.
async fn turn_away(on_upgrade: OnUpgrade, close: Close, message: String) {
    let Some((socket, _)) = upgraded(on_upgrade).await else {
        return;
    };
    let mut farewell = Outbox::default();
    let error = frames::error(&message, Some(close.code()));
    for frame in [websocket::text_frame(error.as_bytes()), websocket::close_frame(close)] {
        // Two small frames are within the limits of an empty outbox.
        let _ = farewell.push(frame, &OutboxLimits::default());
    }
    let _ = socket.ready(Interest::WRITABLE).await;
    socket.write(&mut farewell);
    socket.finish();
    // The client closes its side; one that does not is left behind.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(3), closed(&socket)).await;
}

async fn closed(socket: &Socket) {
    let mut ignored = [0; 512];
    while socket.ready(Interest::READABLE).await.is_ok() {
        if matches!(socket.read(&mut ignored), Ok(Some(0)) | Err(_)) {
            return;
        }
    }
}

fn client(shared: &Shared, app: Arc<App>, socket_id: SocketId, request: &Request) -> Client {
    Client {
        app,
        socket_id: socket_id.to_string(),
        remote_address: remote_address(request),
        origin: text(request, &header::ORIGIN).map(str::to_owned),
        path: format!("{}{}", shared.path_prefix, request.uri().path()),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: seen_headers(shared, request.headers()),
    }
}

/// The caller's address without its port.
pub(crate) fn remote_address(request: &Request) -> String {
    Caller::of(request).address.to_string()
}

/// The headers that the operator lets auth plugins see.
pub(crate) fn seen_headers(shared: &Shared, headers: &HeaderMap) -> Vec<(String, String)> {
    let value = |name: &String| Some((name.clone(), headers.get(name)?.to_str().ok()?.to_owned()));
    shared.settings().seen_headers.iter().filter_map(value).collect()
}

/// From the system's random source: who could guess another's socket id could have its own signature used for it.
fn socket_id() -> SocketId {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    let [a, b, c, d, e, f, g, h] = bytes;
    SocketId {
        high: u32::from_be_bytes([a, b, c, d]),
        low: u32::from_be_bytes([e, f, g, h]),
    }
}
