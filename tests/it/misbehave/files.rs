//! What lies in the plugins folder and is no good plugin: its door stays closed and says why, and loading comes to an end.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::thread;

use crate::harness::stand::{Layout, guest};
use crate::harness::wait::LIMIT;
use crate::reload::replaced;

/// Puts something at a path.
type Make = fn(&Path);

/// What is said of the plugin `bad`, which must not be live.
fn fault(layout: Layout) -> String {
    let (sender, faults) = sync_channel(1);
    // On a thread of its own, because a loader that waits for ever is what some of these files are about.
    thread::spawn(move || sender.send(layout.stand().registry.faults()));
    let faults = faults.recv_timeout(LIMIT).expect("loading comes to an end");
    let named = faults.into_iter().find(|fault| fault.starts_with("auth plugin `bad`"));
    named.expect("the door is closed and says which plugin it misses")
}

fn bad(bytes: impl AsRef<[u8]>) -> Layout {
    Layout::new().at("auth", "bad", bytes)
}

/// A place for `bad.wasm` that is still free.
fn empty() -> Layout {
    let layout = bad("");
    fs::remove_file(layout.folder().join("bad.wasm")).expect("it was just written");
    layout
}

#[test]
fn bytes_that_are_no_component() {
    let good = guest("misbehave");
    let core = b"\0asm\x01\0\0\0".to_vec();
    for (bytes, reason) in [
        (Vec::new(), "not WebAssembly"),
        (b"\0".to_vec(), "not WebAssembly"),
        (b"\0asm".to_vec(), "not WebAssembly"),
        (b"#!/bin/sh\n".to_vec(), "not WebAssembly"),
        (b"\x7fELF\x02\x01\x01\0".to_vec(), "it is native code"),
        (core, "core module"),
        (b"\0asm\x0d\0\x01\0".to_vec(), "does not serve the auth door"),
        (good[..good.len() - 1].to_vec(), "does not compile"),
        (good[..good.len() / 2].to_vec(), "does not compile"),
        ([&good[..], &good[..]].concat(), "does not compile"),
        (guest("probe-rate-limit"), "does not serve the auth door"),
        (
            replaced(&good, "@0.1.0", "@1.0.0"),
            " 1.0.0 or newer; this one has 0.1.0",
        ),
    ] {
        let fault = fault(bad(bytes));
        assert!(
            fault.contains("bad.wasm") && fault.contains(reason),
            "`{fault}` does not say `{reason}`"
        );
    }
}

// A byte that changed on the way: most are noticed, and those that are not make a plugin like any other.
#[test]
fn a_byte_that_changed_harms_nobody() {
    let good = guest("misbehave");
    let mut refused = 0;
    for place in (8..good.len()).step_by(good.len() / FLIPS) {
        let mut bytes = good.clone();
        bytes[place] ^= 0x41;
        let stand = bad(&bytes).stand();
        let faults = stand.registry.faults();
        if faults.iter().any(|fault| fault.contains("`bad`")) {
            refused += 1;
        } else {
            // Whatever it answers now, or if it traps: it comes to an end.
            let _ = stand.ask(&stand.subscription("room", "", None));
        }
    }
    assert!(refused > 0, "some of them must be noticed");
}

#[test]
fn a_file_that_is_too_large_is_not_taken_in() {
    let layout = empty();
    let path = layout.folder().join("bad.wasm");
    let file = fs::File::create(path).expect("the folder is ours");
    // Nothing but holes.
    file.set_len(65 << 20).expect("the disk has holes enough");
    let fault = fault(layout);
    assert!(fault.contains("larger than 64 MiB"), "{fault}");
}

#[test]
fn what_is_no_file_is_not_opened() {
    let make: [(&str, Make); 4] = [
        ("not a file", |path| fs::create_dir(path).expect("the folder is ours")),
        ("not a file", |path| {
            let made = Command::new("mkfifo").arg(path).status().expect("mkfifo can be run");
            assert!(made.success());
        }),
        ("leads out of the plugins folder", |path| {
            symlink("/dev/zero", path).expect("the folder is ours")
        }),
        ("bad.wasm", |path| symlink(path, path).expect("the folder is ours")),
    ];
    for (reason, make) in make {
        let layout = empty();
        make(&layout.folder().join("bad.wasm"));
        let fault = fault(layout);
        assert!(fault.contains(reason), "{fault}");
    }
}

#[test]
fn an_operators_file_that_is_none_is_not_opened() {
    let make: [Make; 2] = [
        |path| fs::create_dir(path).expect("the folder is ours"),
        |path| {
            let made = Command::new("mkfifo").arg(path).status().expect("mkfifo can be run");
            assert!(made.success());
        },
    ];
    for make in make {
        let layout = bad(guest("misbehave"));
        make(&layout.folder().join("bad.toml"));
        let fault = fault(layout);
        assert!(fault.contains("bad.toml") && fault.contains("not a file"), "{fault}");
    }
    let fault = fault(bad(guest("misbehave")).file("bad.toml", b"grants = [\"\xff\"]"));
    assert!(fault.contains("bad.toml"), "{fault}");
}

#[test]
fn a_name_does_not_lead_out_of_the_folder() {
    for name in [
        "../bad",
        "/etc/passwd",
        "a/b",
        "..",
        ".",
        ".hidden",
        "",
        "a\0b",
        "a b",
        "ü",
        &"x".repeat(65),
    ] {
        // No such file is written: the name alone has to be refused.
        let layout = Layout::new().wanting("auth", name);
        let faults = layout.stand().registry.faults();
        let refused = faults.iter().any(|fault| fault.contains("a plugin's name must be"));
        assert!(refused, "{name:?}: {faults:?}");
    }
}

#[test]
fn init_that_breaks_keeps_the_plugin_out() {
    for (config, reason) in [
        (r#"{"refuse":"out of sorts"}"#, "out of sorts"),
        (r#"{"refuse":"a\nb\u001b[31mc"}"#, "a b [31mc"),
        (r#"{"start":"trap"}"#, "init failed"),
        (r#"{"start":"loop"}"#, "init failed"),
        (r#"{"start":"memory"}"#, "init failed"),
        (r#"{"start":"deep"}"#, "init failed"),
        (r#"{"strat":"trap"}"#, "strat"),
        ("[]", "init refused"),
        ("null", "init refused"),
        ("", "init refused"),
        ("{", "init refused"),
    ] {
        let fault = fault(bad(guest("misbehave")).config("bad", config));
        assert!(fault.contains(reason), "{config}: `{fault}` does not say `{reason}`");
    }
}

/// Bytes of a plugin that are changed, one at a time, evenly over the file: each costs a compilation.
const FLIPS: usize = 24;
