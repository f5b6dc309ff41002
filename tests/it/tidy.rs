//! The rules of the house that a machine can check, as tests.
//!
//! Budgets and reasons are those of .github/CONTRIBUTING.md. Each rule is one test here and is itself tested on a
//! sample, so that it is known to bite. An exception is a line in [`EXCEPTIONS`] with its reason; the list may shrink,
//! never grow, and an exception that is no longer needed is a finding.

mod manifest;
mod report;
mod rules;
mod rust;
mod tree;

use manifest::Manifest;
use report::{Exception, Finding, Rule, check};
use rust::Source;

/// What is let through: rule, file, reason.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: Rule::Unsafe,
        path: "host/compiled/src/lib.rs",
        reason: "compiled code that was kept can be taken in no other way; who may have written it is looked at before",
    },
    Exception {
        rule: Rule::Unsafe,
        path: "host/ring/src/lib.rs",
        reason: "io_uring is told where bytes lie; nobody wraps it for sends that end within the call",
    },
    Exception {
        rule: Rule::Unsafe,
        path: "host/threads/src/lib.rs",
        reason: "what a thread may wish of the kernel's scheduler has no safe wrapper but for realtime threads",
    },
    Exception {
        rule: Rule::Wasmtime,
        path: "tests/bench/Cargo.toml",
        reason: "the bench takes one precaution at a time away from it, to show what each of them costs",
    },
    Exception {
        rule: Rule::Unsafe,
        path: "sdk/src/plugin.rs",
        reason: "a plugin's version stands in a section of its own, and the attribute that puts it there is called so",
    },
];

/// Which rooms a crate may name, by the crate's folder. A pattern ending in `*` stands for every crate in that folder.
const ARROWS: &[(&str, &[&str])] = &[
    ("host/protocol", &[]),
    ("host/protocol/fuzz", &["jackfield-protocol"]),
    ("host/cluster", &["jackfield-envelope", "jackfield-hub"]),
    ("host/compiled", &["jackfield-protocol", "jackfield-threads"]),
    (
        "host/config",
        &["jackfield-hub", "jackfield-links", "jackfield-protocol"],
    ),
    (
        "host/driver",
        &["jackfield-cluster", "jackfield-hub", "jackfield-protocol"],
    ),
    ("host/envelope", &[]),
    ("host/hub", &["jackfield-protocol"]),
    ("host/files", &["jackfield-protocol", "jackfield-watch"]),
    ("host/links", &[]),
    ("host/ring", &[]),
    (
        "host/wasm",
        &[
            "jackfield-compiled",
            "jackfield-files",
            "jackfield-hub",
            "jackfield-links",
            "jackfield-protocol",
            "jackfield-threads",
            "jackfield-vitals",
            "jackfield-watch",
        ],
    ),
    ("host/watch", &[]),
    ("host/stores", &["jackfield-hub", "jackfield-protocol"]),
    ("host/threads", &[]),
    ("host/vitals", &[]),
    (
        "host/server",
        &[
            "jackfield-cluster",
            "jackfield-config",
            "jackfield-driver",
            "jackfield-hub",
            "jackfield-links",
            "jackfield-protocol",
            "jackfield-ring",
            "jackfield-stores",
            "jackfield-wasm",
            "jackfield-watch",
        ],
    ),
    ("host/xtask", &[]),
    ("sdk", &[]),
    ("plugins/*", &["jackfield-sdk"]),
    ("examples/*", &["jackfield-sdk"]),
    ("tests/guests/*", &["jackfield-sdk"]),
    ("tests", &["*"]),
    ("tests/bench", &["*"]),
];

