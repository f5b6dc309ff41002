//! What an operator sets for the whole instance (host/docs/operating.md), and what becomes of it.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::Client;
use crate::harness::http::Publisher;
use crate::harness::server::Setup;
use crate::harness::wait::until;

// RFC 6455 §7.4.1: 1009 for a message that is too big to process. How big that is, is the operator's.
#[tokio::test]
async fn a_message_may_be_as_large_as_the_operator_says() {
    for kb in [1, 200] {
        let setup = Setup::default().config(&format!("websocket_max_payload_kb = {kb}"));
        let server = setup.start().await;
        let mut client = Client::connect(server.port).await;
        client.send_frame(Message::text("x".repeat(kb << 10))).await;
        let error = client.expect("pusher:error").await;
        assert_eq!(error["data"]["code"], Value::Null);
        client.send_frame(Message::text("x".repeat((kb << 10) + 1))).await;
        assert_eq!(client.expect_close().await, 1009, "{kb} KiB");
    }
}

// README.md: "each of these decisions is taken by a WebAssembly component", by the one that the operator names.
#[tokio::test]
async fn the_limiter_and_the_webhook_sink_are_those_that_the_operator_names() {
    let named = "[rate_limiter]\nplugin = \"probe-rate-limit\"\n[webhooks]\nplugin = \"probe-webhook\"";
    let setup = Setup::default()
        .without("rate-limit-local")
        .without("webhook-http")
        .guest("probe-rate-limit")
        .guest("probe-webhook")
        .config(named)
        .app("message_rate_limit = { max_attempts = 1 }\n[[apps.webhooks]]\nurl = \"http://127.0.0.1:9/\"");
    let server = setup.with_metrics().start().await;
    assert_eq!(server.ready().await, (200, json!({ "ready": true })));

    Publisher::new(server.port).await.publish("room", "event", "{}").await;
    assert_eq!(server.calls("probe-rate-limit", "rate-limit").await, 1);
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    // The probe allows whatever it is asked, so it is the one that was asked about the message.
    client.ping().await;
    client.expect("pusher:pong").await;
    assert_eq!(server.calls("probe-rate-limit", "rate-limit").await, 3);
    until("the sink to be asked", async || {
        (server.calls("probe-webhook", "webhook").await > 0).then_some(())
    })
    .await;
}
