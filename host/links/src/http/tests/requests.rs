//! What is sent and what comes back, at a real peer.

use std::io::{Read as _, Write as _};

use super::super::{HttpError, Places, Request};
use super::peer::{Peer, listener, port, was_reached};
use super::{client, error, get};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Twice: a\r\nx-twice: b\r\n\r\nhi";

#[tokio::test]
async fn a_request_arrives_whole_and_its_answer_too() {
    let peer = Peer::answering(OK);
    let request = Request {
        method: "POST".to_owned(),
        url: format!("{}hooks?a=b#part", peer.url()),
        headers: vec![
            ("X-Extra".to_owned(), "yes".to_owned()),
            ("x-extra".to_owned(), "more \u{e9}".to_owned()),
        ],
        body: b"body".to_vec(),
    };
    let response = client(Places::anywhere(true)).send(request).await.expect("an answer");
    assert_eq!((response.status, response.body.as_slice()), (200, &b"hi"[..]));
    let twice = response.headers.iter().filter(|(name, _)| name == "x-twice");
    assert_eq!(twice.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let sent = peer.request().await;
    assert!(sent.starts_with("POST /hooks?a=b HTTP/1.1\r\n"), "{sent}");
    for part in [
        "x-extra: yes\r\n",
        "x-extra: more \u{e9}\r\n",
        "content-length: 4\r\n",
        "user-agent: jackfield/",
    ] {
        assert!(sent.contains(part), "{sent}");
    }
    assert!(sent.ends_with("\r\n\r\nbody"), "{sent}");
}

#[tokio::test]
async fn a_redirect_is_given_back_and_not_followed() {
    let elsewhere = listener();
    let location = format!("http://127.0.0.1:{}/", port(&elsewhere));
    let peer = Peer::answering(format!(
        "HTTP/1.1 307 Go\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
    ));
    let response = client(Places::anywhere(true))
        .send(get(peer.url()))
        .await
        .expect("an answer");
    assert_eq!(response.status, 307);
    assert!(response.headers.contains(&("location".to_owned(), location)));
    assert!(!was_reached(&elsewhere));
}

/// Each of these requests, all of which say `hidden` somewhere, is refused without saying it.
async fn check_refused(requests: impl IntoIterator<Item = Request>) {
    let client = client(Places::anywhere(true));
    for request in requests {
        let what = format!("{:?} {:?} {:?}", request.method, request.url, request.headers);
        let error = error(client.send(request).await);
        assert!(matches!(error, HttpError::Malformed(_)), "{what}: {error:?}");
        assert!(!error.to_string().contains("hidden"), "{what}: {error}");
    }
}

// RFC 9110, 5.5 and 7.6.1: no line ends in a value; what is about the connection is the host's.
#[tokio::test]
async fn a_header_that_cannot_be_sent_or_is_the_hosts_is_refused() {
    let listener = listener();
    let url = format!("http://127.0.0.1:{}/", port(&listener));
    let pairs = [
        ("x", "hidden\r\nhost: elsewhere"),
        ("x", "hidden\n"),
        ("x", "hidden\0"),
        ("x\r\ny", "hidden"),
        ("x y", "hidden"),
        ("x:", "hidden"),
        ("", "hidden"),
    ];
    let ours = [
        "host",
        "Host",
        "Connection",
        "content-length",
        "transfer-encoding",
        "TE",
        "trailer",
        "upgrade",
        "keep-alive",
        "expect",
        "proxy-connection",
        "proxy-authorization",
    ];
    let ours = ours.map(|name| (name, "hidden"));
    let with = |(name, value): (&str, &str)| Request {
        headers: vec![(name.to_owned(), value.to_owned())],
        ..get(&url)
    };
    check_refused(pairs.into_iter().chain(ours).map(with)).await;
    assert!(!was_reached(&listener));
}

#[tokio::test]
async fn a_method_that_is_none_or_makes_a_tunnel_is_refused() {
    let listener = listener();
    let url = format!("http://127.0.0.1:{}/", port(&listener));
    let methods = [
        "",
        "get",
        "CONNECT",
        "TRACE",
        "G ET",
        "GET / HTTP/1.1\r\nhidden: x\r\n\r\n",
    ];
    let with = |method: &str| Request {
        method: method.to_owned(),
        ..get(&url)
    };
    check_refused(methods.map(with)).await;
    assert!(!was_reached(&listener));
}

#[tokio::test]
async fn an_address_that_is_none_or_says_who_is_asking_is_refused() {
    let urls = [
        "",
        "hidden",
        "/hidden",
        "//127.0.0.1/hidden",
        "ftp://127.0.0.1/hidden",
        "file:///hidden",
        "data:text/plain,hidden",
        "unix:/hidden",
        "ws://127.0.0.1/hidden",
        "http://",
        "http:///",
        "http://ann:hidden@127.0.0.1/",
        "http://hidden@127.0.0.1/",
        "http://:hidden@127.0.0.1/",
        "http://127.0.0.1/hid\r\nden",
        "http://127.0.\t0.1/hidden",
        "http://1.2.3.4.5/hidden",
        "http://256.0.0.1/hidden",
        "http://0x100000000/hidden",
        "http://[::1/hidden",
        "http://[fe80::1%25lo]/hidden",
        "http://a b/hidden",
        "http://127.0.0.1:65536/hidden",
        "http://127.0.0.1%00.example/hidden",
    ];
    check_refused(urls.map(get)).await;
}

#[tokio::test]
async fn who_is_away_hangs_up_or_speaks_otherwise_is_unreachable() {
    let away = format!("http://127.0.0.1:{}/?token=hidden", port(&listener()));
    let hangs_up = Peer::doing(|_| String::new());
    let breaks_off = Peer::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    let breaks_a_chunk = Peer::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab");
    let babbles = Peer::answering("220 mail.example ESMTP\r\n");
    let no_tls = Peer::doing(|stream| {
        stream.read_exact(&mut [0]).expect("the client begins");
        // Fails if the client has gone by now.
        let _ = stream.write_all(OK.as_bytes());
        String::new()
    });
    let secure = format!("https://127.0.0.1:{}/?token=hidden", no_tls.port);
    let client = client(Places::anywhere(true));
    for url in [
        away,
        hangs_up.url() + "?token=hidden",
        breaks_off.url(),
        breaks_a_chunk.url(),
        babbles.url(),
        secure,
    ] {
        let error = error(client.send(get(&url)).await);
        assert!(matches!(error, HttpError::Unreachable(_)), "{url}: {error:?}");
        assert!(!error.to_string().contains("hidden"), "{url}: {error}");
    }
}

#[tokio::test]
async fn no_cookie_is_kept() {
    let client = client(Places::anywhere(true));
    let first = Peer::answering("HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n");
    client.send(get(first.url())).await.expect("an answer");
    let second = Peer::answering(OK);
    client.send(get(second.url())).await.expect("an answer");
    assert!(!second.request().await.contains("cookie"));
}
