//! The receiving side: many raw sockets on one thread, counting and checking what arrives.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What all sockets have received since the last reset.
#[derive(Default)]
pub(crate) struct Received {
    bytes: Cell<u64>,
    wanted: Cell<u64>,
    wrong: Cell<u64>,
    reached: Notify,
}

impl Received {
    /// Waits until `bytes` more have arrived, and fails if any of them were not the expected ones.
    pub(crate) async fn more(&self, bytes: u64) -> Result<()> {
        while self.bytes.get() < bytes {
            self.wanted.set(bytes);
            self.reached.notified().await;
        }
        self.bytes.set(self.bytes.get() - bytes);
        if self.wrong.get() > 0 {
            bail!("{} frames did not hold what was published", self.wrong.get());
        }
        Ok(())
    }

    fn add(&self, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
        if self.bytes.get() >= self.wanted.get() {
            self.reached.notify_one();
        }
    }
}

/// Opens a plain connection that counts.
pub(crate) async fn listen_plain(address: SocketAddr, received: Rc<Received>) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    count(stream, received, Vec::new());
    Ok(())
}

/// Opens a WebSocket, subscribes to `channel`, and counts from then on. `frame` is what every event must look like.
pub(crate) async fn subscribe(
    address: SocketAddr,
    channel: &str,
    received: Rc<Received>,
    frame: Vec<u8>,
) -> Result<()> {
    let mut stream = open(address).await?;
    ask(&mut stream, channel).await?;
    until(&mut stream, SUCCEEDED).await?;
    count(stream, received, frame);
    Ok(())
}

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

/// Asks for a channel.
pub(crate) async fn ask(stream: &mut TcpStream, channel: &str) -> Result<()> {
    let message = format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"}}}}"#);
    Ok(stream.write_all(&masked(message.as_bytes())).await?)
}

/// Reads until `wanted` has come.
pub(crate) async fn until(stream: &mut TcpStream, wanted: &str) -> Result<()> {
    let mut heard = Vec::new();
    while !heard.windows(wanted.len()).any(|window| window == wanted.as_bytes()) {
        let mut bytes = [0; 1_024];
        let read = stream.read(&mut bytes).await?;
        if read == 0 {
            bail!("the server closed the connection: {}", String::from_utf8_lossy(&heard));
        }
        heard.extend_from_slice(&bytes[..read]);
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "readers live as long as the bench's one LocalSet"
)]
fn count(stream: TcpStream, received: Rc<Received>, frame: Vec<u8>) {
    tokio::task::spawn_local(async move {
        let mut buffer = vec![0; 16 << 10];
        let mut at = 0;
        loop {
            if stream.readable().await.is_err() {
                return;
            }
            match stream.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => {
                    if !frame.is_empty() {
                        at = check(&buffer[..read], &frame, at, &received);
                    }
                    received.add(read as u64);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    });
}

/// Compares a piece of a stream of equal frames, beginning `at` bytes into one; says where the piece ends.
fn check(mut piece: &[u8], frame: &[u8], mut at: usize, received: &Received) -> usize {
    while !piece.is_empty() {
        let length = piece.len().min(frame.len() - at);
        if piece[..length] != frame[at..at + length] {
            received.wrong.set(received.wrong.get() + 1);
        }
        piece = &piece[length..];
        at = (at + length) % frame.len();
    }
    at
}

/// A client's text frame with a mask of zeros (RFC 6455 §5.3 asks for a mask, not for a good one). Up to 125 bytes.
pub(crate) fn masked(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short message") | 0x80;
    [&[0x81, length, 0, 0, 0, 0], text].concat()
}

/// How `subscription_succeeded` of a public channel ends.
const SUCCEEDED: &str = r#""data":"{}"}"#;
