//! Raw frames in, messages out: one table in the order of RFC 6455, run whole and byte by byte.
//!
//! Frames are written as hex; most use the all-zero masking key, which leaves the payload readable. An outcome lists
//! the messages and, last, the code with which the connection is closed.

use super::{Decoder, MAX_FRAGMENTS, Message, close_frame, ping_frame, pong_frame, text_frame};
use crate::close::Close;

/// Small, so that the table can reach it.
const MAX_MESSAGE: usize = 300;

/// (section of RFC 6455, bytes from the client, outcome). `NN*XX` repeats the byte XX NN times (both hex).
const CASES: &[(&str, &str, &str)] = &[
    // Masking: a client masks every frame.
    ("5.1 unmasked text", "81 02 4869", "close 1002"),
    ("5.1 unmasked ping", "89 00", "close 1002"),
    ("5.1 judged from two bytes", "81 05", "close 1002"),
    // The base frame.
    ("5.2 nothing", "", ""),
    ("5.2 half a header", "81", ""),
    ("5.2 header without its mask", "81 82 0000", ""),
    ("5.2 payload not all there", "81 82 00000000 48", ""),
    ("5.2 empty text", "81 80 00000000", "text "),
    ("5.2 text", "81 82 00000000 4869", "text Hi"),
    ("5.2 RSV1", "c1 80 00000000", "close 1002"),
    ("5.2 RSV2", "a1 80 00000000", "close 1002"),
    ("5.2 RSV3", "91 80 00000000", "close 1002"),
    ("5.2 RSV on a ping", "c9 80 00000000", "close 1002"),
    ("5.2 opcode 3", "83 80 00000000", "close 1002"),
    ("5.2 opcode 7", "87 80 00000000", "close 1002"),
    ("5.2 opcode 11", "8b 80 00000000", "close 1002"),
    ("5.2 opcode 15", "8f 80 00000000", "close 1002"),
    ("5.2 125 bytes", "81 fd 00000000 7d*2e", "text 125 bytes"),
    ("5.2 16-bit length", "81 fe 007e 00000000 7e*2e", "text 126 bytes"),
    (
        "5.2 64-bit length",
        "81 ff 000000000000007e 00000000 7e*2e",
        "text 126 bytes",
    ),
    ("5.2 16-bit length, not minimal", "81 fe 0002 00000000 4869", "text Hi"),
    (
        "5.2 64-bit length, not minimal",
        "81 ff 0000000000000002 00000000 4869",
        "text Hi",
    ),
    (
        "5.2 64-bit length, top bit set",
        "81 ff 8000000000000000 00000000",
        "close 1002",
    ),
    (
        "5.2 two messages at once",
        "81 81 00000000 41 81 81 00000000 42",
        "text A; text B",
    ),
    (
        "5.2 one and a half messages",
        "81 81 00000000 41 81 82 00000000 42",
        "text A",
    ),
    // Unmasking: the example of section 5.7, and a key over more than eight bytes.
    ("5.3 masked hello", "81 85 37fa213d 7f9f4d5158", "text Hello"),
    (
        "5.3 eleven bytes",
        "81 8b 01020304 4967 6f68 6e22 746b 736e 67",
        "text Hello world",
    ),
    // Fragmentation.
    (
        "5.4 two fragments",
        "01 82 00000000 4865 80 83 00000000 6c6c6f",
        "text Hello",
    ),
    (
        "5.4 each with its key",
        "01 82 ffffffff b79a 80 83 01010101 6d6d6e",
        "text Hello",
    ),
    (
        "5.4 empty fragments",
        "01 80 00000000 00 80 00000000 80 80 00000000",
        "text ",
    ),
    ("5.4 not ended", "01 81 00000000 41", ""),
    (
        "5.4 ping in between",
        "01 81 00000000 41 89 81 00000000 70 80 81 00000000 42",
        "ping p; text AB",
    ),
    (
        "5.4 binary in fragments",
        "02 81 00000000 41 80 81 00000000 42",
        "binary",
    ),
    ("5.4 continuation of nothing", "80 81 00000000 41", "close 1002"),
    ("5.4 open continuation of nothing", "00 81 00000000 41", "close 1002"),
    (
        "5.4 continuation after the end",
        "81 81 00000000 41 80 80 00000000",
        "text A; close 1002",
    ),
    (
        "5.4 text inside text",
        "01 81 00000000 41 81 81 00000000 42",
        "close 1002",
    ),
    (
        "5.4 binary inside text",
        "01 81 00000000 41 02 81 00000000 42",
        "close 1002",
    ),
    // Control frames.
    ("5.5 ping in fragments", "09 80 00000000", "close 1002"),
    ("5.5 close in fragments", "08 80 00000000", "close 1002"),
    ("5.5 ping of 126 bytes", "89 fe 007e 00000000", "close 1002"),
    (
        "5.5 ping, 64-bit length",
        "89 ff 0000000000000000 00000000",
        "close 1002",
    ),
    ("5.5.1 close", "88 80 00000000", "close"),
    ("5.5.1 close 1000", "88 82 00000000 03e8", "close 1000 by client"),
    (
        "5.5.1 close with a reason",
        "88 85 00000000 03e9 627965",
        "close 1001 by client",
    ),
    ("5.5.1 close of one byte", "88 81 00000000 03", "close 1002"),
    ("5.5.1 reason is not UTF-8", "88 83 00000000 03e8 ff", "close 1007"),
    ("5.5.2 ping", "89 80 00000000", "ping "),
    ("5.5.2 ping of 125 bytes", "89 fd 00000000 7d*2e", "ping 125 bytes"),
    ("5.5.3 pong nobody asked for", "8a 81 00000000 41", "pong"),
    ("5.6 binary", "82 82 00000000 ff00", "binary"),
    // Codes that may come in a close frame.
    ("7.4.1 code 0", "88 82 00000000 0000", "close 1002"),
    ("7.4.1 code 999", "88 82 00000000 03e7", "close 1002"),
    ("7.4.1 code 1004", "88 82 00000000 03ec", "close 1002"),
    ("7.4.1 code 1005", "88 82 00000000 03ed", "close 1002"),
    ("7.4.1 code 1006", "88 82 00000000 03ee", "close 1002"),
    ("7.4.1 code 1011", "88 82 00000000 03f3", "close 1011 by client"),
    ("7.4.1 code 1015", "88 82 00000000 03f7", "close 1002"),
    ("7.4.2 code 2999", "88 82 00000000 0bb7", "close 1002"),
    ("7.4.2 code 3000", "88 82 00000000 0bb8", "close 3000 by client"),
    ("7.4.2 code 4999", "88 82 00000000 1387", "close 4999 by client"),
    ("7.4.2 code 5000", "88 82 00000000 1388", "close 1002"),
    // UTF-8, judged on whole messages: a character may be cut by a fragment.
    (
        "8.1 a character in two fragments",
        "01 81 00000000 c3 80 81 00000000 a9",
        "text é",
    ),
    ("8.1 stray continuation byte", "81 81 00000000 80", "close 1007"),
    ("8.1 overlong", "81 82 00000000 c0af", "close 1007"),
    ("8.1 surrogate", "81 83 00000000 eda080", "close 1007"),
    ("8.1 cut off", "81 82 00000000 e282", "close 1007"),
    // Limits: judged from the header, before a byte of payload is there.
    (
        "10.4 exactly the limit",
        "81 fe 012c 00000000 ff*2e 2d*2e",
        "text 300 bytes",
    ),
    ("10.4 one over the limit", "81 fe 012d 00000000", "close 1009"),
    (
        "10.4 as long as can be",
        "82 ff 7fffffffffffffff 00000000",
        "close 1009",
    ),
    (
        "10.4 fragments over the limit",
        "01 fe 012c 00000000 ff*2e 2d*2e 80 81 00000000",
        "close 1009",
    ),
];

