//! How a server ends: in an orderly way when told to, at once when it cannot begin.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::net::TcpStream;

use crate::harness::client::{Client, Heard};
use crate::harness::http::Http;
use crate::harness::server::{Server, Setup, free_port};
use crate::harness::wait::until;

// Pusher protocol, "Connection closure": 4200 says "reconnect at once", which clients do without any jitter.
#[tokio::test]
async fn on_sigterm_every_client_is_told_to_come_back_and_the_process_ends_well() {
    let mut server = Setup::default().config("shutdown_grace_period = 2").start().await;
    let mut clients = join_all((0..100).map(|_| Client::connect(server.port))).await;
    clients[0].subscribe("room").await;
    let told = Instant::now();
    server.terminate();
    let codes = join_all(clients.iter_mut().map(|client| client.expect_close())).await;
    assert_eq!(codes, [4200; 100]);
    // Each closes its own side now, so nobody has to be waited for.
    let ends = join_all(clients.iter_mut().map(|client| client.hear())).await;
    assert!(ends.iter().all(|end| *end == Heard::Ended));
    let status = server.ended().await;
    assert!(status.success(), "{status}");
    let took = told.elapsed();
    assert!(took < Duration::from_secs(2) + MARGIN, "it took {took:?}");
}

// A client that does not answer the close frame keeps the server alive for a moment, in which nobody else gets in.
#[tokio::test]
async fn nobody_gets_in_while_the_server_ends() {
    let mut server = Setup::default().config("shutdown_grace_period = 1").start().await;
    let mut mute = Client::connect(server.port).await;
    let mut kept = Http::connect(server.port).await.expect("it listens");
    assert_eq!(kept.get("/ready").await.expect("it answers").status, 200);
    server.terminate();
    // Its answer to the close frame is written by the next read, which never comes.
    assert_eq!(mute.expect_close().await, 4200);
    until("new connections to be refused", async || {
        match TcpStream::connect(("127.0.0.1", server.port)).await {
            Ok(_) => None,
            Err(_) => Some(()),
        }
    })
    .await;
    assert!(server.runs(), "it was still waiting for the mute client");
    // A balancer's connection that was there before learns that this instance is leaving.
    if let Ok(answer) = kept.get("/ready").await {
        assert_eq!(answer.status, 503);
    }
    let status = server.ended().await;
    assert!(status.success(), "{status}");
}

// An idle server has nothing to wait for.
#[tokio::test]
async fn without_connections_the_end_is_immediate() {
    let mut server = Setup::default().config("shutdown_grace_period = 60").start().await;
    let told = Instant::now();
    server.terminate();
    assert!(server.ended().await.success());
    assert!(told.elapsed() < MARGIN, "it took {:?}", told.elapsed());
}

#[tokio::test]
async fn a_second_server_on_the_port_says_so_and_fails() {
    let first = Server::start().await;
    let second = Setup::default().run_on(first.port).await;
    assert_eq!(second.status.code(), Some(1));
    let place = format!("cannot listen on 127.0.0.1:{}", first.port);
    assert!(second.errors.contains(&place), "{}", second.errors);
    assert!(second.errors.contains("in use"), "{}", second.errors);
    Client::connect(first.port).await.subscribe("room").await;
}

// Operators: unknown keys must not be dropped silently.
#[tokio::test]
async fn a_mistake_in_the_configuration_is_named_with_file_and_line() {
    // The harness has written four lines before.
    for (text, told) in [
        ("prot = 1", "5: unknown key `prot`; did you mean `port`?"),
        (
            "activity_timeout = 0",
            "5: `activity_timeout`: invalid value: integer `0`",
        ),
        (
            "\n[auth]\nchian = []",
            "7: unknown key `auth.chian`; did you mean `chain`?",
        ),
        ("[[apps]]\nid = \"1\"", "5: the key `apps[0].key` is missing"),
        (
            "[adapter]\ndrivr = \"x\"",
            "6: `adapter.drivr`: invalid type: string \"x\"",
        ),
    ] {
        let ended = Setup::default().config(text).run_on(free_port()).await;
        assert_eq!(ended.status.code(), Some(1), "{text}");
        let told = format!("jackfield.toml:{told}");
        assert!(ended.errors.contains(&told), "{text:?} gave {:?}", ended.errors);
    }
}

// The development secret is known to everybody, so no production server takes it.
#[tokio::test]
async fn production_takes_neither_no_app_nor_the_development_secret() {
    let app = "[[apps]]\nid = \"1\"\nkey = \"k\"\nsecret = \"app-secret\"";
    for (text, part) in [("", "no apps"), (app, "development secret")] {
        let ended = Setup::default().production().config(text).run_on(free_port()).await;
        assert_eq!(ended.status.code(), Some(1), "{text}");
        assert!(ended.errors.contains(part), "{text:?} gave {:?}", ended.errors);
    }
}

/// What a busy machine may add.
const MARGIN: Duration = Duration::from_secs(5);
