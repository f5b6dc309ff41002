//! How the bench gets into a server that is measured: the same for the host and for the floor.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{self, SUCCEEDED};
use crate::floor::{GREETING, Hello, Role};
use crate::publisher::Publisher;

/// Who is measured.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Host,
    Floor,
}

/// Where it listens, and how it is spoken to.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) side: Side,
    pub(crate) address: SocketAddr,
}

impl Entry {
    /// A socket that is subscribed to a channel, which has a name and, at the floor, a number.
    pub(crate) async fn subscriber(&self, name: &str, number: usize) -> Result<TcpStream> {
        match self.side {
            Side::Floor => self.greeted(Role::Subscriber, [number, 0]).await,
            Side::Host => {
                let mut stream = client::open(self.address).await?;
                let request = if name.starts_with("private-") {
                    client::permitted(&mut stream, name).await?
                } else {
                    client::asking(name)
                };
                stream.write_all(&request).await?;
                client::until(&mut stream, SUCCEEDED).await?;
                Ok(stream)
            }
        }
    }

    /// A connection for publishes, the first of which has the number `first`, the next one `first + step`.
    pub(crate) async fn publisher(&self, first: usize, step: usize) -> Result<Publisher> {
        let stream = match self.side {
            Side::Floor => self.greeted(Role::Publisher, [first, step]).await?,
            Side::Host => TcpStream::connect(self.address).await?,
        };
        stream.set_nodelay(true)?;
        Ok(Publisher::new(stream))
    }

    /// A connection, and what it has to send to get into a private channel.
    pub(crate) async fn asker(&self, channel: &str) -> Result<(TcpStream, Vec<u8>)> {
        let mut stream = match self.side {
            Side::Floor => self.greeted(Role::Asker, [0, 0]).await?,
            Side::Host => client::open(self.address).await?,
        };
        let request = match self.side {
            Side::Floor => client::permission("1.1", channel),
            Side::Host => client::permitted(&mut stream, channel).await?,
        };
        Ok((stream, request))
    }

    /// A connection to the floor.
    async fn greeted(&self, role: Role, [first, step]: [usize; 2]) -> Result<TcpStream> {
        let hello = Hello {
            role,
            first: u32::try_from(first)?,
            step: u32::try_from(step)?,
        };
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&hello.encode()).await?;
        ensure!(stream.read_u8().await? == GREETING, "this is not the floor");
        Ok(stream)
    }
}
