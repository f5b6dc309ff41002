//! Live subscriptions are asked for again when whoever decides has changed, where the operator wants that.

use std::time::Duration;

use tokio::time::sleep;

use super::doors::{self, ADMINS, ME, NOBODY, server};
use super::{another, configure, is_live, load, put, read, unharmed};
use crate::harness::client::Client;
use crate::harness::http::Publisher;
use crate::harness::server::Server;
use crate::harness::wait::until;

/// The chain of `doors.rs`, asked again.
fn admins(addresses: &str) -> String {
    doors::admins(addresses).replacen("[auth]", "[auth]\nrecheck = true", 1)
}

async fn client(server: &Server, channels: &[&str]) -> Client {
    let mut client = Client::connect(server.port).await;
    for channel in channels {
        client.subscribe(channel).await;
    }
    client
}

/// Waits until subscriptions were asked for again, all of them by both event loops: so many, and of these so many have ended.
async fn asked(server: &Server, asked: usize, ended: usize) {
    let count = |key: &str| -> usize {
        let log = server.errors();
        let told = log.lines().filter(|line| line.contains("asked for again"));
        let value = |line: &str| -> Option<usize> {
            let (_, rest) = line.split_once(&format!(" {key}="))?;
            rest.split(' ').next()?.parse().ok()
        };
        told.filter_map(value).sum()
    };
    until("live subscriptions to be asked for again", async || {
        (count("asked") == asked).then_some(())
    })
    .await;
    assert_eq!(count("ended"), ended);
}

/// What is published on each of these channels is heard, and nothing else.
async fn hears(client: &mut Client, server: &Server, all: &[&str], heard: &[&str]) {
    let mut publisher = Publisher::new(server.port).await;
    for channel in all {
        publisher.publish(channel, "news", "x").await;
    }
    for channel in heard {
        assert_eq!(client.expect("news").await["channel"], *channel);
    }
    client.ping().await;
    client.expect("pusher:pong").await;
}

// host/docs/changing-things.md: `auth.recheck`.
#[tokio::test]
async fn what_is_allowed_no_longer_ends_and_the_rest_stays() {
    let server = server(&admins(ME)).await;
    let load = load(&server).await;
    let channels = ["room", "private-room", ADMINS];
    let mut mine = client(&server, &channels).await;
    configure(&server, &admins(NOBODY)).await;
    let told = mine.expect("pusher:subscription_error").await;
    assert_eq!(
        (&told["channel"], &told["data"]["status"]),
        (&ADMINS.into(), &403.into())
    );
    hears(&mut mine, &server, &channels, &channels[..2]).await;
    // The load's subscriber was asked for as well.
    asked(&server, 4, 1).await;
    // Once more: what has ended is not asked for.
    let bytes = read(&server.plugin_file("first-plugin.wasm"));
    put(&server, "first-plugin.wasm", &another(&bytes, 2));
    is_live(&server, "first-plugin", 3).await;
    asked(&server, 7, 1).await;
    unharmed(load).await;
}

#[tokio::test]
async fn nobody_is_asked_again_unless_the_operator_says_so() {
    let server = server(&doors::admins(ME)).await;
    let mut mine = client(&server, &[ADMINS]).await;
    configure(&server, &doors::admins(NOBODY)).await;
    // Longer than it takes to notice.
    sleep(Duration::from_secs(3)).await;
    hears(&mut mine, &server, &[ADMINS], &[ADMINS]).await;
    assert!(!server.errors().contains("asked for again"));
}

// A key that leaked is changed: whoever came in by a signature of the old one is out.
#[tokio::test]
async fn a_new_secret_ends_what_the_old_one_signed() {
    let config = |secret: &str| {
        format!("[[apps]]\nid = \"1001\"\nkey = \"app-key\"\nsecret = \"{secret}\"\n[auth]\nrecheck = true")
    };
    let server = server(&config("app-secret")).await;
    let mut mine = client(&server, &["room", "private-room"]).await;
    configure(&server, &config("another secret")).await;
    let told = mine.expect("pusher:subscription_error").await;
    assert_eq!(
        (&told["channel"], &told["data"]["status"]),
        (&"private-room".into(), &401.into())
    );
    asked(&server, 2, 1).await;
    mine.ping().await;
    mine.expect("pusher:pong").await;
}

// A plugin that fails must not empty channels.
#[tokio::test]
async fn without_an_answer_a_subscription_stays() {
    let chain = |plugins: &str| format!("[auth]\nrecheck = true\nchain = [{plugins}\"auth-pusher\"]");
    let server = server(&chain("")).await;
    let mut mine = client(&server, &["trap-room"]).await;
    configure(&server, &chain("\"misbehave\", ")).await;
    asked(&server, 1, 0).await;
    hears(&mut mine, &server, &["trap-room"], &["trap-room"]).await;
}
