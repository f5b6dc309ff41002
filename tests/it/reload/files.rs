//! What may lie in the plugins folder, and how it may get there.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::time::Duration;

use super::{another, fault, generation, is_live, put, read};
use crate::harness::client::Client;
use crate::harness::http::Publisher;
use crate::harness::server::{Server, Setup};

pub(super) const LIMITER: &str = "rate-limit-local.wasm";

async fn server() -> Server {
    Setup::default().with_metrics().start().await
}

pub(super) async fn serves(server: &Server) {
    let mut client = Client::connect(server.port).await;
    client.subscribe("private-room").await;
    Publisher::new(server.port)
        .await
        .publish("private-room", "told", "x")
        .await;
    client.expect("told").await;
    assert_eq!(server.ready().await.0, 200, "what serves is good");
}

#[tokio::test]
async fn a_file_that_is_gone_serves_on() {
    let server = server().await;
    fs::remove_file(server.plugin_file(LIMITER)).expect("it is there");
    fault(&server, "rate-limit-local", "No such file").await;
    serves(&server).await;
}

// A plugin that was not there at the start is taken in when it comes.
#[tokio::test]
async fn a_plugin_that_comes_later_opens_its_door() {
    let setup = Setup::default().with_metrics();
    let bytes = setup.bytes(LIMITER);
    let server = setup.without("rate-limit-local").start().await;
    assert_eq!(server.ready().await.0, 503);
    put(&server, LIMITER, &bytes);
    is_live(&server, "rate-limit-local", 1).await;
    serves(&server).await;
}

// Whoever copies slowly is waited for: half a file is not looked at.
#[tokio::test]
async fn a_slow_copy_is_read_when_it_is_whole() {
    let server = server().await;
    let new = another(&read(&server.plugin_file(LIMITER)), 2);
    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(server.plugin_file(LIMITER))
        .expect("it is there");
    for part in new.chunks(new.len() / 10) {
        file.write_all(part).expect("the folder is ours");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let shown = super::shown(&server, "rate-limit-local").await;
        assert!(shown["last_error"].is_null(), "{shown}");
    }
    is_live(&server, "rate-limit-local", 2).await;
    serves(&server).await;
}

// As Kubernetes changes a mounted folder: the file is a link into a folder that is a link, and only that one is changed.
#[tokio::test]
async fn a_link_that_points_elsewhere_is_a_new_file() {
    let server = server().await;
    let good = read(&server.plugin_file(LIMITER));
    for (folder, number) in [("..one", 2), ("..two", 3)] {
        fs::create_dir(server.plugin_file(folder)).expect("the folder is ours");
        fs::write(server.plugin_file(folder).join(LIMITER), another(&good, number)).expect("the folder is ours");
    }
    symlink("..one", server.plugin_file("..data")).expect("the folder is ours");
    fs::remove_file(server.plugin_file(LIMITER)).expect("it is there");
    symlink(format!("..data/{LIMITER}"), server.plugin_file(LIMITER)).expect("the folder is ours");
    is_live(&server, "rate-limit-local", 2).await;
    symlink("..two", server.plugin_file("..data_tmp")).expect("the folder is ours");
    fs::rename(server.plugin_file("..data_tmp"), server.plugin_file("..data")).expect("the folder is ours");
    is_live(&server, "rate-limit-local", 3).await;
}

// The operator's file is a part of the version: what is no longer granted is no longer there, or the version does not go live.
#[tokio::test]
async fn what_the_operator_grants_is_looked_at_again() {
    let server = server().await;
    let granted = read(&server.plugin_file("auth-pusher.toml"));
    put(&server, "auth-pusher.toml", b"grants = []");
    fault(&server, "auth-pusher", "which is not granted").await;
    serves(&server).await;
    put(&server, "auth-pusher.toml", b"grants = [\"files\"]");
    let shown = fault(&server, "auth-pusher", "unknown variant `files`").await;
    assert!(
        shown["last_error"]
            .as_str()
            .expect("a text")
            .starts_with("auth-pusher.toml: "),
        "{shown}"
    );
    let mut more = granted;
    more.extend(b"\n[limits]\ncpu_ms = 3\n");
    put(&server, "auth-pusher.toml", &more);
    is_live(&server, "auth-pusher", 2).await;
    serves(&server).await;
    assert_eq!(
        generation(&server, "rate-limit-local").await,
        1,
        "nobody else is touched"
    );
}
