//! The publishing side: signed requests on kept connections.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use jackfield_protocol::signature::{Credentials, sign_api_request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::floor::message;
use crate::process::SECRET;
use crate::subscribers::Received;

/// An app's server, with one request in flight.
pub(crate) struct Publisher {
    stream: TcpStream,
    /// The last one.
    answer: [u8; ANSWER_BYTES],
    length: usize,
}

/// Publishers that take turns; as many as there are, that many publishes are in flight.
pub(crate) struct Flight {
    pub(crate) publishers: Vec<Publisher>,
    /// Sent in turn.
    pub(crate) requests: Vec<Vec<u8>>,
    /// Where what they publish is heard.
    pub(crate) received: Rc<Received>,
    /// Requests sent so far.
    pub(crate) sent: usize,
}

impl Publisher {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            answer: [0; ANSWER_BYTES],
            length: 0,
        }
    }

    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request).await?)
    }

    /// Reads one answer and makes sure that it is a good one.
    pub(crate) async fn answered(&mut self) -> Result<()> {
        self.length = 0;
        while message::http(&self.answer[..self.length]).is_none() {
            let read = self.stream.read(&mut self.answer[self.length..]).await?;
            ensure!(read > 0, "no answer to a publish: {}", self.answer());
            self.length += read;
        }
        ensure!(
            self.answer.starts_with(b"HTTP/1.1 200"),
            "a publish was refused: {}",
            self.answer()
        );
        Ok(())
    }

    /// The last answer.
    pub(crate) fn answer(&self) -> String {
        String::from_utf8_lossy(&self.answer[..self.length]).into_owned()
    }
}

impl Flight {
    /// Publishes so many rounds more: each when the round that is as many before it as there are publishers was answered, and
    /// heard by everybody. The last of them stay in flight.
    pub(crate) async fn publish(&mut self, rounds: usize) -> Result<()> {
        let width = self.publishers.len();
        for _ in 0..rounds {
            let publisher = &mut self.publishers[self.sent % width];
            if self.sent >= width {
                self.received.until(self.sent - width + 1).await?;
                publisher.answered().await?;
            }
            publisher.send(&self.requests[self.sent % self.requests.len()]).await?;
            self.sent += 1;
        }
        Ok(())
    }
}

/// The body of a publish.
pub(crate) fn event(channel: &str, data: &str) -> Value {
    json!({ "name": "event", "channel": channel, "data": data })
}

/// A signed request to an address of the app; the same bytes may be sent again and again for ten minutes.
pub(crate) fn signed(address: &str, body: &Value) -> Result<Vec<u8>> {
    let (path, body) = (format!("/apps/1001/{address}"), body.to_string());
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let credentials = Credentials {
        key: "app-key",
        secret: SECRET.as_bytes(),
    };
    let query = sign_api_request(credentials, "POST", &path, body.as_bytes(), now);
    let head = format!(
        "POST {path}?{query} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Ok((head + &body).into_bytes())
}

/// More than an answer to a publish has.
const ANSWER_BYTES: usize = 2_048;
