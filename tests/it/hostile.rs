//! Input that means no good, or is only odd: each gets its answer, and everybody else is served as before.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::Client;
use crate::harness::http::{DEVELOPMENT, Http, Publisher, now};
use crate::harness::server::{Server, Setup};
use crate::harness::wait::in_time;

/// Deeper than any reader's stack should have to follow.
const DEEP: usize = 20_000;

/// Another client of the same server hears an event as ever.
async fn others_are_served(server: &Server) {
    let mut other = Client::connect(server.port).await;
    other.subscribe("others").await;
    Publisher::new(server.port)
        .await
        .publish("others", "greeting", "{}")
        .await;
    other.expect("greeting").await;
}

// Pusher protocol, "Errors": what is not understood is answered, and the connection stays.
#[tokio::test]
async fn json_that_is_nested_for_ever_is_refused() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("private-room").await;
    let deep = "[".repeat(DEEP) + &"]".repeat(DEEP);
    for text in [
        deep.clone(),
        format!(r#"{{"event":"pusher:subscribe","data":{deep}}}"#),
        format!(r#"{{"event":"client-x","channel":"private-room","data":{deep}}}"#),
        "[".repeat(DEEP),
    ] {
        client.send_frame(Message::text(text)).await;
        client.expect("pusher:error").await;
    }
    let answer = Publisher::new(server.port)
        .await
        .post(&format!(r#"{{"name":{deep}}}"#))
        .await;
    assert_eq!(answer.status, 400);
    others_are_served(&server).await;
}

// RFC 9110 §10.1.1: a client that expects it is told to go on before it sends its body.
#[tokio::test]
async fn a_client_that_waits_to_be_told_is_told_to_continue() {
    let server = Server::start().await;
    let body = r#"{"name":"greeting","channel":"room","data":"{}"}"#;
    let target = DEVELOPMENT.signed(&DEVELOPMENT.events_path(), body, now());
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut http = Http::connect(server.port).await.expect("it listens");
    assert_eq!(http.send(&head).await.expect("it answers").status, 100);
    assert_eq!(http.send(body).await.expect("it answers").status, 200);
}

#[tokio::test]
async fn two_thousand_headers_are_too_many() {
    let server = Server::start().await;
    let headers: String = (0..2_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let mut http = Http::connect(server.port).await.expect("it listens");
    let request = format!("GET /app/app-key?protocol=7 HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    assert_eq!(http.send(&request).await.expect("it answers").status, 431);
    others_are_served(&server).await;
}

// A handshake that never finishes holds a socket for ten seconds, and nobody up.
#[tokio::test]
async fn a_handshake_that_never_finishes_is_given_up() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))
        .await
        .expect("it listens");
    stream.write_all(HALF_A_HEAD).await.expect("it is open");
    others_are_served(&server).await;
    is_given_up(stream).await;
}

// The same behind a request that was answered.
#[tokio::test]
async fn a_second_request_that_never_finishes_is_given_up() {
    let server = Server::start().await;
    let mut http = Http::connect(server.port).await.expect("it listens");
    assert_eq!(http.get("/live").await.expect("it answers").status, 200);
    let mut stream = http.into_stream();
    stream.write_all(HALF_A_HEAD).await.expect("it is open");
    is_given_up(stream).await;
}

async fn is_given_up(mut stream: TcpStream) {
    let begun = Instant::now();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(25), stream.read_to_end(&mut rest)).await;
    // A reset ends it as well as a close does.
    assert!(closed.is_ok(), "it is still open after {:?}", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_secs(9), "{:?}", begun.elapsed());
}

const HALF_A_HEAD: &[u8] = b"GET /app/app-key?protocol=7 HTTP/1.1\r\nhost: x\r\n";

// RFC 9293 §3.6: who has closed its half of a connection still hears what comes over the other one.
#[tokio::test]
async fn a_client_that_says_no_more_is_answered() {
    let setup = Setup::default()
        .without("rate-limit-local")
        .guest("stall-rate-limit")
        .config("rate_limiter.plugin = \"stall-rate-limit\"");
    let server = setup.app("max_backend_events_per_second = 1000").start().await;
    let body = r#"{"name":"greeting","channel":"room","data":"{}"}"#;
    let target = DEVELOPMENT.signed(&DEVELOPMENT.events_path(), body, now());
    let length = body.len();
    let request = format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
    let mut stream = Http::connect(server.port).await.expect("it listens").into_stream();
    stream.write_all(request.as_bytes()).await.expect("it is open");
    stream.shutdown().await.expect("it is open");
    let mut answer = String::new();
    let heard = in_time("the answer", stream.read_to_string(&mut answer)).await;
    assert!(heard.is_ok() && answer.starts_with("HTTP/1.1 200"), "{answer}");
}

// RFC 6455 §5.5.1: nothing is read behind a close frame.
#[tokio::test]
async fn what_follows_a_close_is_not_heard() {
    let server = Server::start().await;
    let mut client = Client::connect(server.port).await;
    // A close frame, and behind it a subscription, both masked with zeros, in one write.
    let late = json!({ "event": "pusher:subscribe", "data": { "channel": "late" } }).to_string();
    let mut bytes = vec![
        0x88,
        0x82,
        0,
        0,
        0,
        0,
        0x03,
        0xe8,
        0x81,
        0x80 | late.len() as u8,
        0,
        0,
        0,
        0,
    ];
    bytes.extend_from_slice(late.as_bytes());
    in_time("the write", client.socket.get_mut().write_all(&bytes))
        .await
        .expect("it is open");
    assert_eq!(client.expect_close().await, 1000);
    let answer = Publisher::new(server.port).await.get("channels/late", &[]).await;
    assert_eq!(answer.json()["occupied"], false);
}
