//! An instance is told to end while it is at work.

use std::time::Instant;

use super::redis_way;
use crate::harness::brokers::Broker;
use crate::harness::client::{Client, Heard};
use crate::harness::fleet::Fleet;
use crate::harness::load::Load;
use crate::harness::server::Setup;

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