#[test]
fn frames_are_judged_as_rfc_6455_says() {
    assert!(CASES.len() >= 40);
    for (name, bytes, expected) in CASES {
        let bytes = unhex(bytes);
        assert_eq!(outcome(bytes.chunks(usize::MAX)), *expected, "{name}, at once");
        assert_eq!(outcome(bytes.chunks(1)), *expected, "{name}, byte by byte");
        assert_eq!(outcome(bytes.chunks(7)), *expected, "{name}, seven by seven");
    }
}

// Fragments may be empty, so the size limit alone would let a message go on for ever.
#[test]
fn a_message_has_a_bounded_number_of_fragments() {
    let first = unhex("01 80 00000000");
    let more = unhex("00 80 00000000");
    let last = unhex("80 80 00000000");
    let frames = |count: u32| [first.clone(), more.repeat(count as usize - 2), last.clone()].concat();
    assert_eq!(outcome(frames(MAX_FRAGMENTS).chunks(100)), "text ");
    assert_eq!(outcome(frames(MAX_FRAGMENTS + 1).chunks(100)), "close 1008");
}

// Design, "Idle is free": thousands of silent connections must cost nothing but the struct itself.
#[test]
fn an_idle_decoder_holds_no_memory() {
    assert!(size_of::<Decoder>() <= 96, "{}", size_of::<Decoder>());
    let mut decoder = Decoder::new(MAX_MESSAGE);
    decoder.feed(&unhex("01 81 00000000 41 80 81 00000000 42 81"));
    assert_eq!(decoder.next(), Ok(Some(Message::Text("AB".into()))));
    assert_eq!((decoder.next(), decoder.buffered()), (Ok(None), 1));
    decoder.feed(&unhex("81 00000000 43"));
    assert_eq!(decoder.next(), Ok(Some(Message::Text("C".into()))));
    assert_eq!((decoder.next(), decoder.buffered()), (Ok(None), 0));
    assert_eq!((decoder.input.capacity(), decoder.message.capacity()), (0, 0));
}

