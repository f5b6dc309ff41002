//! The corpus of the fuzz targets, replayed: what was once interesting stays tested without a fuzzer.

use std::{fs, path::Path};

use super::bodies;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "nothing in {}", folder.display());
    for path in paths {
        // The last line before a panic is the culprit.
        println!("{}", path.display());
        body(&fs::read(&path).expect("readable"));
    }
}

#[test]
fn client_frames() {
    replay("client_frames", bodies::client_frames);
}

#[test]
fn client_message() {
    replay("client_message", bodies::client_message);
}

#[test]
fn http_body() {
    replay("http_body", bodies::http_body);
}

#[test]
fn query_string() {
    replay("query_string", bodies::query_string);
}

#[test]
fn channel_name() {
    replay("channel_name", bodies::channel_name);
}
