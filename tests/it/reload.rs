//! Plugins are changed while the server runs: nobody who is connected notices, and what is no good changes nothing.

mod files;
mod operators;
mod swaps;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::http::get;
use crate::harness::server::Server;
use crate::harness::wait::until;

/// The same component with another digest: a section that nobody reads is behind it.
pub(crate) fn another(component: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let name = format!("version-{number:08}");
    bytes.extend([0, name.len() as u8 + 1, name.len() as u8]);
    bytes.extend(name.as_bytes());
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
async fn shown(server: &Server, plugin: &str) -> Value {
    get(server.metrics_port(), &format!("/plugins/{plugin}")).await.json()
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
