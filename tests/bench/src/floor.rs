//! The floor: the least that any server must do for a fan-out.
//!
//! As many event loops as the host has, sockets dealt to them in turn with the host's socket options. The first
//! connection is the control: each byte on it makes every loop write one frame to each of its sockets, one write each.

use std::cell::RefCell;
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use anyhow::Result;
use jackfield_protocol::websocket;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

/// Listens until it is killed.
pub(crate) fn run(port: u16, bytes: usize) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let frame: Arc<[u8]> = websocket::text_frame(&vec![b'x'; bytes]).as_ref().into();
    // The connection with which the bench finds out that the floor listens.
    drop(listener.accept()?);
    let (control, _) = listener.accept()?;
    control.set_nonblocking(true)?;
    control.set_nodelay(true)?;
    let loops = thread::available_parallelism()?.get();
    let (go, rounds) = watch::channel(0_u64);
    let mut senders = Vec::new();
    for _ in 0..loops {
        let (sender, accepted) = mpsc::channel(256);
        senders.push(sender);
        let (frame, rounds) = (Arc::clone(&frame), rounds.clone());
        thread::spawn(move || event_loop(accepted, rounds, &frame));
    }
    thread::spawn(move || follow(control, &go));
    for next in (0..loops).cycle() {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        senders[next].blocking_send(stream)?;
    }
    Ok(())
}

/// Counts the bytes on the control connection into the loops' rounds.
fn follow(control: std::net::TcpStream, go: &watch::Sender<u64>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let control = TcpStream::from_std(control)?;
        let mut bytes = [0; 4_096];
        loop {
            control.readable().await?;
            match control.try_read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(read) => go.send_modify(|rounds| *rounds += read as u64),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    })
}

fn event_loop(
    mut accepted: mpsc::Receiver<std::net::TcpStream>,
    mut rounds: watch::Receiver<u64>,
    frame: &[u8],
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sockets: Rc<RefCell<Vec<TcpStream>>> = Rc::default();
    runtime.block_on(async {
        let mut done = 0;
        loop {
            tokio::select! {
                Some(stream) = accepted.recv() => sockets.borrow_mut().push(TcpStream::from_std(stream)?),
                changed = rounds.changed() => {
                    changed?;
                    let round = *rounds.borrow_and_update();
                    for _ in done..round {
                        for socket in sockets.borrow().iter() {
                            // The bench reads as fast as it can; a full buffer would show as missing bytes.
                            let _ = socket.try_write(frame);
                        }
                    }
                    done = round;
                }
            }
        }
    })
}
