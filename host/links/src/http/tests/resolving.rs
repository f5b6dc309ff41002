//! Names: what they mean decides.

use std::net::{IpAddr, SocketAddr};

use super::super::resolver::usable;
use super::super::{HttpError, Places};
use super::peer::{Peer, listener, port, was_reached};
use super::{client, error, get};

#[tokio::test]
async fn a_name_that_means_loopback_is_denied_before_anything_is_sent() {
    let listener = listener();
    let client = client(Places::anywhere(false));
    for host in ["localhost", "LOCALHOST"] {
        let error = error(client.send(get(format!("http://{host}:{}/", port(&listener)))).await);
        assert!(matches!(error, HttpError::Denied(_)), "{host}: {error:?}");
        assert!(error.to_string().contains("localhost"), "{error}");
    }
    // The dot ends the name; not every operating system knows it then.
    let error = error(
        client
            .send(get(format!("http://localhost.:{}/", port(&listener))))
            .await,
    );
    assert!(
        matches!(error, HttpError::Denied(_) | HttpError::Unreachable(_)),
        "{error:?}"
    );
    assert!(!was_reached(&listener));
}

#[tokio::test]
async fn a_name_is_resolved_and_keeps_its_port() {
    let peer = Peer::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let (name, port) = ("localhost", peer.port);
    let response = client(Places::anywhere(true))
        .send(get(format!("http://{name}:{port}/")))
        .await;
    assert_eq!(response.map(|response| response.status), Ok(200));
    assert!(peer.request().await.contains(&format!("host: {name}:{port}\r\n")));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_unreachable() {
    // RFC 6761: `.invalid` never resolves.
    let error = error(
        client(Places::anywhere(false))
            .send(get("http://nowhere.invalid/"))
            .await,
    );
    assert!(matches!(error, HttpError::Unreachable(_)), "{error:?}");
}

#[test]
fn of_public_and_private_addresses_the_public_ones_are_used() {
    let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
        let ips = texts.iter().map(|text| text.parse::<IpAddr>().expect("an address"));
        ips.map(|ip| SocketAddr::new(ip, 0)).collect()
    };
    let mixed = addresses(&[
        "10.0.0.1",
        "8.8.8.8",
        "::1",
        "::ffff:127.0.0.1",
        "2606:4700::1111",
        "169.254.169.254",
    ]);
    let public = addresses(&["8.8.8.8", "2606:4700::1111"]);
    assert_eq!(usable("x.example", mixed.clone(), false).ok(), Some(public));
    assert_eq!(usable("x.example", mixed.clone(), true).ok(), Some(mixed));
    let error = usable("x.example", addresses(&["10.0.0.1", "::1"]), false).expect_err("none is public");
    assert_eq!(error.to_string(), "x.example means no public address");
}
