//! What breaks: the broker, an instance, a name that is used twice.

use std::time::{Duration, Instant};

use serde_json::json;

use super::redis_way;
use crate::harness::brokers::Broker;
use crate::harness::client::{Client, Heard, data};
use crate::harness::fleet::{Fleet, Way, joined, learns};
use crate::harness::http::{Http, Publisher};
use crate::harness::server::{Setup, free_port};
use crate::harness::wait::until;

// The broker is away: publishes are refused at once and nothing is delivered; sockets stay; the instances stay in the balancer; and
// when it is back all goes on without a restart.
#[tokio::test]
async fn an_outage_of_the_broker_refuses_publishes_and_ends() {
    let mut redis = Broker::redis().await;
    outage(&redis_way(&redis), &mut redis).await;
}

#[tokio::test]
async fn an_outage_of_nats_is_no_other() {
    let mut nats = Broker::nats().await;
    outage(&Way::new("adapter-nats", "NATS_URL", &nats.url()), &mut nats).await;
}

async fn outage(way: &Way, broker: &mut Broker) {
    let fleet = Fleet::start(2, way).await;
    let mut client = Client::connect(fleet.port(1)).await;
    client.subscribe("room").await;
    broker.kill();
    let mut publisher = fleet.publisher(0).await;
    until("publishes to be refused", async || {
        let answer = publisher.try_publish("room", "lost?", "x").await;
        assert_ne!(answer.status, 500);
        (answer.status == 503 && answer.error().starts_with("nothing was delivered")).then_some(())
    })
    .await;
    let asked = Instant::now();
    assert_eq!(publisher.try_publish("room", "lost?", "x").await.status, 503);
    assert!(
        asked.elapsed() < Duration::from_millis(500),
        "a link that is known to be down refuses at once"
    );
    assert_eq!(
        fleet.servers[0].ready().await.0,
        200,
        "all instances at once would leave the balancer with nobody"
    );
    // Who is here already is answered at once; a channel that is new here cannot be followed.
    let mut other = Client::connect(fleet.port(1)).await;
    other.subscribe("room").await;
    broker.restart().await;
    until("publishes to go through", async || {
        (publisher.try_publish("room", "again", "x").await.status == 200).then_some(())
    })
    .await;
    for client in [&mut client, &mut other] {
        hears_again(client).await;
    }
    other.subscribe("new").await;
}

/// What was published in the moment of the fall, with an answer that nobody knows, may have arrived, or may be repaired now.
async fn hears_again(client: &mut Client) {
    loop {
        match client.hear().await {
            Heard::Text(message) if message["event"] == "again" => return,
            Heard::Text(message) if message["event"] == "lost?" => {}
            other => panic!("heard {other:?}"),
        }
    }
}

// A broker that is not there yet is waited for: nobody may connect, and nothing falls back to a single instance.
#[tokio::test]
async fn an_instance_waits_for_its_broker() {
    let port = free_port();
    let way = Way::new("adapter-redis", "REDIS_URL", &format!("redis://127.0.0.1:{port}"));
    let server = way.setup(Setup::default()).start().await;
    let (status, body) = server.ready().await;
    assert_eq!(status, 503);
    assert!(body.to_string().contains("adapter"), "{body}");
    let mut http = Http::connect(server.port).await.expect("it listens");
    let upgrade = "GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(http.send(upgrade).await.expect("an answer").status, 503);
    let answer = Publisher::new(server.port)
        .await
        .try_publish("room", "early", "x")
        .await;
    assert_eq!(answer.status, 503);
    let _redis = Broker::redis_at(port, "").await;
    joined(&server).await;
    Publisher::new(server.port).await.publish("room", "now", "x").await;
}

