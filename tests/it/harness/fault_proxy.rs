//! A stretch of network that can be made bad: it forwards, forwards late, swallows, or cuts.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::sleep;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Every piece is this much late.
    Delay(Duration),
    /// Connections are accepted and nothing comes through, as if cables had been pulled.
    BlackHole,
    /// Every connection is reset, and so is every new one.
    Reset,
}

/// Forwards connections to one port; all are closed with this value.
pub(crate) struct FaultProxy {
    pub(crate) port: u16,
    fault: Sender<Fault>,
    _tasks: JoinSet<()>,
}

impl FaultProxy {
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (fault, seen) = channel(Fault::None);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, seen));
        Self {
            port,
            fault,
            _tasks: tasks,
        }
    }

    /// From now on, for connections that there are and for new ones.
    pub(crate) fn make(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn accept(listener: TcpListener, target: u16, fault: Receiver<Fault>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        connections.spawn(forward(near, target, fault.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(near: TcpStream, target: u16, mut fault: Receiver<Fault>) {
    // Closing then sends RST and not FIN: this must be seen by whoever is in the middle of something.
    near.set_zero_linger().expect("the socket is open");
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let mut reset = fault.clone();
    tokio::select! {
        () = pump(near_read, far_write, fault.clone()) => {}
        () = pump(far_read, near_write, fault.clone()) => {}
        _ = reset.wait_for(|fault| *fault == Fault::Reset) => {}
    }
    // Who swallows everything swallows the end as well.
    let _ = fault.wait_for(|fault| *fault != Fault::BlackHole).await;
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut fault: Receiver<Fault>) {
    let mut buffer = vec![0; PIECE_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let now = *fault.borrow_and_update();
        match now {
            Fault::Delay(time) => sleep(time).await,
            // What was in the hole stays there; so does the connection.
            Fault::BlackHole => continue,
            Fault::None | Fault::Reset => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

const PIECE_BYTES: usize = 64 << 10;
