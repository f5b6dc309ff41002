//! A peer on loopback that does what a test tells it, once.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A listener, and the thread that serves its first connection.
pub(super) struct Peer {
    pub(super) port: u16,
    thread: JoinHandle<String>,
}

impl Peer {
    /// Reads one request, then answers with these bytes and closes.
    pub(super) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::doing(move |stream| {
            let request = read(stream);
            // Fails when the client has seen enough.
            let _ = stream.write_all(&answer);
            request
        })
    }

    /// What it does with its connection; the connection is closed afterwards.
    pub(super) fn doing(act: impl FnOnce(&mut TcpStream) -> String + Send + 'static) -> Self {
        let listener = listener();
        let port = port(&listener);
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody connects");
            stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
            act(&mut stream)
        });
        Self { port, thread }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The request that it got. Waits without keeping the client's tasks from hanging up.
    pub(super) async fn request(self) -> String {
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        joined.expect("it is waited for").expect("the peer did its part")
    }
}

/// One request, headers and body.
pub(super) fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
                return text;
            }
        }
        match stream.read(&mut part).expect("the client writes") {
            0 => return text,
            length => bytes.extend_from_slice(&part[..length]),
        }
    }
}

/// Somewhere to connect to that takes nothing in by itself.
pub(super) fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port is free")
}

pub(super) fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("it is bound").port()
}

/// Whether somebody has connected.
pub(super) fn was_reached(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).expect("it can be set");
    listener.accept().is_ok()
}

/// How long a client may say nothing before a test fails instead of waiting for ever.
const PATIENCE: Duration = Duration::from_secs(60);
