//! Two deployments that share a broker and a prefix by mistake.

use super::redis_way;
use crate::harness::brokers::Broker;
use crate::harness::client::Client;
use crate::harness::fleet::Fleet;
use crate::harness::http::{Keys, Publisher};
use crate::harness::server::{Server, Setup};
use crate::harness::wait::until;

const OTHER: Keys = Keys {
    id: "2002",
    key: "other-key",
    secret: "other-secret",
};

/// An instance of this name with these apps beside the development app.
fn named(redis: &Broker, name: &str, apps: &str) -> Setup {
    let setup = redis_way(redis).setup(Setup::default().app("").config(apps).with_metrics());
    setup.env("INSTANCE_PROCESS_ID", name)
}

fn other() -> String {
    let Keys { id, key, secret } = OTHER;
    format!("[[apps]]\nid = \"{id}\"\nkey = \"{key}\"\nsecret = \"{secret}\"")
}

// Nothing breaks: it may be that apps are being changed, one instance after the other.
#[tokio::test]
async fn instances_with_other_apps_are_noticed_and_go_on() {
    let redis = Broker::redis().await;
    let shop = named(&redis, "shop", "");
    let mut fleet = Fleet::of(vec![shop, named(&redis, "forum", &other())]).await;
    for (server, own, others) in [
        (&fleet.servers[0], "shop", "forum"),
        (&fleet.servers[1], "forum", "shop"),
    ] {
        server.reaches("jackfield_cluster_neighbours", 1).await;
        warned(server, own, others).await;
        assert_eq!(server.metric("jackfield_cluster_peers").await, 1);
    }
    // What both have in common is common to both.
    let mut client = Client::connect(fleet.port(1)).await;
    client.subscribe("room").await;
    fleet.publisher(0).await.publish("room", "common", "x").await;
    client.expect("common").await;
    let mut own = Client::connect_as(fleet.port(1), OTHER.key).await;
    own.subscribe("room").await;
    let mut backend = Publisher::of(OTHER, fleet.port(1)).await;
    backend.publish("room", "own", "x").await;
    own.expect("own").await;

    // Changed to the same apps: all is well, and was said once.
    let changed = named(&redis, "shop", &other());
    let old = fleet.servers.remove(0);
    fleet.servers.push(changed.start_in_place_of(old).await);
    fleet.is_ready().await;
    for server in &fleet.servers {
        server.reaches("jackfield_cluster_peers", 1).await;
        server.reaches("jackfield_cluster_neighbours", 0).await;
    }
    assert_eq!(warnings(&fleet.servers[0]).count(), 1);
    assert_eq!(warnings(&fleet.servers[1]).count(), 0);
}

async fn warned(server: &Server, own: &str, others: &str) {
    until("a warning", async || warnings(server).next().map(drop)).await;
    let warning = warnings(server).next().unwrap_or_default();
    for name in [own, others] {
        assert!(warning.contains(name), "{warning}");
    }
}

fn warnings(server: &Server) -> impl Iterator<Item = String> {
    let lines: Vec<String> = server.errors().lines().map(str::to_owned).collect();
    lines
        .into_iter()
        .filter(|line| line.contains("two deployments need two prefixes"))
}

// host/docs/scaling.md: who has another key is not heard, whatever it says.
#[tokio::test]
async fn an_instance_with_another_key_is_a_stranger() {
    let redis = Broker::redis().await;
    let keyed = |key: &str| {
        redis_way(&redis)
            .setup(Setup::default().with_metrics())
            .env("JACKFIELD_CLUSTER_KEY", key)
    };
    let (ours, theirs) = ("the-key-of-this-cluster", "the-key-of-that-cluster");
    let fleet = Fleet::of(vec![keyed(ours), keyed(ours), keyed(theirs)]).await;
    let mut clients = Vec::new();
    for instance in 0..3 {
        let mut client = Client::connect(fleet.port(instance)).await;
        client.subscribe("room").await;
        clients.push(client);
    }
    fleet.publisher(2).await.publish("room", "forged", "x").await;
    clients[2].expect("forged").await;
    fleet.publisher(0).await.publish("room", "sealed", "x").await;
    clients[0].expect("sealed").await;
    clients[1].expect("sealed").await;
    for (server, peers) in fleet.servers.iter().zip([1, 1, 0]) {
        assert_eq!(server.metric("jackfield_cluster_peers").await, peers);
        assert!(server.metric("jackfield_cluster_malformed_total").await > 0);
    }
}
