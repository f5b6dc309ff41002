//! Several instances behind no balancer at all: what is done at one is seen at the others, as if they were one.

mod balanced;
mod deaths;
mod departure;
mod faults;
mod interest;
mod libraries;
mod links_fail;
mod moves;
mod neighbours;
mod old_cluster;
mod outage;
pub(crate) mod swaps;
mod tls;
mod told;

use serde_json::json;

use crate::harness::brokers::{Broker, NatsCluster, RedisCluster};
use crate::harness::client::{Client, data};
use crate::harness::fleet::{Fleet, Way, learns};
use crate::harness::server::Setup;

#[tokio::test]
async fn over_redis_instances_are_one() {
    let redis = Broker::redis().await;
    are_one(&redis_way(&redis)).await;
}

#[tokio::test]
async fn over_a_redis_cluster_instances_are_one() {
    let cluster = RedisCluster::start().await;
    let way = Way::new("adapter-redis-cluster", "REDIS_CLUSTER_NODES", &cluster.nodes[0].url());
    are_one(&way).await;
}

#[tokio::test]
async fn over_nats_instances_are_one() {
    let nats = Broker::nats().await;
    are_one(&Way::new("adapter-nats", "NATS_URL", &nats.url())).await;
}

#[tokio::test]
async fn over_a_nats_cluster_instances_are_one() {
    let cluster = NatsCluster::start().await;
    let urls: Vec<String> = cluster.servers.iter().map(Broker::url).collect();
    are_one(&Way::new("adapter-nats", "NATS_SERVERS", &urls.join(","))).await;
}

fn redis_way(redis: &Broker) -> Way {
    Way::new("adapter-redis", "REDIS_URL", &redis.url())
}

/// All that three instances promise together while nothing breaks.
async fn are_one(way: &Way) {
    let fleet = Fleet::of((0..3).map(|_| way.setup(Setup::default().with_metrics())).collect()).await;
    events_reach_subscribers_of_every_instance(&fleet).await;
    clients_reach_each_other(&fleet).await;
    members_are_counted_once(&fleet).await;
    users_are_found_wherever_they_are(&fleet).await;
    watchers_hear_of_users_elsewhere(&fleet).await;
    the_last_event_of_a_cache_channel_is_known_everywhere(&fleet).await;
    interest::traffic_goes_where_subscribers_are(&fleet).await;
    libraries::real_clients_see_one_server(&fleet).await;
    for server in &fleet.servers {
        server.reaches("jackfield_cluster_peers", 2).await;
        assert_eq!(
            server.metric("jackfield_cluster_closes_total").await,
            0,
            "nothing was lost"
        );
    }
}

// Published at each in turn: every subscriber gets all of them, once, those of one instance in their order, and whoever is excepted
// none.
async fn events_reach_subscribers_of_every_instance(fleet: &Fleet) {
    let mut clients = Vec::new();
    for instance in 0..3 {
        let mut client = Client::connect(fleet.port(instance)).await;
        client.subscribe("room").await;
        clients.push(client);
    }
    for origin in 0..3 {
        let mut publisher = fleet.publisher(origin).await;
        for number in 0..50 {
            publisher
                .publish("room", "numbered", &json!([origin, number]).to_string())
                .await;
        }
    }
    for client in &mut clients {
        let mut next = [0, 0, 0];
        for _ in 0..150 {
            let heard = data(&client.expect("numbered").await);
            let (origin, number) = (heard[0].as_u64().expect("an origin"), heard[1].as_u64());
            assert_eq!(number, Some(next[origin as usize]), "in order, once");
            next[origin as usize] += 1;
        }
    }
    let excepted = clients[1].socket_id.clone();
    let mut publisher = fleet.publisher(0).await;
    let body = json!({ "name": "for others", "channel": "room", "data": "x", "socket_id": excepted });
    assert_eq!(publisher.post(&body.to_string()).await.status, 200);
    publisher.publish("room", "for all", "x").await;
    clients[0].expect("for others").await;
    clients[2].expect("for others").await;
    clients[1].expect("for all").await;
    let wanted = json!({ "occupied": true, "subscription_count": 3 });
    learns(&mut fleet.publisher(2).await, "channels/room", &wanted).await;
    drop(clients);
    learns(
        &mut fleet.publisher(2).await,
        "channels/room",
        &json!({ "occupied": false, "subscription_count": 0 }),
    )
    .await;
}

