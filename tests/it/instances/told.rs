//! What an app's server is told by several instances: each thing once, whichever of them saw it.

use serde_json::json;

use super::redis_way;
use crate::harness::brokers::Broker;
use crate::harness::client::Client;
use crate::harness::fleet::{Fleet, learns};
use crate::harness::http::DEVELOPMENT;
use crate::harness::node::Node;
use crate::harness::server::Setup;

// Pusher documents, "Webhooks": occupied and vacated once for a channel, added and removed once for a user; here wherever they are.
#[tokio::test]
async fn an_apps_server_is_told_once_by_all_instances() {
    let redis = Broker::redis().await;
    let mut receiver = Node::start("receiver", &[DEVELOPMENT.key, DEVELOPMENT.secret]);
    let port = receiver.sees(&json!({ "saw": "listening" })).await["port"].clone();
    let settings = format!("[[apps.webhooks]]\nurl = \"http://127.0.0.1:{port}/\"");
    let setup = || redis_way(&redis).setup(Setup::default().app(&settings));
    let fleet = Fleet::of(vec![setup(), setup(), setup()]).await;
    let mut tabs = Vec::new();
    for instance in 0..3 {
        let mut tab = Client::connect(fleet.port(instance)).await;
        tab.join("presence-hall", "ann").await;
        tabs.push(tab);
    }
    let told = |name: &str, channel: &str| json!({ "saw": "webhook", "name": name, "channel": channel });
    for name in ["channel_occupied", "member_added"] {
        receiver.sees(&told(name, "presence-hall")).await;
    }
    // Each instance has heard of all three, so that none takes the first to leave for the last.
    let all = json!({ "occupied": true, "user_count": 1, "subscription_count": 3 });
    for instance in 0..3 {
        learns(&mut fleet.publisher(instance).await, "channels/presence-hall", &all).await;
    }
    drop(tabs);
    for name in ["member_removed", "channel_vacated"] {
        receiver.sees(&told(name, "presence-hall")).await;
    }
    // What comes later is told later, so nothing more of the hall is on its way.
    let mut other = Client::connect(fleet.port(1)).await;
    other.join("presence-next", "bob").await;
    receiver.sees(&told("member_added", "presence-next")).await;
    for name in ["channel_occupied", "member_added", "member_removed", "channel_vacated"] {
        assert!(!receiver.saw(&told(name, "presence-hall")), "{name} was told twice");
    }
}
