//! A WebSocket echo over the server's own frame reader: what conformance suites need, and nothing that speaks Pusher.
//!
//! Prints the port that it listens on, then echoes every message of every connection until it is killed.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use jackfield_protocol::close::Close;
use jackfield_protocol::websocket::{Decoder, Message, close_frame, pong_frame, text_frame};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

#[expect(clippy::print_stdout, reason = "the port is for whoever started it")]
fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let stream = stream?;
        // A connection that fails ends alone, and its peer sees that.
        thread::spawn(move || serve(stream));
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut decoder = Decoder::new(LARGEST);
    decoder.feed(&upgrade(&mut stream)?);
    let mut buffer = vec![0; 64 << 10];
    loop {
        while let Some(message) = next(&mut decoder, &mut stream)? {
            if !answer(&mut stream, message)? {
                return Ok(());
            }
        }
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        decoder.feed(&buffer[..read]);
    }
}

/// The next message. What is against the rules ends the connection with its code.
fn next(decoder: &mut Decoder, stream: &mut TcpStream) -> std::io::Result<Option<Message>> {
    match decoder.next() {
        Ok(message) => Ok(message),
        Err(close) => {
            stream.write_all(&close_frame(close))?;
            Err(std::io::ErrorKind::InvalidData.into())
        }
    }
}

/// Answers a message; false when it was the last one.
fn answer(stream: &mut TcpStream, message: Message) -> std::io::Result<bool> {
    match message {
        Message::Text(text) => stream.write_all(&text_frame(text.as_bytes()))?,
        Message::Binary(bytes) => {
            // The server never sends binary messages; RFC 6455 §5.2: they differ from text in the opcode alone.
            let mut frame = text_frame(&bytes).to_vec();
            frame[0] = 0x82;
            stream.write_all(&frame)?;
        }
        Message::Ping(payload) => stream.write_all(&pong_frame(&payload))?,
        Message::Pong => {}
        Message::Close(_) => {
            stream.write_all(&close_frame(Close::Normal))?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes the handshake; gives what came with it.
fn upgrade(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let (mut head, mut buffer) = (Vec::new(), [0; 4_096]);
    let end = loop {
        if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&buffer[..read]);
    };
    let text = String::from_utf8_lossy(&head[..end]).into_owned();
    let key = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    });
    let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes())?;
    Ok(head.split_off(end))
}

/// The suites send messages of 16 MiB.
const LARGEST: usize = 64 << 20;
