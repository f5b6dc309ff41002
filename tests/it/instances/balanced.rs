//! Three instances behind a real balancer without stickiness: clients and backends see one server.

use std::collections::BTreeSet;

use serde_json::Value;

use super::redis_way;
use crate::harness::balancer::Balancer;
use crate::harness::brokers::Broker;
use crate::harness::client::{Client, data};
use crate::harness::fleet::Fleet;
use crate::harness::http::Publisher;
use crate::harness::server::Setup;

async fn fleet(redis: &Broker) -> Fleet {
    let trusting = || {
        redis_way(redis).setup(Setup::default().config("trusted_proxies = [\"127.0.0.1\"]\nshutdown_grace_period = 0"))
    };
    Fleet::of(vec![trusting(), trusting(), trusting()]).await
}

/// Clients that are spread over the instances, and a backend that is as well: everybody hears everything, once.
async fn all_hear_all(port: u16) {
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(port).await;
        client.subscribe("room").await;
        clients.push(client);
    }
    for number in 0..30 {
        // A connection of its own each time, so that the balancer chooses anew.
        let mut publisher = Publisher::new(port).await;
        publisher.publish("room", "numbered", &number.to_string()).await;
    }
    for client in &mut clients {
        let mut heard = BTreeSet::new();
        for _ in 0..30 {
            let number: Value = data(&client.expect("numbered").await);
            assert!(heard.insert(number.as_u64()), "{number} came twice");
        }
    }
}

// The balancer of the example: `least_conn`, and headers as the guides have them.
#[tokio::test]
async fn nginx_needs_no_stickiness() {
    let redis = Broker::redis().await;
    let fleet = fleet(&redis).await;
    let nginx = Balancer::nginx(&fleet, |config| config).await;
    all_hear_all(nginx.port).await;
}

// Some guides send `Connection: upgrade` with every request, also where nothing is to be upgraded.
#[tokio::test]
async fn a_proxy_that_always_says_upgrade_is_understood() {
    let redis = Broker::redis().await;
    let fleet = fleet(&redis).await;
    let always = |config: String| {
        let changed = config.replace("Connection $connection_upgrade;", "Connection \"upgrade\";");
        assert_ne!(changed, config);
        changed.replace("least_conn;", "")
    };
    let nginx = Balancer::nginx(&fleet, always).await;
    all_hear_all(nginx.port).await;
}

// HAProxy asks `/ready`: an instance that ends gets nobody any more, and nobody notices.
#[tokio::test]
async fn an_instance_leaves_haproxy_without_a_trace() {
    let redis = Broker::redis().await;
    let mut fleet = fleet(&redis).await;
    let haproxy = Balancer::haproxy(&fleet).await;
    all_hear_all(haproxy.port).await;
    let mut leaving = fleet.servers.remove(1);
    leaving.terminate();
    leaving.ended().await;
    // Until it has asked again, the balancer sends every third to where nobody is, and on to the next.
    all_hear_all(haproxy.port).await;
    let answer = Publisher::new(haproxy.port).await.get("channels", &[]).await;
    assert_eq!(answer.status, 200);
}
