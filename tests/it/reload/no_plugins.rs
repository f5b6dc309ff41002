//! What is put in the place of a plugin and is none: the old version serves on, the server says once what is wrong, and leaves it at that.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::files::{LIMITER, serves};
use super::{another, fault, generation, is_live, put, read, replaced};
use crate::harness::server::{Folder, Server, Setup};

/// Puts this into the limiter's place, and expects to be told of it with this text.
async fn refused(make: impl FnOnce(&Path), reason: &str) {
    let server = Setup::default().with_metrics().start().await;
    let path = server.plugin_file(LIMITER);
    fs::remove_file(&path).expect("it is there");
    make(&path);
    is_refused_once(&server, LIMITER, reason).await;
}

/// The same with a file of these bytes.
async fn refused_bytes(bytes: &[u8], reason: &str) {
    let server = Setup::default().with_metrics().start().await;
    put(&server, LIMITER, bytes);
    is_refused_once(&server, LIMITER, reason).await;
}

// ARCHITECTURE.md: "What cannot be loaded changes nothing".
async fn is_refused_once(server: &Server, file: &str, reason: &str) {
    let shown = fault(server, "rate-limit-local", reason).await;
    let told = shown["last_error"].as_str().expect("a text");
    assert!(told.starts_with(&format!("{file}: ")), "{told}");
    assert_eq!(
        (&shown["state"], &shown["version"]["generation"]),
        (&"live".into(), &1.into())
    );
    serves(server).await;
    // Each of these has the folder looked at some times.
    let webhook = read(&server.plugin_file("webhook-http.wasm"));
    for version in 2..4 {
        put(server, "webhook-http.wasm", &another(&webhook, version));
        is_live(server, "webhook-http", version.into()).await;
    }
    let log = server.errors();
    let lines = log
        .lines()
        .filter(|line| line.contains("plugin was not loaded") && line.contains(file) && line.contains(reason));
    assert_eq!(lines.count(), 1, "{log}");
    assert_eq!(log.matches("plugin was not loaded").count(), 1, "{log}");
    assert_eq!(generation(server, "rate-limit-local").await, 1);
}

fn good() -> Vec<u8> {
    Setup::default().bytes(LIMITER)
}

#[tokio::test]
async fn an_empty_file() {
    refused_bytes(b"", "it is not WebAssembly").await;
}

#[tokio::test]
async fn a_script() {
    refused_bytes(b"#!/bin/sh\n", "it is not WebAssembly").await;
}

#[tokio::test]
async fn a_core_module() {
    refused_bytes(b"\0asm\x01\0\0\0", "it is a core module").await;
}

#[tokio::test]
async fn half_a_component() {
    let good = good();
    refused_bytes(&good[..good.len() / 2], "it does not compile").await;
}

#[tokio::test]
async fn a_component_with_a_hole() {
    let mut bytes = good();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    refused_bytes(&bytes, "it does not compile").await;
}

#[tokio::test]
async fn a_component_for_another_door() {
    let webhook = Setup::default().bytes("webhook-http.wasm");
    refused_bytes(&webhook, "it does not serve the rate-limit door").await;
}

#[tokio::test]
async fn a_component_of_a_newer_contract() {
    let newer = replaced(&good(), "@0.1.0", "@0.2.0");
    refused_bytes(&newer, " 0.2.0 or newer; this one has 0.1.0").await;
}

#[tokio::test]
async fn a_component_of_an_older_contract() {
    let older = replaced(&good(), "@0.1.0", "@0.0.9");
    refused_bytes(&older, "this host has 0.1.0, for which it has to be built anew").await;
}

// Compiled code is what this server itself keeps, and nothing that comes by way of the plugins folder.
#[tokio::test]
async fn code_that_this_very_server_has_compiled() {
    let cache = Folder::new();
    let setup = Setup::default().with_metrics();
    let server = setup
        .config(&format!("[cache]\ndirectory = \"{}\"", cache.path().display()))
        .start()
        .await;
    let kept = super::compiled::kept(cache.path());
    let code = read(kept.keys().next().expect("four plugins were compiled"));
    put(&server, LIMITER, &code);
    is_refused_once(&server, LIMITER, "it is native code, not WebAssembly").await;
}

#[tokio::test]
async fn a_file_beyond_all_bounds() {
    // Nothing but holes: were it read, it would take a tebibyte.
    let huge = |path: &Path| {
        let file = File::create(path).expect("the folder is ours");
        file.set_len(1 << 40).expect("the disk has holes enough");
    };
    refused(huge, "it is larger than 64 MiB").await;
}

#[tokio::test]
async fn a_pipe_that_nobody_writes_to() {
    let pipe = |path: &Path| {
        let made = Command::new("mkfifo").arg(path).status().expect("mkfifo can be run");
        assert!(made.success());
    };
    refused(pipe, "it is not a file").await;
}

#[tokio::test]
async fn a_folder() {
    refused(
        |path| fs::create_dir(path).expect("the folder is ours"),
        "it is not a file",
    )
    .await;
}

#[tokio::test]
async fn a_link_to_a_file_elsewhere() {
    let elsewhere = Folder::new();
    let target = elsewhere.path().join(LIMITER);
    // A good one: it is not what is there that is refused.
    fs::write(&target, another(&good(), 2)).expect("the folder is ours");
    let link = |path: &Path| symlink(&target, path).expect("the folder is ours");
    refused(link, "it is a link that leads out of the plugins folder").await;
}

#[tokio::test]
async fn a_link_to_itself() {
    let link = |path: &Path| symlink(path, path).expect("the folder is ours");
    refused(link, "symbolic links").await;
}

#[tokio::test]
async fn an_operators_file_that_is_a_link_to_one_elsewhere() {
    let elsewhere = Folder::new();
    let target = elsewhere.path().join("secret");
    fs::write(&target, "password = \"hidden\"").expect("the folder is ours");
    let server = Setup::default().with_metrics().start().await;
    let file = "rate-limit-local.toml";
    symlink(&target, server.plugin_file(file)).expect("the folder is ours");
    is_refused_once(&server, file, "it is a link that leads out of the plugins folder").await;
    assert!(!server.errors().contains("hidden"), "what is there is not shown");
}

// A name is looked for in the folder and nowhere else.
#[tokio::test]
async fn a_name_that_leads_out_of_the_folder() {
    let chain = "[auth]\nchain = [\"../outside\"]";
    let server = Setup::default().with_metrics().config(chain).start().await;
    let outside = server.plugin_file("../outside.wasm");
    fs::copy(server.plugin_file("auth-pusher.wasm"), outside).expect("the folder is ours");
    let (status, ready) = server.ready().await;
    assert_eq!(status, 503);
    assert!(ready.to_string().contains("a plugin's name must be"), "{ready}");
}
