//! Other plugins at the doors, and other sections for those that stand there, while they are asked.

use std::fs;

use serde_json::Value;

use super::{another, configure, fault, generation, is_live, load, misconfigure, put, read, shown, unharmed};
use crate::harness::client::Client;
use crate::harness::http::{Publisher, get};
use crate::harness::server::{Server, Setup};

/// The chain with a plugin that keeps `private-admin-…` to these addresses.
pub(super) fn admins(addresses: &str) -> String {
    format!("[auth]\nchain = [\"first-plugin\", \"auth-pusher\"]\n[plugin.first-plugin]\naddresses = {addresses}")
}

pub(super) const NOBODY: &str = "[]";
pub(super) const ME: &str = "[\"127.0.0.1\"]";
pub(super) const ADMINS: &str = "private-admin-alerts";

pub(super) async fn server(config: &str) -> Server {
    // It does not rest between its failures.
    let setup = Setup::default()
        .guest("misbehave")
        .file("misbehave.toml", "[limits]\npause_after = 0");
    setup.guest("first-plugin").config(config).with_metrics().start().await
}

async fn names(server: &Server) -> Vec<String> {
    let list = get(server.metrics_port(), "/plugins").await.json();
    let plugins = list["plugins"].as_array().expect("a list").iter();
    let names = plugins.map(|plugin| plugin["name"].as_str().expect("a name").to_owned());
    names.collect()
}

// host/docs/changing-things.md: the next question goes to the new chain.
#[tokio::test]
async fn a_plugin_joins_the_chain_and_leaves_it() {
    let server = server("").await;
    let load = load(&server).await;
    let mut client = Client::connect(server.port).await;
    client.subscribe(ADMINS).await;
    client.unsubscribe(ADMINS).await;
    configure(&server, &admins(NOBODY)).await;
    assert_eq!(client.refused(ADMINS).await["status"], 403);
    client.subscribe("private-room").await;
    assert!(names(&server).await.contains(&"first-plugin".to_owned()));
    assert_eq!(server.ready().await.0, 200);
    // A new version of it is noticed, as of those that were there from the start.
    let bytes = read(&server.plugin_file("first-plugin.wasm"));
    put(&server, "first-plugin.wasm", &another(&bytes, 2));
    is_live(&server, "first-plugin", 2).await;
    configure(&server, "").await;
    client.subscribe(ADMINS).await;
    assert!(!names(&server).await.contains(&"first-plugin".to_owned()));
    // Nobody looks after it any more.
    fs::remove_file(server.plugin_file("first-plugin.wasm")).expect("it is there");
    assert_eq!(server.ready().await.0, 200);
    assert_eq!(generation(&server, "auth-pusher").await, 1, "who stays is not touched");
    unharmed(load).await;
}

#[tokio::test]
async fn the_order_of_the_chain_is_changed() {
    let server = server(&admins(NOBODY)).await;
    let mut client = Client::connect(server.port).await;
    client.refused(ADMINS).await;
    let turned = admins(NOBODY).replace("\"first-plugin\", \"auth-pusher\"", "\"auth-pusher\", \"first-plugin\"");
    configure(&server, &turned).await;
    client.subscribe(ADMINS).await;
    for plugin in ["first-plugin", "auth-pusher"] {
        assert_eq!(generation(&server, plugin).await, 1);
    }
}

// The same code is not compiled again: a new generation of the same digest, with its calls counted anew.
#[tokio::test]
async fn a_section_is_changed_while_its_plugin_is_asked() {
    let server = server(&admins(NOBODY)).await;
    let load = load(&server).await;
    let before = shown(&server, "first-plugin").await;
    let mut client = Client::connect(server.port).await;
    client.refused(ADMINS).await;
    configure(&server, &admins(ME)).await;
    client.subscribe(ADMINS).await;
    let after = shown(&server, "first-plugin").await;
    assert_eq!(after["version"]["generation"], 2);
    assert_eq!(after["version"]["digest"], before["version"]["digest"]);
    // What is put into the folder later gets the new section.
    let bytes = read(&server.plugin_file("first-plugin.wasm"));
    put(&server, "first-plugin.wasm", &another(&bytes, 3));
    is_live(&server, "first-plugin", 3).await;
    client.unsubscribe(ADMINS).await;
    client.subscribe(ADMINS).await;
    unharmed(load).await;
}

