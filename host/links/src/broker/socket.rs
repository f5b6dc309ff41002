//! Connections to servers, with TLS where it is asked for.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

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
