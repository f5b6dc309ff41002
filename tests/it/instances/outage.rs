//! The broker is away for a while, under load.

use std::time::{Duration, Instant};

use super::redis_way;
use crate::harness::brokers::Broker;
use crate::harness::fleet::{Fleet, Way};
use crate::harness::load::Load;
use crate::harness::server::Setup;

#[tokio::test]
async fn redis_dies_under_load_and_nothing_acknowledged_is_lost() {
    let mut redis = Broker::redis().await;
    dies_under_load(&redis_way(&redis), &mut redis).await;
}

#[tokio::test]
async fn nats_dies_under_load_and_nothing_acknowledged_is_lost() {
    let mut nats = Broker::nats().await;
    dies_under_load(&Way::new("adapter-nats", "NATS_URL", &nats.url()), &mut nats).await;
}

async fn dies_under_load(way: &Way, broker: &mut Broker) {
    let setup = || way.setup(Setup::default().with_metrics());
    let mut fleet = Fleet::of(vec![setup(), setup(), setup()]).await;
    let load = Load::over(&fleet).await;

    broker.kill();
    let killed = Instant::now();
    for instance in 0..3 {
        load.refuses(instance, killed).await;
    }
    tokio::time::sleep(OUTAGE).await;
    let restarted = Instant::now();
    for instance in 0..3 {
        assert_eq!(
            load.answered(instance, 200, killed, restarted),
            0,
            "nobody could take it"
        );
        assert!(load.answered(instance, 503, killed, restarted) > 1);
    }
    broker.restart().await;
    let acknowledged = load.everybody_is_acknowledged(restarted).await;
    let heard = load.everybody_hears(restarted).await;
    let verdict = load.end().await;
    eprintln!("back after {OUTAGE:?}: acknowledged again after {acknowledged:?}, heard after {heard:?}; {verdict:?}");
    assert_eq!(
        verdict.closed,
        [0, 0, 0],
        "what the broker took with it is still with those who published it"
    );
    for server in &mut fleet.servers {
        assert!(server.runs());
        assert_eq!(server.metric("jackfield_cluster_peers_expired_total").await, 0);
    }
}

/// Long enough for the pauses between two attempts to connect to reach their limit.
const OUTAGE: Duration = Duration::from_secs(3);