async fn clients_reach_each_other(fleet: &Fleet) {
    let mut ann = Client::connect(fleet.port(0)).await;
    let mut bob = Client::connect(fleet.port(1)).await;
    for client in [&mut ann, &mut bob] {
        client.subscribe("private-talk").await;
    }
    ann.send(json!({ "event": "client-hello", "channel": "private-talk", "data": { "from": "ann" } }))
        .await;
    assert_eq!(bob.expect("client-hello").await["data"], json!({ "from": "ann" }));
}

// Pusher documents, "Presence channels": `member_added` once per user, `member_removed` with the last connection, wherever they are.
async fn members_are_counted_once(fleet: &Fleet) {
    let mut ann = Client::connect(fleet.port(0)).await;
    ann.join("presence-hall", "ann").await;
    // Who comes before that is heard of finds an empty list, and is told of Ann in the next moment.
    let address = "channels/presence-hall/users";
    learns(
        &mut fleet.publisher(1).await,
        address,
        &json!({ "users": [{ "id": "ann" }] }),
    )
    .await;
    let mut bob = Client::connect(fleet.port(1)).await;
    let members = bob.join("presence-hall", "bob").await;
    assert_eq!(members["ids"], json!(["ann", "bob"]));
    assert_eq!(
        data(&ann.expect("pusher_internal:member_added").await)["user_id"],
        "bob"
    );
    let mut again = Client::connect(fleet.port(2)).await;
    let members = again.join("presence-hall", "bob").await;
    assert_eq!(members["count"], 2);
    // A user who goes from one instance to another is there all the time for those who heard of the coming before the going.
    let wanted = json!({ "occupied": true, "user_count": 2, "subscription_count": 3 });
    for instance in 0..3 {
        let mut publisher = fleet.publisher(instance).await;
        learns(&mut publisher, "channels/presence-hall", &wanted).await;
        let users = json!({ "users": [{ "id": "ann" }, { "id": "bob" }] });
        learns(&mut publisher, "channels/presence-hall/users", &users).await;
    }
    drop(bob);
    learns(
        &mut fleet.publisher(0).await,
        "channels/presence-hall",
        &json!({ "occupied": true, "user_count": 2, "subscription_count": 2 }),
    )
    .await;
    drop(again);
    assert_eq!(
        data(&ann.expect("pusher_internal:member_removed").await)["user_id"],
        "bob"
    );
    let mut carl = Client::connect(fleet.port(1)).await;
    carl.join("presence-hall", "carl").await;
    assert_eq!(
        data(&ann.expect("pusher_internal:member_added").await)["user_id"],
        "carl"
    );
}

async fn users_are_found_wherever_they_are(fleet: &Fleet) {
    let mut ann = Client::connect(fleet.port(0)).await;
    ann.sign_in("ann").await;
    ann.subscribe("#server-to-user-ann").await;
    let mut publisher = fleet.publisher(1).await;
    publisher.publish("#server-to-user-ann", "for you", "x").await;
    ann.expect("for you").await;
    let answer = publisher.post_to("users/ann/terminate_connections", "{}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(ann.expect_close().await, 4009);
}

// Pusher documents, "Watchlist events": first the present state, then changes.
async fn watchers_hear_of_users_elsewhere(fleet: &Fleet) {
    let mut bob = Client::connect(fleet.port(1)).await;
    bob.sign_in("bob").await;
    let mut ann = Client::connect(fleet.port(0)).await;
    // Bob's signin is known here a moment later: until then he is told to be offline first.
    ann.ask_to_sign_in(&json!({ "id": "ann", "watchlist": ["bob"] })).await;
    ann.expect("pusher:signin_success").await;
    loop {
        let events = data(&ann.expect("pusher_internal:watchlist_events").await);
        if events["events"][0]["name"] == "online" {
            break;
        }
    }
    drop(bob);
    let events = data(&ann.expect("pusher_internal:watchlist_events").await);
    assert_eq!(
        events,
        json!({ "events": [{ "name": "offline", "user_ids": ["bob"] }] })
    );
}

// Pusher documents, "Cache channels": whoever subscribes gets the last event, also where nobody has subscribed before.
async fn the_last_event_of_a_cache_channel_is_known_everywhere(fleet: &Fleet) {
    let mut publisher = fleet.publisher(0).await;
    publisher.publish("cache-news", "old", "x").await;
    publisher.publish("cache-news", "new", "y").await;
    let mut other = fleet.publisher(2).await;
    crate::harness::wait::until("the other instances to keep it", async || {
        let answer = other.get("channels/cache-news", &[("info", "cache")]).await.json();
        (answer["cache"]["data"] == "y").then_some(())
    })
    .await;
    let mut ann = Client::connect(fleet.port(2)).await;
    ann.subscribe("cache-news").await;
    ann.expect("new").await;
}
