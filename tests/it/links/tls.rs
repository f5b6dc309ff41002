//! Brokers that speak TLS, ask for certificates, and show their own.

use jackfield_links::broker::{LinkEvent, NatsOptions, RedisOptions, Secret, TlsOptions};
use jackfield_links::broker::{open_nats, open_redis};

use super::witness::Witness;
use crate::harness::brokers::Broker;
use crate::harness::certificates::Certificates;

/// Opens links with these options, each of which must carry a message, or say why it does not.
async fn known_clients_are_let_in_and_others_are_not(
    certificates: &Certificates,
    open: impl Fn(TlsOptions) -> Witness,
) {
    let mut link = open(certificates.known_client());
    link.sees(LinkEvent::Up).await;
    link.follow(&["s"]);
    link.sees(LinkEvent::Following("s".to_owned())).await;
    link.publish(&[("s", b"in secret")]);
    assert_eq!(link.messages("s", 1).await, [b"in secret"]);
    let reason = open(certificates.unknown_client()).goes_down().await;
    assert!(reason.contains("127.0.0.1"), "{reason}");
    let others = Certificates::new();
    let reason = open(others.known_client()).goes_down().await;
    assert!(reason.contains("invalid peer certificate"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_with_tls_and_certificates_lets_in_whom_it_knows() {
    let certificates = Certificates::new();
    let broker = Broker::redis_tls(&certificates).await;
    known_clients_are_let_in_and_others_are_not(&certificates, |tls| {
        let options = RedisOptions {
            publish_url: Secret::new(format!("rediss://127.0.0.1:{}", broker.port)),
            tls,
            ..RedisOptions::default()
        };
        Witness::new(|tell| open_redis(&options, tell).expect("the options are right"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_with_tls_and_certificates_lets_in_whom_it_knows() {
    let certificates = Certificates::new();
    let broker = Broker::nats_tls(&certificates).await;
    known_clients_are_let_in_and_others_are_not(&certificates, |tls| {
        let options = NatsOptions {
            servers: vec![Secret::new(format!("tls://127.0.0.1:{}", broker.port))],
            tls,
            ..NatsOptions::default()
        };
        Witness::new(|tell| open_nats(&options, tell).expect("the options are right"))
    })
    .await;
}
