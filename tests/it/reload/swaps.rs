//! One version takes the place of another under the hands of those who use it.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{another, fault, generation, is_live, put, read};
use crate::harness::brokers::Broker;
use crate::harness::client::{Client, Heard, data};
use crate::harness::fleet::{Fleet, Way};
use crate::harness::http::Publisher;
use crate::harness::server::{DEFAULT_PLUGINS, Server, Setup};

async fn server(setup: Setup) -> Server {
    setup.with_metrics().start().await
}

// ARCHITECTURE.md: "a call uses the version that it found".
#[tokio::test]
async fn each_plugin_is_changed_while_it_is_used() {
    let server = server(Setup::default()).await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("private-room").await;
    for name in DEFAULT_PLUGINS {
        let file = format!("{name}.wasm");
        put(&server, &file, &another(&read(&server.plugin_file(&file)), 2));
        is_live(&server, name, 2).await;
        let mut other = Client::connect(server.port).await;
        other.subscribe("private-room").await;
        let say = json!({ "event": "client-say", "channel": "private-room", "data": *name });
        client.send(say).await;
        assert_eq!(other.expect("client-say").await["data"], *name);
        let mut publisher = Publisher::new(server.port).await;
        publisher
            .publish("private-room", "told", &json!(name).to_string())
            .await;
        assert_eq!(data(&client.expect("told").await), *name);
    }
    assert_eq!(server.ready().await.0, 200);
}

// ARCHITECTURE.md: "a call uses the version that it found", also one that waits: at every moment of these changes some do.
#[tokio::test]
async fn calls_that_wait_end_on_the_version_with_which_they_began() {
    let chain = "[auth]\nchain = [\"stall\", \"auth-pusher\"]";
    let server = server(Setup::default().guest("stall").config(chain)).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(server.port).await;
        for number in 0..20 {
            client.ask(&format!("slow-{number}")).await;
        }
        clients.push(client);
    }
    let component = read(&server.plugin_file("stall.wasm"));
    for version in 2..5 {
        put(&server, "stall.wasm", &another(&component, version));
        is_live(&server, "stall", version.into()).await;
    }
    for client in &mut clients {
        for number in 0..20 {
            let entered = client.expect("pusher_internal:subscription_succeeded").await;
            assert_eq!(entered["channel"], format!("slow-{number}"));
        }
    }
}

// Whoever is near a limit is not given it again by a new version of the plugin that counts.
#[tokio::test]
async fn what_was_counted_stays_counted() {
    let settings = "enable_client_messages = true\nmax_client_events_per_second = 3\ndecay_seconds = 3600";
    let server = server(Setup::default().app(settings)).await;
    let mut client = Client::connect(server.port).await;
    client.subscribe("private-room").await;
    let say = json!({ "event": "client-say", "channel": "private-room", "data": "" });
    for _ in 0..2 {
        client.send(say.clone()).await;
    }
    client.ping().await;
    client.expect("pusher:pong").await;
    let component = read(&server.plugin_file("rate-limit-local.wasm"));
    for version in 2..5 {
        put(&server, "rate-limit-local.wasm", &another(&component, version));
        is_live(&server, "rate-limit-local", version.into()).await;
    }
    client.send(say.clone()).await;
    client.ping().await;
    client.expect("pusher:pong").await;
    client.send(say).await;
    assert_eq!(client.expect("pusher:error").await["data"]["code"], 4301);
}

// ARCHITECTURE.md: "what fails on probation is taken back".
#[tokio::test]
async fn a_version_that_fails_is_taken_back() {
    let chain = "[auth]\nchain = [\"misbehave\", \"auth-pusher\"]";
    // It does not rest between its failures.
    let setup = Setup::default()
        .guest("misbehave")
        .file("misbehave.toml", "[limits]\npause_after = 0");
    let server = server(setup.config(chain)).await;
    let mut client = Client::connect(server.port).await;
    let good = read(&server.plugin_file("misbehave.wasm"));
    put(&server, "misbehave.wasm", &another(&good, 2));
    is_live(&server, "misbehave", 2).await;
    for round in 0..3 {
        client.refused(&format!("trap-{round}")).await;
    }
    is_live(&server, "misbehave", 1).await;
    fault(&server, "misbehave", "it failed 3 times").await;
    client.subscribe("room").await;
    // The same again: it is remembered.
    put(&server, "misbehave.wasm", &another(&good, 2));
    fault(&server, "misbehave", "rolled back").await;
    assert_eq!(generation(&server, "misbehave").await, 1);
    // Another one is given its chance.
    put(&server, "misbehave.wasm", &another(&good, 3));
    is_live(&server, "misbehave", 3).await;
}

// Everything that was published is heard once and in order, while the adapter itself is changed.
#[tokio::test]
async fn the_adapter_is_changed_between_two_events() {
    let server = server(Setup::default()).await;
    changes_under_load(&[server], "adapter-local", "room").await;
}

#[tokio::test]
async fn the_adapter_of_several_instances_is_changed_at_each() {
    let redis = Broker::redis().await;
    let way = Way::new("adapter-redis", "REDIS_URL", &redis.url());
    let fleet = Fleet::of((0..2).map(|_| way.setup(Setup::default().with_metrics())).collect()).await;
    changes_under_load(&fleet.servers, "adapter-redis", "room").await;
}

async fn changes_under_load(servers: &[Server], plugin: &str, channel: &str) {
    let (mut readers, mut publishers) = (JoinSet::new(), JoinSet::new());
    for server in servers {
        let mut client = Client::connect(server.port).await;
        client.subscribe(channel).await;
        readers.spawn(all_are_heard(client, servers.len()));
    }
    let (stop, stopped) = watch::channel(false);
    for (origin, server) in servers.iter().enumerate() {
        publishers.spawn(publish_until(stopped.clone(), server.port, origin, channel.to_owned()));
    }
    let file = format!("{plugin}.wasm");
    let component = read(&servers[0].plugin_file(&file));
    for version in 2..2 + SWAPS {
        for server in servers {
            put(server, &file, &another(&component, version));
            is_live(server, plugin, version.into()).await;
        }
    }
    stop.send(true).expect("they publish");
    // Both pass on the panic of whoever found something wrong.
    publishers.join_all().await;
    readers.join_all().await;
}

/// Publishes numbers, and in the end how many those were. Panics if one is refused.
async fn publish_until(stopped: watch::Receiver<bool>, port: u16, origin: usize, channel: String) {
    let mut publisher = Publisher::new(port).await;
    let mut number = 0_u64;
    while !*stopped.borrow() {
        let data = json!([origin, number]).to_string();
        publisher.publish(&channel, "numbered", &data).await;
        number += 1;
    }
    let data = json!([origin, number]).to_string();
    publisher.publish(&channel, "published", &data).await;
}

/// Until all publishers have said that they are done.
async fn all_are_heard(mut client: Client, publishers: usize) {
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    let mut done = 0;
    while done < publishers {
        let Heard::Text(message) = client.hear().await else {
            panic!("the connection was ended");
        };
        let heard = data(&message);
        let (origin, number) = (heard[0].as_u64().expect("an origin"), heard[1].as_u64());
        let wanted = next.entry(origin).or_default();
        assert_eq!(number, Some(*wanted), "{message}");
        match message["event"].as_str() {
            Some("numbered") => *wanted += 1,
            _ => done += 1,
        }
    }
}

/// Enough that a swap now and then meets a publish half way.
const SWAPS: u32 = 8;
