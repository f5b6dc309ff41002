//! An instance is told to end while it is at work.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::redis_way;
use crate::harness::brokers::Broker;
use crate::harness::client::{Client, Heard, data};
use crate::harness::fleet::Fleet;
use crate::harness::http::{DEVELOPMENT, Http, now};
use crate::harness::load::Load;
use crate::harness::server::Setup;
use crate::harness::wait::{GLANCE, in_time};

// First clients go, then the others are told: what was acknowledged last is still heard by all.
#[tokio::test]
async fn an_instance_that_ends_under_load_loses_nothing_that_it_acknowledged() {
    let redis = Broker::redis().await;
    let setup = || redis_way(&redis).setup(Setup::default().config("shutdown_grace_period = 2"));
    let mut fleet = Fleet::of(vec![setup(), setup(), setup()]).await;
    let ports = fleet.ports();
    let (began, load) = (Instant::now(), Load::start("room", &ports, &ports[..2]).await);
    for backend in 0..3 {
        load.hears(0, backend, began).await;
    }
    let mut leaving = fleet.servers.remove(2);
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = Client::connect(leaving.port).await;
        client.subscribe("elsewhere").await;
        clients.push(client);
    }

    leaving.terminate();
    let told = Instant::now();
    for client in &mut clients {
        assert_eq!(client.hear().await, Heard::Closed(4200));
    }
    assert!(leaving.ended().await.success());
    let ended = Instant::now();
    for backend in 0..2 {
        load.acknowledges(backend, ended).await;
        assert_eq!(
            load.answered(backend, 503, told, ended),
            0,
            "nobody waits for who says goodbye"
        );
    }
    let verdict = load.end().await;
    eprintln!("ended after {:?}; {verdict:?}", ended - told);
    assert_eq!(verdict.closed, [0, 0]);
}

// RFC 9112 §9.6: "close" says that the connection is closed behind this answer, so that no request is sent that nobody reads.
#[tokio::test]
async fn an_instance_that_ends_lets_nobody_in_and_answers_every_request() {
    let redis = Broker::redis().await;
    let setup = || redis_way(&redis).setup(Setup::default().config("shutdown_grace_period = 2"));
    let mut fleet = Fleet::of(vec![setup(), setup()]).await;
    let mut leaving = fleet.servers.remove(1);
    let port = leaving.port;
    let mut ann = Client::connect(fleet.port(0)).await;
    ann.subscribe("room").await;
    let mut crowd = join_all((0..CROWD).map(|_| Client::connect(port))).await;
    let mut backends = JoinSet::new();
    for backend in 0..BACKENDS {
        backends.spawn(publish_to_the_end(port, backend));
    }
    let mut next = [0; BACKENDS];
    while next.iter().any(|number| *number < BEFORE) {
        hear_next(&mut ann, &mut next).await;
    }

    leaving.terminate();
    let told = Instant::now();
    let mut refused_after = None;
    let refusing = async {
        while leaving.runs() {
            let came = in_time("an answer of the port", TcpStream::connect(("127.0.0.1", port))).await;
            assert!(came.is_err() || refused_after.is_none(), "somebody got in again");
            if came.is_err() && refused_after.is_none() {
                refused_after = Some(told.elapsed());
            }
            sleep(GLANCE).await;
        }
    };
    let (codes, ()) = tokio::join!(join_all(crowd.iter_mut().map(Client::expect_close)), refusing);
    assert_eq!(codes, [4200; CROWD]);
    assert!(leaving.ended().await.success());
    let ended = told.elapsed();
    let mut acknowledged = [0; BACKENDS];
    while let Some(done) = in_time("the backends to end", backends.join_next()).await {
        let (backend, count) = done.expect("a backend failed: see above");
        acknowledged[backend] = count;
    }
    while next != acknowledged {
        hear_next(&mut ann, &mut next).await;
    }
    eprintln!("refused after {refused_after:?}, ended after {ended:?}; {acknowledged:?} acknowledged and heard");
    assert!(refused_after.is_some(), "nobody was refused while it was ending");
}

/// Publishes one number after the other on connections that it keeps, until nobody takes them. How many were acknowledged.
async fn publish_to_the_end(port: u16, backend: usize) -> (usize, usize) {
    let mut number = 0;
    while let Ok(mut http) = Http::connect(port).await {
        let mut is_fresh = true;
        loop {
            let text = json!([backend, number]).to_string();
            let body = json!({ "name": "numbered", "channel": "room", "data": text }).to_string();
            let target = DEVELOPMENT.signed(&DEVELOPMENT.events_path(), &body, now());
            let answer = match http.post(&target, &body).await {
                Ok(answer) => answer,
                // It was in the kernel's hands when the port was closed: as good as refused.
                Err(_) if is_fresh => return (backend, number),
                Err(error) => panic!("request {number} of backend {backend} was not answered: {error}"),
            };
            assert_eq!(answer.status, 200, "{answer:?}");
            (number, is_fresh) = (number + 1, false);
            if answer.headers.get("connection").is_some_and(|word| word == "close") {
                break;
            }
        }
    }
    (backend, number)
}

/// Each number of each backend comes once, in their order.
async fn hear_next(client: &mut Client, next: &mut [usize; BACKENDS]) {
    let heard = data(&client.expect("numbered").await);
    let (backend, number) = (heard[0].as_u64().expect("a backend"), heard[1].as_u64());
    let expected = &mut next[backend as usize];
    assert_eq!(number, Some(*expected as u64), "backend {backend}");
    *expected += 1;
}

/// So many that closing them takes a second of the grace period.
const CROWD: usize = 800;
const BACKENDS: usize = 4;
/// What each backend has published when the end begins, at the least.
const BEFORE: usize = 100;