// ARCHITECTURE.md, "A change of the configuration": "taken as a whole or not at all".
#[tokio::test]
async fn a_section_that_its_plugin_refuses_keeps_everything_as_it_was() {
    let server = server(&admins(ME)).await;
    let load = load(&server).await;
    let mut client = Client::connect(server.port).await;
    // The chain, which would be fine, and a limit, which would too, come with it.
    for (text, parts) in [
        (
            admins("[]\naddress = \"typo\""),
            ["`plugin.first-plugin`: ", "unknown field `address`"],
        ),
        (
            admins(ME).replace("\"auth-pusher\"]", "\"misbehave\"]") + "\n[plugin.misbehave]\nrefuse = \"not today\"",
            ["`plugin.misbehave`: ", "not today"],
        ),
        (
            admins(ME).replace("\"auth-pusher\"]", "\"nobody\", \"auth-pusher\"]"),
            ["`auth.chain`: plugin `nobody`: ", "No such file"],
        ),
        (
            admins(ME) + "\n[rate_limiter]\nplugin = \"webhook-http\"",
            [
                "`rate_limiter.plugin`: plugin `webhook-http`: ",
                "does not serve the rate-limit door",
            ],
        ),
        (
            admins(ME) + "\n[webhooks]\nplugin = \"../../etc/passwd\"",
            [
                "`webhooks.plugin`: plugin `../../etc/passwd`: ",
                "a plugin's name must be",
            ],
        ),
    ] {
        let reason = misconfigure(&server, &format!("max_connections = 1\n{text}")).await;
        assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
        assert!(reason.contains("jackfield.toml:"), "{reason}");
        client.subscribe(ADMINS).await;
        client.unsubscribe(ADMINS).await;
        Client::connect(server.port).await;
        assert_eq!(names(&server).await.len(), 5);
        assert_eq!(generation(&server, "first-plugin").await, 1);
        assert_eq!(server.ready().await.0, 200);
        configure_back(&server).await;
    }
    unharmed(load).await;
}

/// What is in use is written again.
async fn configure_back(server: &Server) {
    super::write(server, &admins(ME));
    crate::harness::wait::until("the refusal to be over", async || {
        super::told(server).await["last_refusal"].is_null().then_some(())
    })
    .await;
}

// A door that was closed for want of a section opens with it.
#[tokio::test]
async fn a_section_that_was_missing_opens_the_door() {
    let server = server("[auth]\nchain = [\"first-plugin\", \"auth-pusher\"]").await;
    assert_eq!(server.ready().await.0, 503);
    configure(&server, &admins(ME)).await;
    assert_eq!(server.ready().await.0, 200);
    Client::connect(server.port).await.subscribe(ADMINS).await;
}

// host/docs/changing-things.md: another section is on probation as another file is.
#[tokio::test]
async fn a_section_with_which_a_plugin_fails_is_taken_back() {
    let chain = |ms: u32| {
        format!("[auth]\nchain = [\"misbehave\", \"auth-pusher\"]\n[plugin.misbehave]\nsound_until_ms = {ms}")
    };
    let server = server(&chain(1)).await;
    let mut client = Client::connect(server.port).await;
    configure(&server, &chain(2)).await;
    assert_eq!(generation(&server, "misbehave").await, 2);
    for round in 0..3 {
        client.refused(&format!("trap-{round}")).await;
    }
    is_live(&server, "misbehave", 1).await;
    fault(&server, "misbehave", "it failed 3 times").await;
    // Whatever else is changed, it is not tried again by itself.
    configure(&server, &format!("max_connections = 9\n{}", chain(2))).await;
    assert_eq!(generation(&server, "misbehave").await, 1);
    configure(&server, &chain(3)).await;
    assert_eq!(generation(&server, "misbehave").await, 3);
}

#[tokio::test]
async fn another_limiter_and_another_sink_take_their_places() {
    let app = "[[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"app-secret\"\nmax_backend_events_per_second = 1000\n\
               [[apps.webhooks]]\nurl = \"http://127.0.0.1:9/\"";
    let setup = Setup::default().guest("probe-rate-limit").guest("probe-webhook");
    let server = setup.config(app).with_metrics().start().await;
    let load = load(&server).await;
    let named = "[rate_limiter]\nplugin = \"probe-rate-limit\"\n[webhooks]\nplugin = \"probe-webhook\"\n";
    configure(&server, &format!("{named}{app}")).await;
    Publisher::new(server.port).await.publish("room", "event", "{}").await;
    assert!(server.calls("probe-rate-limit", "rate-limit").await > 0);
    let mut client = Client::connect(server.port).await;
    client.subscribe("room").await;
    crate::harness::wait::until("the sink to be asked", async || {
        (server.calls("probe-webhook", "webhook").await > 0).then_some(())
    })
    .await;
    let known = names(&server).await;
    assert_eq!(known.len(), 4, "{known:?}");
    assert!(!known.contains(&"rate-limit-local".to_owned()), "{known:?}");
    configure(&server, app).await;
    assert_eq!(names(&server).await.len(), 4);
    assert_eq!(shown(&server, "probe-webhook").await["version"], Value::Null);
    unharmed(load).await;
}
