//! Instances get the traffic of channels that they have subscribers of, and no other.

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::fleet::Fleet;
use crate::harness::http::Publisher;
use crate::harness::server::Server;
use crate::harness::wait::until;

// host/docs/scaling.md: "Of messages it gets those of channels that it has subscribers of": a busy channel of the first two instances
// costs the third one nothing, and nobody anything once its subscribers are gone.
pub(super) async fn traffic_goes_where_subscribers_are(fleet: &Fleet) {
    let mut near = Watched::of(fleet, 1).await;
    let mut idle = Watched::of(fleet, 2).await;
    let mut publisher = fleet.publisher(0).await;
    let mut client = Client::connect(fleet.port(1)).await;
    client.subscribe("busy").await;
    for _ in 0..EVENTS / BATCH {
        publish_many(&mut publisher, "busy").await;
    }
    for _ in 0..EVENTS {
        client.expect("many").await;
    }
    assert_eq!(near.received(&mut publisher).await, EVENTS);
    assert_eq!(idle.received(&mut publisher).await, 0);
    drop(client);
    // The instance follows the channel for a little longer, in case somebody comes again.
    until("the channel to be let go", async || {
        publisher.publish("busy", "still there?", "x").await;
        (near.received(&mut publisher).await == 0).then_some(())
    })
    .await;
    publish_many(&mut publisher, "busy").await;
    assert_eq!(near.received(&mut publisher).await, 0);
}

/// An instance with a subscriber whose own channels show how far it has heard.
struct Watched<'a> {
    server: &'a Server,
    marks: Vec<String>,
    client: Client,
    counted: u64,
}

impl<'a> Watched<'a> {
    async fn of(fleet: &'a Fleet, instance: usize) -> Self {
        let server = &fleet.servers[instance];
        let mut client = Client::connect(server.port).await;
        // Some on every server of a broker that is many: each has an order of its own.
        let marks: Vec<String> = (0..MARKS).map(|number| format!("mark-{instance}-{number}")).collect();
        for mark in &marks {
            client.subscribe(mark).await;
        }
        let counted = channel_messages(server).await;
        Self {
            server,
            marks,
            client,
            counted,
        }
    }

    /// Messages of channels that this instance got since this was asked last, beside its marks.
    async fn received(&mut self, publisher: &mut Publisher) -> u64 {
        for marks in self.marks.chunks(BATCH as usize) {
            let mark = |channel| json!({ "name": "mark", "channel": channel, "data": "x" });
            let batch: Vec<_> = marks.iter().map(mark).collect();
            post(publisher, &batch).await;
        }
        for _ in &self.marks {
            self.client.expect("mark").await;
        }
        let before = std::mem::replace(&mut self.counted, channel_messages(self.server).await);
        self.counted - before - self.marks.len() as u64
    }
}

async fn publish_many(publisher: &mut Publisher, channel: &str) {
    let event = json!({ "name": "many", "channel": channel, "data": "x" });
    post(publisher, &vec![event; BATCH as usize]).await;
}

async fn post(publisher: &mut Publisher, batch: &[serde_json::Value]) {
    let body = json!({ "batch": batch }).to_string();
    assert_eq!(publisher.post_to("batch_events", &body).await.status, 200);
}

async fn channel_messages(server: &Server) -> u64 {
    server
        .metric("jackfield_cluster_received_total{kind=\"channel\"}")
        .await
}

/// More than anything else that goes on between instances meanwhile.
const EVENTS: u64 = 1_000;
/// Events of one request.
const BATCH: u64 = 10;
/// Enough for some on each of three servers.
const MARKS: u64 = 16;