// A read full of tiny messages: what is left of it is not moved once per message.
#[test]
fn many_messages_in_one_read_are_taken_in_place() {
    let mut decoder = Decoder::new(MAX_MESSAGE);
    decoder.feed(&unhex("81 80 00000000").repeat(1000));
    let buffer = decoder.input.as_ptr();
    for _ in 0..999 {
        assert_eq!(decoder.next(), Ok(Some(Message::Text(String::new()))));
        assert_eq!(decoder.input.as_ptr(), buffer);
    }
    assert_eq!(
        (decoder.next(), decoder.input.capacity()),
        (Ok(Some(Message::Text(String::new()))), 0)
    );
}

// RFC 6455 §5.2 and §5.1: the shortest length form, and no mask from a server.
#[test]
fn server_frames_are_whole_and_unmasked() {
    for (frame, expected) in [
        (text_frame(b""), "81 00"),
        (text_frame(b"Hi"), "81 02 4869"),
        (text_frame(&[b'.'; 125]), "81 7d 7d*2e"),
        (text_frame(&[b'.'; 126]), "81 7e 007e 7e*2e"),
        (ping_frame(), "89 00"),
        (pong_frame(b"p"), "8a 01 70"),
        (pong_frame(&[b'.'; 126]), "8a 7d 7d*2e"),
        (close_frame(Close::Normal), "88 09 03e8 676f6f64627965"),
    ] {
        assert_eq!(frame, unhex(expected), "{expected}");
    }
    let long = text_frame(&[b'.'; 0x1_0000]);
    assert_eq!(long[..10], unhex("81 7f 0000000000010000"));
    assert_eq!(text_frame(&[b'.'; 0xffff])[..4], unhex("81 7e ffff"));
}

// RFC 6455 §5.5: two bytes of code leave 123 for the reason.
#[test]
fn every_close_fits_into_a_control_frame() {
    use Close::{
        AppDisabled, AppUnknown, Idle, InvalidUtf8, Normal, OutboxFull, OverCapacity, OverQuota, OverRate,
        PathNotFound, PolicyViolated, PongMissing, ProtocolError, ProtocolMissing, ProtocolUnsupported, Reconnect,
        Refused, TlsRequired, TooBig, Unauthorized, Unsupported, VersionInvalid,
    };
    #[rustfmt::skip]
    let all = [
        Normal, ProtocolError, Unsupported, InvalidUtf8, PolicyViolated, TooBig, TlsRequired, AppUnknown, AppDisabled,
        OverQuota, PathNotFound, VersionInvalid, ProtocolUnsupported, ProtocolMissing, Unauthorized, OverCapacity,
        OutboxFull, OverRate, Reconnect, PongMissing, Idle, Refused { code: 4000 },
    ];
    for close in all {
        let frame = close_frame(close);
        assert_eq!(usize::from(frame[1]), frame.len() - 2, "{close:?}");
        assert!(frame.len() <= 2 + 125, "{close:?}");
    }
}

/// Feeds the pieces and writes down all that comes out.
fn outcome<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut decoder = Decoder::new(MAX_MESSAGE);
    let mut said = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next() {
                Ok(Some(message)) => said.push(describe(message)),
                Ok(None) => break,
                Err(close) => {
                    said.push(format!("close {}", close.code()));
                    return said.join("; ");
                }
            }
        }
    }
    said.join("; ")
}

fn describe(message: Message) -> String {
    match message {
        Message::Text(text) if text.len() > 100 => format!("text {} bytes", text.len()),
        Message::Text(text) => format!("text {text}"),
        Message::Binary(_) => "binary".into(),
        Message::Ping(payload) if payload.len() > 100 => format!("ping {} bytes", payload.len()),
        Message::Ping(payload) => format!("ping {}", String::from_utf8_lossy(&payload)),
        Message::Pong => "pong".into(),
        Message::Close(None) => "close".into(),
        Message::Close(Some(code)) => format!("close {code} by client"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |digits: &str| u8::from_str_radix(digits, 16).expect(digits);
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        match word.split_once('*') {
            Some((count, value)) => bytes.extend(vec![byte(value); usize::from(byte(count))]),
            None => bytes.extend((0..word.len()).step_by(2).map(|at| byte(&word[at..at + 2]))),
        }
    }
    bytes
}

// What is done with goes at the end of each read, even if no read ever ends where a message does.
#[test]
fn nothing_piles_up_between_reads() {
    let frame = [0x81, 0x82, 0, 0, 0, 0, b'H', b'i'];
    let mut decoder = Decoder::new(MAX_MESSAGE);
    decoder.feed(&frame[..4]);
    for _ in 0..1000 {
        decoder.feed(&frame[4..]);
        decoder.feed(&frame[..4]);
        assert_eq!(decoder.next(), Ok(Some(Message::Text("Hi".into()))));
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.input.len() <= 4, "{}", decoder.input.len());
    }
}
