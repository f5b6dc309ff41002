//! Sizes and time.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use super::super::{HttpClient, HttpError, MAX_BODY_BYTES, MAX_HEAD_BYTES, Places, Request};
use super::peer::{Peer, listener, port, read, was_reached};
use super::{client, error, get};

#[tokio::test]
async fn a_body_of_a_mebibyte_is_sent_and_no_byte_more() {
    let peer = Peer::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let post = |url: String, length: usize| Request {
        method: "POST".to_owned(),
        body: vec![b'x'; length],
        ..get(url)
    };
    let client = client(Places::anywhere(true));
    let response = client.send(post(peer.url(), MAX_BODY_BYTES)).await;
    assert_eq!(response.map(|response| response.status), Ok(204));
    assert!(peer.request().await.ends_with(&"x".repeat(MAX_BODY_BYTES)));

    let unasked = listener();
    let url = format!("http://127.0.0.1:{}/", port(&unasked));
    let long = format!("{url}{}", "x".repeat(MAX_HEAD_BYTES));
    let many = (0..101).map(|number| (format!("x-{number}"), String::new())).collect();
    for request in [
        post(url.clone(), MAX_BODY_BYTES + 1),
        get(long),
        Request {
            headers: vec![("x".to_owned(), "x".repeat(MAX_HEAD_BYTES))],
            ..get(&url)
        },
        Request {
            headers: many,
            ..get(&url)
        },
    ] {
        assert_eq!(error(client.send(request).await), HttpError::TooLarge);
    }
    assert!(!was_reached(&unasked));
}

#[tokio::test]
async fn an_answer_of_a_mebibyte_is_taken_and_no_byte_more() {
    let client = client(Places::anywhere(true));
    let whole = |length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}",
            "x".repeat(length)
        )
    };
    let chunked = |length: usize| {
        let body = "x".repeat(length);
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
    };
    let until_the_end = |length: usize| format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(length));
    let most = MAX_BODY_BYTES;
    for answer in [whole(most), chunked(most), until_the_end(most)] {
        let response = client.send(get(Peer::answering(answer).url())).await;
        assert_eq!(response.map(|response| response.body.len()), Ok(most));
    }
    for answer in [whole(most + 1), chunked(most + 1), until_the_end(most + 1)] {
        let refused = error(client.send(get(Peer::answering(answer).url())).await);
        assert_eq!(refused, HttpError::TooLarge);
    }
}

// Who announces too much is not read, and who answers HEAD with the length of what GET would get announces nothing.
#[tokio::test]
async fn an_announced_length_is_believed_at_once() {
    let client = client(Places::anywhere(true));
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    let peer = Peer::doing(move |stream| {
        let request = read(stream);
        stream.write_all(announced.as_bytes()).expect("the client reads");
        // Not a byte of the body comes: the client hangs up, or this never ends.
        assert!(!matches!(stream.read(&mut [0]), Ok(1)), "the client says more");
        request
    });
    assert_eq!(error(client.send(get(peer.url())).await), HttpError::TooLarge);
    assert!(peer.request().await.starts_with("GET / "));

    let peer = Peer::answering(announced);
    let head = Request {
        method: "HEAD".to_owned(),
        ..get(peer.url())
    };
    let response = client.send(head).await;
    assert_eq!(response.map(|response| response.body.len()), Ok(0));
}

#[tokio::test]
async fn one_deadline_stands_around_everything() {
    let short = HttpClient::new(Places::anywhere(true), Duration::from_millis(200)).expect("TLS can be set up");
    for before in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx",
    ] {
        let silent = Peer::doing(move |stream| {
            let request = read(stream);
            stream.write_all(before.as_bytes()).expect("the client reads");
            // Ends when the client hangs up.
            assert!(!matches!(stream.read(&mut [0]), Ok(1)), "the client says more");
            request
        });
        assert_eq!(
            error(short.send(get(silent.url())).await),
            HttpError::TimedOut,
            "{before}"
        );
        silent.request().await;
    }
    // A byte now and then is no sign of life that counts.
    let slow = Peer::doing(|stream| {
        let request = read(stream);
        let mut part = "HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n".as_bytes();
        while stream.write_all(part).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
            part = b"x";
        }
        request
    });
    assert_eq!(error(short.send(get(slow.url())).await), HttpError::TimedOut);
    slow.request().await;
}
