//! Connections to servers, with TLS where it is asked for. The reading end can be made to wait for a link's receiver.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::handover::Handover;
use super::place::Place;
use crate::tls;

/// Bytes both ways, encrypted or not.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(super) type Stream = Box<dyn Duplex>;

/// Opens a connection.
pub(super) async fn open(place: &Place, config: &Arc<ClientConfig>) -> Result<Stream, String> {
    let stream = TcpStream::connect((place.host.as_str(), place.port))
        .await
        .map_err(|error| error.to_string())?;
    // A batch is one write: to gather more only delays it.
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    if !place.tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(place.host.clone()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(config.clone()).connect(name, stream).await;
    Ok(Box::new(stream.map_err(|error| tls::said(&error))?))
}

/// The same connection, read only while the receiver keeps up. It is how a client that reads whenever it can, and keeps
/// what it has read without a bound, is made to wait.
pub(super) fn paced(stream: Stream, handover: Arc<Handover>) -> Stream {
    let (reader, writer) = tokio::io::split(stream);
    let reader = Paced {
        reader,
        handover,
        room: None,
    };
    Box::new(tokio::io::join(reader, writer))
}

struct Paced {
    reader: ReadHalf<Stream>,
    handover: Arc<Handover>,
    /// While there is none.
    room: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl AsyncRead for Paced {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.room.is_none() && self.handover.is_full() {
            let handover = self.handover.clone();
            self.room = Some(Box::pin(async move { handover.room().await }));
        }
        if let Some(room) = &mut self.room {
            ready!(room.as_mut().poll(context));
            self.room = None;
        }
        Pin::new(&mut self.reader).poll_read(context, into)
    }
}