/// What may not be written where, outside tests: folder, text, reason. Bans that hold everywhere are in .clippy.toml.
const ABSENT: &[(&str, &str, &str)] = &[
    (
        "host/protocol/",
        "Instant::now",
        "time is an argument here: a test sets it",
    ),
    (
        "host/protocol/",
        "SystemTime::now",
        "time is an argument here: a test sets it",
    ),
    (
        "host/protocol/",
        "getrandom",
        "randomness is an argument here: a test sets it",
    ),
    ("host/protocol/", "std::env", "configuration arrives parsed"),
    ("host/protocol/", "std::net", "bytes in, frames out: no sockets"),
    ("host/protocol/", "tokio::", "bytes in, frames out: no runtime"),
    (
        "host/cluster/",
        "Instant::now",
        "time is an argument here: a test sets it",
    ),
    (
        "host/cluster/",
        "SystemTime::now",
        "time is an argument here: a test sets it",
    ),
    (
        "host/cluster/",
        "getrandom",
        "randomness is an argument here: a test sets it",
    ),
    ("host/cluster/", "std::env", "configuration arrives parsed"),
    ("host/cluster/", "tokio::", "events in, effects out: no runtime"),
    ("host/hub/", "Instant::now", "time is an argument here: a test sets it"),
    (
        "host/hub/",
        "SystemTime::now",
        "time is an argument here: a test sets it",
    ),
    (
        "host/hub/",
        "getrandom",
        "randomness is an argument here: a test sets it",
    ),
    ("host/hub/", "std::env", "configuration arrives parsed"),
    ("plugins/", "println!", "vanishes in WebAssembly: use the SDK's log"),
    ("plugins/", "Instant::now", "traps in WebAssembly: use the SDK's clock"),
    (
        "plugins/",
        "SystemTime::now",
        "traps in WebAssembly: use the SDK's clock",
    ),
    (
        "plugins/",
        "HashMap",
        "its order and its collisions are predictable in WebAssembly: use BTreeMap",
    ),
    (
        "plugins/",
        "HashSet",
        "its order and its collisions are predictable in WebAssembly: use BTreeSet",
    ),
    ("examples/", "println!", "vanishes in WebAssembly: use the SDK's log"),
    ("examples/", "Instant::now", "traps in WebAssembly: use the SDK's clock"),
    (
        "examples/",
        "SystemTime::now",
        "traps in WebAssembly: use the SDK's clock",
    ),
];

#[test]
fn files_are_short() {
    check_sources(Rule::FileLength, rules::file_length);
}

#[test]
fn functions_are_short() {
    check_sources(Rule::FunctionLength, rules::function_length);
}

#[test]
fn traits_are_narrow() {
    check_sources(Rule::TraitWidth, rules::trait_width);
}

#[test]
fn every_file_says_what_it_is() {
    check_sources(Rule::Header, rules::header);
}

#[test]
fn names_say_what_a_thing_does() {
    check_sources(Rule::Name, rules::names);
}

#[test]
fn nothing_is_unsafe() {
    check_sources(Rule::Unsafe, rules::no_unsafe);
}

#[test]
fn rooms_stay_pure() {
    check_sources(Rule::Absent, |source| rules::absent(source, ABSENT));
}

#[test]
fn the_mean_file_is_short() {
    let sources = tree::sources();
    let mean = rules::mean_length(&sources);
    println!(
        "{} files, {mean} code lines each on average, at most {} allowed",
        sources.len(),
        rules::MEAN_LINES
    );
    assert!(
        mean <= rules::MEAN_LINES,
        "the mean file has {mean} code lines, {} allowed",
        rules::MEAN_LINES
    );
}

#[test]
fn crates_are_small() {
    let sources = tree::sources();
    let findings = tree::manifests()
        .iter()
        .filter_map(|manifest| rules::crate_length(manifest, &sources))
        .collect();
    check(Rule::CrateLength, findings, EXCEPTIONS);
}

#[test]
fn arrows_point_down() {
    check_manifests(Rule::Arrow, |manifest| rules::arrows(manifest, ARROWS));
}

#[test]
fn two_rooms_know_wasmtime() {
    check_manifests(Rule::Wasmtime, rules::wasmtime);
}

#[test]
fn there_is_one_integration_binary() {
    let sources = tree::sources();
    check_manifests(Rule::OneBinary, |manifest| rules::one_binary(manifest, &sources));
}

fn check_sources(rule: Rule, find: impl Fn(&Source) -> Vec<Finding>) {
    check(rule, tree::sources().iter().flat_map(find).collect(), EXCEPTIONS);
}

fn check_manifests(rule: Rule, find: impl Fn(&Manifest) -> Vec<Finding>) {
    check(rule, tree::manifests().iter().flat_map(find).collect(), EXCEPTIONS);
}
