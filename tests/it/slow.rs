//! One slow reader must not hold up a channel: it is cut, and everybody else hears everything.

use futures_util::future::join_all;
use jackfield_protocol::close::Close;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;
use tokio::io::AsyncReadExt as _;

use crate::harness::client::Client;
use crate::harness::http::Publisher;
use crate::harness::server::Setup;
use crate::harness::wait::{in_time, until};

// ARCHITECTURE.md, "Outbox": "A queue over its limit closes that connection (4100), never slows a channel." RFC 6455 §5: a
// frame once begun is finished, so whatever the slow client still finds in its kernel can be read.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_nobody_else_notices() {
    is_cut_alone("").await;
}

// host/docs/operating.md: "whether an event is written to many sockets with one system call, where the kernel allows it".
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_where_sockets_are_written_one_by_one() {
    is_cut_alone("io_uring = false\n").await;
}

async fn is_cut_alone(way: &str) {
    // An app whose subscribers are not told how many they are: every byte on the wire is known.
    let app = "[[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"app-secret\"";
    let config = format!("{way}{app}");
    let server = Setup::default().config(&config).with_metrics().start().await;
    let without = server.errors().contains("the kernel does not offer io_uring");
    assert!(
        !without,
        "io_uring is needed: Linux 6.1 or later, and no seccomp profile that denies it"
    );
    let mut slow = Client::narrow(server.port).await;
    slow.subscribe("room").await;
    let mut others = join_all((0..OTHERS).map(|_| Client::connect(server.port))).await;
    join_all(others.iter_mut().map(|other| other.subscribe("room"))).await;
    let mut publisher = Publisher::new(server.port).await;

    // The kernel holds some MiB for the slow one before its queue begins to fill, so go on until it is cut.
    let mut sent = 0;
    let cut = async || server.metric("jackfield_slow_consumers_cut_total").await;
    while cut().await == 0 {
        assert!(sent < MOST, "after {sent} events the slow client is still not cut");
        for _ in 0..ROUND {
            publisher.publish("room", "count", &event(sent)).await;
            let heard = join_all(others.iter_mut().map(|other| other.expect("count"))).await;
            for message in heard {
                assert_eq!(message["data"], event(sent));
            }
            sent += 1;
        }
    }
    assert_eq!(cut().await, 1);

    let found = in_time("the end of the slow client's stream", read_to_the_end(slow)).await;
    let whole = check(&found);
    assert!(whole < sent, "it was cut before it had everything: {whole} of {sent}");
    server.reaches("jackfield_connected", OTHERS).await;
    publisher.publish("room", "count", &event(sent)).await;
    join_all(others.iter_mut().map(|other| other.expect("count"))).await;
}

// A slow reader that leaves without a word is cleared away like any other.
#[tokio::test]
async fn a_client_that_stopped_reading_and_then_left_is_forgotten() {
    let server = Setup::default().with_metrics().start().await;
    let mut slow = Client::narrow(server.port).await;
    slow.subscribe("room").await;
    let mut publisher = Publisher::new(server.port).await;
    until("the slow client to be cut", async || {
        for number in 0..ROUND {
            publisher.publish("room", "count", &event(number)).await;
        }
        (server.metric("jackfield_slow_consumers_cut_total").await > 0).then_some(())
    })
    .await;
    drop(slow);
    server.reaches("jackfield_connected", 0).await;
    server.reaches("jackfield_subscriptions", 0).await;
}

/// How many whole events were still there, in order. What follows them is the farewell or, for one that comes too late for
/// it, the beginning of the next event: nothing is torn and nothing is left out.
fn check(found: &[u8]) -> usize {
    let (mut rest, mut count) = (found, 0);
    loop {
        let next = frame(count);
        match rest.strip_prefix(next.as_slice()) {
            Some(behind) => rest = behind,
            None => {
                let farewell = websocket::close_frame(Close::OutboxFull);
                let shown = String::from_utf8_lossy(&rest[..rest.len().min(200)]);
                let is_end = rest == farewell.as_ref() || next.starts_with(rest);
                assert!(is_end, "behind {count} events stands {shown:?}");
                return count;
            }
        }
        count += 1;
    }
}

/// The bytes of an event on their way to a subscriber.
fn frame(number: usize) -> Vec<u8> {
    let room = ChannelName::parse("room").expect("a good name");
    websocket::text_frame(frames::event(&room, "count", &event(number)).as_bytes()).to_vec()
}

/// What the kernel still holds, up to the end of the stream.
async fn read_to_the_end(slow: Client) -> Vec<u8> {
    let mut found = Vec::new();
    let mut stream = slow.socket.into_inner();
    // A reset ends it as well.
    let _ = stream.read_to_end(&mut found).await;
    found
}

/// About 8 KB, each one different.
fn event(number: usize) -> String {
    format!("{number:08}").repeat(1_000)
}

/// Those who read: enough on each event loop that they are written together.
const OTHERS: u64 = 23;

/// Events between two looks at the metrics.
const ROUND: usize = 50;

/// Events after which the queue must have been full: 40 MB, several times what kernel and queue hold together.
const MOST: usize = 5_000;
