//! A WebSocket client that is no more than its socket.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use jackfield_protocol::signature::SigningKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::SECRET;

/// Opens a WebSocket. What the server says first is not read.
pub(crate) async fn open(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /app/app-key?protocol=7&client=bench&version=1 HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Asks for a public channel.
pub(crate) async fn ask(stream: &mut TcpStream, channel: &str) -> Result<()> {
    Ok(stream.write_all(&asking(channel)).await?)
}

/// What has to be sent to get into a public channel.
pub(crate) fn asking(channel: &str) -> Vec<u8> {
    masked(format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"}}}}"#).as_bytes())
}

/// Reads what a new connection is told, and says what it has to send to get into a private channel.
pub(crate) async fn permitted(stream: &mut TcpStream, channel: &str) -> Result<Vec<u8>> {
    let greeting = until(stream, r#"activity_timeout\":"#).await?;
    let greeting = String::from_utf8_lossy(&greeting);
    let (_, rest) = greeting.split_once(SOCKET_ID).context("no socket id")?;
    let (socket_id, _) = rest.split_once('\\').context("a socket id without an end")?;
    Ok(permission(socket_id, channel))
}

/// What the connection with this socket id has to send to get into a private channel.
pub(crate) fn permission(socket_id: &str, channel: &str) -> Vec<u8> {
    let signature = SigningKey::new(SECRET.as_bytes()).sign_hex(format!("{socket_id}:{channel}").as_bytes());
    let message =
        format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}","auth":"app-key:{signature}"}}}}"#);
    masked(message.as_bytes())
}

/// Reads until `wanted` has come. Says what came.
pub(crate) async fn until(stream: &mut TcpStream, wanted: &str) -> Result<Vec<u8>> {
    let mut heard = Vec::new();
    while !heard.windows(wanted.len()).any(|window| window == wanted.as_bytes()) {
        let mut bytes = [0; 1_024];
        let read = stream.read(&mut bytes).await?;
        if read == 0 {
            bail!("the server closed the connection: {}", String::from_utf8_lossy(&heard));
        }
        heard.extend_from_slice(&bytes[..read]);
    }
    Ok(heard)
}

/// A client's text frame with a mask of zeros (RFC 6455 §5.3 asks for a mask, not for a good one).
pub(crate) fn masked(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a message of the bench is short");
    let head: &[u8] = match length {
        ..126 => &[0x81, 0x80 | length as u8],
        _ => &[0x81, 0x80 | 126, (length >> 8) as u8, length as u8],
    };
    [head, &[0; 4], text].concat()
}

/// How `subscription_succeeded` of a channel without members ends.
pub(crate) const SUCCEEDED: &str = r#""data":"{}"}"#;
/// What stands in front of the socket id in `connection_established`.
const SOCKET_ID: &str = r#"\"socket_id\":\""#;
