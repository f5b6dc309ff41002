//! What a name means, without the addresses that must not be reached. The client connects to what comes out of here and to
//! nothing else, so what was looked at is what is connected to.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::public::is_public;

/// A name that means no public address. Its text does not say which ones it means: a guest need not know.
#[derive(Debug, thiserror::Error)]
#[error("{0} means no public address")]
pub(super) struct NotPublic(String);

/// Asks the operating system.
pub(super) struct Resolver {
    private: bool,
    room: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new(private: bool) -> Self {
        Self {
            private,
            room: Arc::new(Semaphore::new(LOOK_UPS)),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (private, room) = (self.private, Arc::clone(&self.room));
        Box::pin(async move {
            let place = room.acquire_owned().await?;
            // The thread goes on when the request is given up, so the place belongs to the thread.
            let looked_up = spawn_blocking(move || {
                let found = look_up(name.as_str());
                drop(place);
                (name, found)
            });
            let (name, found) = looked_up.await?;
            let usable = usable(name.as_str(), found?, private)?;
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// The port is the client's business: 0 leaves it to the address.
fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

/// Those of the addresses that may be connected to, in their order.
pub(super) fn usable(name: &str, mut found: Vec<SocketAddr>, private: bool) -> Result<Vec<SocketAddr>, NotPublic> {
    found.retain(|address| private || is_public(address.ip()));
    if found.is_empty() {
        return Err(NotPublic(name.to_owned()));
    }
    Ok(found)
}

/// Names that are looked up at once. Each holds a thread for as long as the operating system waits for its name server, which
/// may be far longer than the request does.
const LOOK_UPS: usize = 16;
