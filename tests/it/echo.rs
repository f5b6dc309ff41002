//! Laravel Echo, unmodified, with the integer user ids that Laravel has.

use serde_json::{Value, json};

use crate::harness::http::DEVELOPMENT;
use crate::harness::node::Node;
use crate::harness::server::Server;

// Laravel's documents, "Broadcasting": here, joining, leaving, whisper, listen. The hash of a presence channel has text
// keys, and the users are what `user_info` says.
#[tokio::test]
async fn laravel_echo_plays_its_scene() {
    let server = Server::start().await;
    let port = server.port.to_string();
    let mut node = Node::start("echo", &[&port, DEVELOPMENT.key, DEVELOPMENT.secret]);
    let (ann, bob) = (json!({ "id": 1, "name": "Ann" }), json!({ "id": 2, "name": "Bob" }));
    let seen: [(Value, &str, Value); 6] = [
        (json!({ "who": "ann", "saw": "here" }), "users", json!([ann])),
        (json!({ "who": "bob", "saw": "here" }), "users", json!([ann, bob])),
        (json!({ "who": "ann", "saw": "joining" }), "user", bob.clone()),
        (
            json!({ "who": "ann", "saw": "whisper" }),
            "data",
            json!({ "name": "Bob" }),
        ),
        (
            json!({ "who": "ann", "saw": "shipped" }),
            "data",
            json!({ "order": { "id": 1 } }),
        ),
        (json!({ "who": "ann", "saw": "leaving" }), "user", bob),
    ];
    for (wanted, key, value) in seen {
        assert_eq!(node.sees(&wanted).await[key], value, "{wanted}");
    }
    node.sees(&json!({ "saw": "the end" })).await;
}
