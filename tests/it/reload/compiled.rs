//! Compiled plugins are kept for the next start, where nobody else can touch them; and what takes long to compile holds up nobody else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinSet;

use super::files::{LIMITER, serves};
use super::{another, generation, is_live, put, read, shown};
use crate::harness::http::Http;
use crate::harness::server::{Folder, Server, Setup, place};

/// The files with compiled code, and which each is: another one as soon as it was written anew.
pub(super) fn kept(cache: &Path) -> BTreeMap<PathBuf, u64> {
    let entries = fs::read_dir(cache.join("compiled")).expect("the server has made it");
    let entries = entries.map(|entry| entry.expect("the folder is ours"));
    entries
        .map(|entry| (entry.path(), entry.metadata().expect("it is there").ino()))
        .collect()
}

async fn server(cache: &Folder) -> Server {
    let config = format!("[cache]\ndirectory = \"{}\"", cache.path().display());
    Setup::default().with_metrics().config(&config).start().await
}

// host/docs/operating.md: `cache.directory`
#[tokio::test]
async fn what_was_compiled_once_is_used_by_the_next_server() {
    let cache = Folder::new();
    serves(&server(&cache).await).await;
    let first = kept(cache.path());
    assert_eq!(first.len(), 4, "one file a plugin: {first:?}");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(mode(&cache.path().join("compiled")), 0o700);
    assert!(first.keys().all(|path| mode(path) == 0o600));

    let next = server(&cache).await;
    serves(&next).await;
    assert_eq!(kept(cache.path()), first, "nothing was compiled anew");
    // A new version is kept too.
    put(&next, LIMITER, &another(&read(&next.plugin_file(LIMITER)), 2));
    is_live(&next, "rate-limit-local", 2).await;
    assert_eq!(kept(cache.path()).len(), 5);
}

#[tokio::test]
async fn what_was_damaged_is_compiled_anew() {
    let cache = Folder::new();
    serves(&server(&cache).await).await;
    let first = kept(cache.path());
    let lengths: Vec<usize> = first.keys().map(|path| read(path).len()).collect();
    for (index, path) in first.keys().enumerate() {
        let mut code = read(path);
        match index {
            0 => code.truncate(code.len() / 2),
            1 => code.clear(),
            2 => code[100] ^= 1,
            _ => code.extend(b"more"),
        }
        fs::write(path, code).expect("the folder is ours");
    }
    let next = server(&cache).await;
    serves(&next).await;
    let second = kept(cache.path());
    assert!(first.keys().eq(second.keys()), "{first:?}, {second:?}");
    assert!(
        second.keys().map(|path| read(path).len()).eq(lengths),
        "all are whole again"
    );
    assert!(next.errors().contains("is damaged"), "{}", next.errors());
    let third = server(&cache).await;
    assert_eq!(kept(cache.path()), second);
    assert!(!third.errors().contains("is damaged"), "{}", third.errors());
}

// Whoever could write there could run what they like in this server.
#[tokio::test]
async fn a_folder_that_others_can_reach_is_not_used() {
    let cache = Folder::new();
    serves(&server(&cache).await).await;
    let first = kept(cache.path());
    let folder = cache.path().join("compiled");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let next = server(&cache).await;
    let log = next.errors();
    assert!(
        log.contains("compiled code is not kept") && log.contains("mode 755"),
        "{log}"
    );
    put(&next, LIMITER, &another(&read(&next.plugin_file(LIMITER)), 2));
    is_live(&next, "rate-limit-local", 2).await;
    serves(&next).await;
    assert_eq!(kept(cache.path()), first, "nothing is written there");
}

#[tokio::test]
async fn a_place_that_cannot_be_made_keeps_no_server_from_starting() {
    let config = "[cache]\ndirectory = \"/proc/nowhere\"";
    let server = Setup::default().with_metrics().config(config).start().await;
    serves(&server).await;
    let log = server.errors();
    assert_eq!(log.matches("compiled code is not kept").count(), 1, "{log}");
}

// ARCHITECTURE.md: "a component that takes long to compile holds up nobody but its own next version"
#[tokio::test]
async fn a_plugin_that_compiles_for_long_holds_up_nobody_else() {
    let chain = "[auth]\nchain = [\"javascript\", \"auth-pusher\"]";
    let server = Setup::default().with_metrics().config(chain).start().await;
    let guests = place("JACKFIELD_GUESTS");
    for file in ["javascript.toml", "javascript.wasm"] {
        put(&server, file, &read(&guests.join(file)));
    }
    let (mut orders, port) = (JoinSet::new(), server.metrics_port());
    orders.spawn(async move {
        let mut http = Http::connect(port).await.expect("it listens").patient(COMPILING);
        http.post("/plugins/javascript/reload", "").await.expect("an answer")
    });
    let limiter = read(&server.plugin_file(LIMITER));
    for version in 2..5 {
        put(&server, LIMITER, &another(&limiter, version));
        is_live(&server, "rate-limit-local", version.into()).await;
    }
    assert_eq!(
        shown(&server, "javascript").await["state"],
        "missing",
        "it compiles still"
    );
    // The order waits for what is under way.
    let answer = orders.join_all().await.remove(0);
    assert_eq!((answer.status, generation(&server, "javascript").await), (200, 1));
    let outcome = answer.json()["plugins"][0]["outcome"].clone();
    assert!(outcome == "live" || outcome == "unchanged", "{answer:?}");
    serves(&server).await;
}

/// An interpreter is 12 MB of code, and other tests have the machine too.
const COMPILING: Duration = Duration::from_secs(180);
