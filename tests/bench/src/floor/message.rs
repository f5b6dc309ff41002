//! Where a message ends, and nothing more: what the floor must know of HTTP and of WebSocket frames.

/// The length of the HTTP message at the beginning of `bytes`, if it is there to its end.
pub(crate) fn http(bytes: &[u8]) -> Option<usize> {
    let head = bytes
        .windows(END_OF_HEAD.len())
        .position(|window| window == END_OF_HEAD)?
        + END_OF_HEAD.len();
    let whole = head + content_length(&bytes[..head]);
    (whole <= bytes.len()).then_some(whole)
}

/// The length of the WebSocket frame at the beginning of `bytes`, if it is there to its end (RFC 6455 §5.2).
pub(crate) fn websocket(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let (head, payload) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        // Longer ones are no work of the bench.
        short => (2, usize::from(short)),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let whole = head + mask + payload;
    (whole <= bytes.len()).then_some(whole)
}

fn content_length(head: &[u8]) -> usize {
    let lines = head.split(|&byte| byte == b'\n');
    lines
        .filter_map(|line| {
            let (name, value) = line.split_at_checked(CONTENT_LENGTH.len())?;
            let value = name.eq_ignore_ascii_case(CONTENT_LENGTH).then_some(value)?;
            std::str::from_utf8(value).ok()?.trim().parse().ok()
        })
        .next()
        .unwrap_or(0)
}

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const CONTENT_LENGTH: &[u8] = b"content-length:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_with_its_last_byte() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        let frame = [0x81, 0x82, 0, 0, 0, 0, b'{', b'}'];
        let long = [&[0x81, 126, 0, 200], [b'x'; 200].as_slice()].concat();
        for (end, message) in [
            (http as fn(&[u8]) -> Option<usize>, request.as_slice()),
            (websocket, &frame),
            (websocket, &long),
        ] {
            assert_eq!(end(message), Some(message.len()));
            assert_eq!(end(&[message, b"more"].concat()), Some(message.len()));
            for cut in 0..message.len() {
                assert_eq!(end(&message[..cut]), None, "{cut}");
            }
        }
    }
}
