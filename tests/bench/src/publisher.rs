//! The publishing side: signed requests on a kept connection.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use jackfield_protocol::signature::{Credentials, sign_api_request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::SECRET;

/// An app's server, with one request in flight.
pub(crate) struct Publisher(TcpStream);

impl Publisher {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.0.write_all(request).await?)
    }

    /// Reads one answer and makes sure that it is the right one.
    pub(crate) async fn answered(&mut self) -> Result<()> {
        let mut answer = [0; 2_048];
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n\r\n{}") {
            let read = self.0.read(&mut answer[length..]).await?;
            if read == 0 {
                bail!(
                    "the publish was not accepted: {}",
                    String::from_utf8_lossy(&answer[..length])
                );
            }
            length += read;
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
