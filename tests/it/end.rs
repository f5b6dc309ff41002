//! How a server ends: in an orderly way when told to, at once when it cannot begin.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::client::{Client, Heard};
use crate::harness::http::{DEVELOPMENT, Http, now};
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
        TcpStream::connect(("127.0.0.1", server.port)).await.err().map(drop)
    })
    .await;
    assert!(server.runs(), "it was still waiting for the mute client");
    // A balancer's connection that was there before learns that this instance is leaving, and that nobody answers there any more.
    let answer = kept.get("/ready").await.expect("it answers as long as it is there");
    assert_eq!((answer.status, answer.headers["connection"].as_str()), (503, "close"));
    assert!(kept.get("/ready").await.is_err());
    let status = server.ended().await;
    assert!(status.success(), "{status}");
}

// RFC 9110 §10.1.1: after 100 the server waits for the body. RFC 9112 §9.6: it answers before it closes.
#[tokio::test]
async fn a_request_that_is_under_way_at_the_end_is_answered() {
    let mut server = Server::start().await;
    let http = Http::connect(server.port).await.expect("it listens");
    let mut stream = http.into_stream();
    let body = r#"{"name":"last","channel":"room","data":"x"}"#;
    let target = DEVELOPMENT.signed(&DEVELOPMENT.events_path(), body, now());
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut begun = [0; 25];
    stream.read_exact(&mut begun).await.expect("it wants the body");
    assert_eq!(begun, *b"HTTP/1.1 100 Continue\r\n\r\n");
    server.terminate();
    until("new connections to be refused", async || {
        TcpStream::connect(("127.0.0.1", server.port)).await.err().map(drop)
    })
    .await;
    stream.write_all(body.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers and closes");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"),
        "{answer}"
    );
    assert!(server.ended().await.success());
}

// Linux, accept(2), EMFILE: without file descriptors nobody gets in, and the end is as orderly as ever.
#[tokio::test]
async fn a_server_without_file_descriptors_ends_as_any_other() {
    let mut server = Setup::default().config("shutdown_grace_period = 1").start().await;
    let mut client = Client::connect(server.port).await;
    server.leaves_no_more_files();
    // More than it may find again for what it had open for a moment.
    let waiting = join_all((0..20).map(|_| TcpStream::connect(("127.0.0.1", server.port)))).await;
    until("the server to have no file descriptors left", async || {
        server.errors().contains("cannot accept connections").then_some(())
    })
    .await;
    server.terminate();
    assert_eq!(client.expect_close().await, 4200);
    assert_eq!(client.hear().await, Heard::Ended);
    let status = server.ended().await;
    assert!(status.success(), "{status}");
    drop(waiting);
}

// An idle server has nothing to wait for, and a connection on which nothing is asked is no work.
#[tokio::test]
async fn without_connections_the_end_is_immediate() {
    let mut server = Setup::default().config("shutdown_grace_period = 60").start().await;
    let mut kept = Http::connect(server.port).await.expect("it listens");
    assert_eq!(kept.get("/live").await.expect("it answers").status, 200);
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
