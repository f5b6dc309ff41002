//! Plugins and the configuration are changed while the server runs: nobody who is connected notices, and what is no good changes
//! nothing.

mod apps;
mod compiled;
mod doors;
mod files;
mod model;
mod no_plugins;
mod operators;
mod recheck;
mod settings;
mod swaps;
mod ways;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::http::get;
use crate::harness::load::Load;
use crate::harness::server::Server;
use crate::harness::wait::until;

/// The same component with another digest: a section that nobody reads is behind it.
pub(crate) fn another(component: &[u8], number: u32) -> Vec<u8> {
    with_section(component, &format!("version-{number:08}"), "")
}

/// The component with one more custom section.
fn with_section(component: &[u8], name: &str, text: &str) -> Vec<u8> {
    let mut bytes = component.to_vec();
    bytes.extend([0, (1 + name.len() + text.len()) as u8, name.len() as u8]);
    bytes.extend([name.as_bytes(), text.as_bytes()].concat());
    bytes
}

/// With another text in the place of one, each time that it stands there.
pub(crate) fn replaced(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len(), "nothing else may move");
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len())
        .filter(|&place| bytes[place..].starts_with(old.as_bytes()))
        .collect();
    assert!(!places.is_empty(), "{old} is nowhere");
    for place in places {
        bytes[place..place + new.len()].copy_from_slice(new.as_bytes());
    }
    bytes
}

/// Puts a file into the folder as one should: written beside it, then renamed.
pub(crate) fn put(server: &Server, file: &str, bytes: &[u8]) {
    let (path, beside) = (server.plugin_file(file), server.plugin_file(".new"));
    fs::write(&beside, bytes).expect("the folder is ours");
    fs::rename(beside, path).expect("the folder is ours");
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("the harness put it there")
}

/// What the server says of a plugin.
pub(crate) async fn shown(server: &Server, plugin: &str) -> Value {
    get(server.metrics_port(), &format!("/plugins/{plugin}")).await.json()["plugins"][0].clone()
}

async fn generation(server: &Server, plugin: &str) -> u64 {
    shown(server, plugin).await["version"]["generation"]
        .as_u64()
        .unwrap_or(0)
}

/// Waits until this version of a plugin is live.
async fn is_live(server: &Server, plugin: &str, wanted: u64) {
    until("the version to be live", async || {
        (generation(server, plugin).await == wanted).then_some(())
    })
    .await;
}

/// Waits until the server says of a plugin what is wrong, and gives it.
async fn fault(server: &Server, plugin: &str, part: &str) -> Value {
    until("the fault to be told", async || {
        let shown = shown(server, plugin).await;
        let told = shown["last_error"].as_str().is_some_and(|error| error.contains(part));
        told.then_some(shown)
    })
    .await
}

/// The configuration's text with `middle` between what the harness writes before and behind it.
fn rewritten(server: &Server, middle: &str) -> String {
    let old = fs::read_to_string(server.config_file()).expect("the harness put it there");
    let head: Vec<&str> = old.lines().take(HEAD_LINES).collect();
    let (_, metrics) = old.split_once("\n[metrics]\n").expect("the harness wrote it");
    format!("{}\n{middle}\n[metrics]\n{metrics}", head.join("\n"))
}

/// Changes the configuration as one should: written beside it, then renamed.
fn write(server: &Server, middle: &str) {
    let text = rewritten(server, middle);
    let beside = server.config_file().with_extension("new");
    fs::write(&beside, text).expect("the folder is ours");
    fs::rename(beside, server.config_file()).expect("the folder is ours");
}

/// What the server says of its configuration.
async fn told(server: &Server) -> Value {
    get(server.metrics_port(), "/config").await.json()
}

/// Changes the configuration and waits until the new one is in use.
async fn configure(server: &Server, middle: &str) {
    let before = told(server).await;
    let generation = before["generation"].as_u64().expect("a number");
    write(server, middle);
    until("the configuration to be in use", async || {
        let told = told(server).await;
        let refusal = &told["last_refusal"];
        assert!(refusal.is_null() || *refusal == before["last_refusal"], "{told}");
        (told["generation"] == generation + 1).then_some(())
    })
    .await;
}

/// Changes the configuration and waits until it is refused; with the reason.
async fn misconfigure(server: &Server, middle: &str) -> String {
    let before = told(server).await["generation"].clone();
    write(server, middle);
    let reason = until("the configuration to be refused", async || {
        told(server).await["last_refusal"]["reason"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(told(server).await["generation"], before, "{reason}");
    reason
}

/// A load on the development app's channel `load`, of which nothing may be refused or lost.
async fn load(server: &Server) -> Load {
    Load::start("load", &[server.port], &[server.port]).await
}

async fn unharmed(load: Load) {
    let verdict = load.end().await;
    assert!(verdict.acknowledged > 0, "{verdict:?}");
    assert_eq!(
        (verdict.refused, verdict.closed.as_slice()),
        (0, &[0][..]),
        "{verdict:?}"
    );
}

/// Lines that the harness writes in front of what a test says.
const HEAD_LINES: usize = 4;