// An instance dies without a word: nobody is listed for it ten seconds later.
#[tokio::test]
async fn a_killed_instance_leaves_no_ghost() {
    let redis = Broker::redis().await;
    let mut fleet = Fleet::start(3, &redis_way(&redis)).await;
    let mut ann = Client::connect(fleet.port(0)).await;
    ann.join("presence-hall", "ann").await;
    let mut bob = Client::connect(fleet.port(2)).await;
    bob.join("presence-hall", "bob").await;
    ann.expect("pusher_internal:member_added").await;
    let died = Instant::now();
    drop(fleet.servers.remove(2));
    assert_eq!(
        data(&ann.expect("pusher_internal:member_removed").await)["user_id"],
        "bob"
    );
    assert!(died.elapsed() < Duration::from_secs(10), "{:?}", died.elapsed());
    let mut publisher = fleet.publisher(1).await;
    learns(
        &mut publisher,
        "channels/presence-hall/users",
        &json!({ "users": [{ "id": "ann" }] }),
    )
    .await;
    publisher.publish("presence-hall", "still here", "x").await;
    ann.expect("still here").await;
}

// An instance is suspended for so long that the others take it for dead, and goes on: its sockets stay, and it is met again.
#[tokio::test]
async fn a_suspended_instance_is_met_again() {
    let redis = Broker::redis().await;
    let fleet = Fleet::start(2, &redis_way(&redis)).await;
    let mut ann = Client::connect(fleet.port(0)).await;
    ann.join("presence-hall", "ann").await;
    let mut bob = Client::connect(fleet.port(1)).await;
    bob.join("presence-hall", "bob").await;
    ann.expect("pusher_internal:member_added").await;
    fleet.servers[1].suspend();
    assert_eq!(
        data(&ann.expect("pusher_internal:member_removed").await)["user_id"],
        "bob"
    );
    fleet.servers[1].resume();
    assert_eq!(
        data(&ann.expect("pusher_internal:member_added").await)["user_id"],
        "bob"
    );
    let mut publisher = fleet.publisher(0).await;
    until("the suspended instance to hear again", async || {
        (publisher.try_publish("presence-hall", "again", "x").await.status == 200).then_some(())
    })
    .await;
    // He is still connected, or was told to connect anew because something may have been lost for him.
    assert!(matches!(bob.hear().await, Heard::Text(_) | Heard::Closed(4200)));
}

// An instance that is told to end says so: nobody waits for its expiry.
#[tokio::test]
async fn an_instance_that_leaves_is_gone_at_once() {
    let redis = Broker::redis().await;
    let hasty = || redis_way(&redis).setup(Setup::default().config("shutdown_grace_period = 0"));
    let mut fleet = Fleet::of(vec![hasty(), hasty()]).await;
    let mut ann = Client::connect(fleet.port(0)).await;
    ann.join("presence-hall", "ann").await;
    let mut bob = Client::connect(fleet.port(1)).await;
    bob.join("presence-hall", "bob").await;
    ann.expect("pusher_internal:member_added").await;
    let mut leaving = fleet.servers.remove(1);
    leaving.terminate();
    assert_eq!(
        data(&ann.expect("pusher_internal:member_removed").await)["user_id"],
        "bob"
    );
    assert!(leaving.ended().await.success());
    // Nobody is there any more who would have to hear it.
    fleet.publisher(0).await.publish("presence-hall", "alone", "x").await;
    ann.expect("alone").await;
}

// Two instances of one name: the second one refuses to run, and says why.
#[tokio::test]
async fn a_name_is_used_once() {
    let redis = Broker::redis().await;
    let named = || {
        redis_way(&redis)
            .setup(Setup::default())
            .env("INSTANCE_PROCESS_ID", "node-1")
    };
    let fleet = Fleet::of(vec![named()]).await;
    let ended = named().patience(Duration::from_secs(30)).run_on(free_port()).await;
    assert!(!ended.status.success());
    assert!(ended.errors.contains("uses this one's name"), "{}", ended.errors);
    fleet.publisher(0).await.publish("room", "unmoved", "x").await;
}
