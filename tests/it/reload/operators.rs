//! By hand: `jackfield plugins`, and the same over HTTP.

use std::process::Output;

use serde_json::{Value, json};

use super::{another, fault, generation, is_live, put, read, shown, with_section};
use crate::harness::http::{Http, Publisher};
use crate::harness::server::{Server, Setup, jackfield};

const LIMITER: &str = "rate-limit-local.wasm";
const TOKEN: &str = "0123456789abcdef";
/// The default plugins are released with the host.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// So few that each is timed.
const CALLS: u32 = 50;

/// Runs `jackfield plugins`.
fn plugins(server: &Server, words: &[&str]) -> Output {
    let port = server.metrics_port().to_string();
    let mut command = jackfield();
    command.arg("plugins").args(words).args(["--port", &port]);
    command.output().expect("JACKFIELD_BIN can be run")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

// host/docs/operating.md, `jackfield plugins`.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_and_changes_plugins() {
    let server = Setup::default().with_metrics().start().await;
    let list = plugins(&server, &[]);
    let lines = said(&list);
    assert_eq!(lines.lines().count(), 4, "{lines}");
    assert!(
        lines.contains("auth-pusher") && lines.contains("generation 1"),
        "{lines}"
    );

    let good = read(&server.plugin_file(LIMITER));
    assert!(said(&plugins(&server, &["reload"])).contains("unchanged"));
    let refused = plugins(&server, &["rollback", "rate-limit-local"]);
    assert!(
        !refused.status.success() && said(&refused).contains("no version before"),
        "{refused:?}"
    );
    put(&server, LIMITER, &another(&good, 2));
    let reloaded = plugins(&server, &["reload", "rate-limit-local"]);
    assert!(said(&reloaded).contains("rate-limit-local"), "{reloaded:?}");
    is_live(&server, "rate-limit-local", 2).await;

    let back = plugins(&server, &["rollback", "rate-limit-local"]);
    assert!(said(&back).contains("live generation 1"), "{back:?}");
    fault(&server, "rate-limit-local", "by hand").await;
    assert_eq!(generation(&server, "rate-limit-local").await, 1);
    // What was rolled back comes again when the operator says so.
    let again = plugins(&server, &["reload", "rate-limit-local"]);
    assert!(said(&again).contains("live generation 3"), "{again:?}");

    let shown = plugins(&server, &["show", "rate-limit-local"]);
    assert!(said(&shown).contains("\"digest\""), "{shown:?}");
    let nobody = plugins(&server, &["show", "nobody"]);
    assert!(
        !nobody.status.success() && said(&nobody).contains("no plugin `nobody`"),
        "{nobody:?}"
    );
    let log = server.errors();
    assert!(
        log.contains("an operator changes plugins") && log.contains("rollback"),
        "{log}"
    );
}

// host/docs/operating.md, `jackfield plugins`: what `show` tells.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_how_a_plugin_is_doing() {
    let server = Setup::default().with_metrics().start().await;
    let mut publisher = Publisher::new(server.port).await;
    for _ in 0..CALLS {
        publisher.publish("room", "told", "x").await;
    }
    let shown = plugins(&server, &["show", "auth-pusher"]);
    let shown: Value = serde_json::from_str(&said(&shown)).expect("it is JSON");
    let shown = &shown["plugins"][0];
    let version = &shown["version"];
    assert_eq!((&shown["door"], &shown["state"]), (&"auth".into(), &"live".into()));
    assert_eq!(version["grants"], json!(["sign"]));
    assert_eq!(version["version"], OURS);
    let number = |key: &str| version[key].as_f64().unwrap_or_else(|| panic!("{key} in {shown}"));
    assert!(number("calls") >= f64::from(CALLS), "{shown}");
    assert!(
        0.0 < number("p50_us") && number("p50_us") <= number("p99_us"),
        "{shown}"
    );
    // A page of WebAssembly is the least that an instance has.
    let (instances, bytes) = (number("instances"), number("memory_bytes"));
    assert!(instances >= 1.0 && bytes >= instances * 65_536.0, "{shown}");

    let labels = "{plugin=\"auth-pusher\",door=\"auth\"}";
    let memory = server.metric(&format!("jackfield_plugin_memory_bytes{labels}")).await;
    assert_eq!(memory as f64, bytes);
    let timed = format!("jackfield_plugin_call_seconds_count{labels}");
    assert!(server.metric(&timed).await >= u64::from(CALLS));
    let all = "jackfield_plugin_call_seconds_bucket{le=\"+Inf\",plugin=\"auth-pusher\",door=\"auth\"}";
    assert_eq!(server.metric(all).await, server.metric(&timed).await);
}

// host/docs/operating.md, `jackfield plugins`: the states of a plugin, and the version of its author's.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_how_a_change_went() {
    let server = Setup::default().with_metrics().start().await;
    let good = read(&server.plugin_file(LIMITER));
    put(&server, LIMITER, &with_section(&good, "version", "1.2.3"));
    is_live(&server, "rate-limit-local", 2).await;
    let next = shown(&server, "rate-limit-local").await;
    assert_eq!(
        (&next["state"], &next["version"]["version"]),
        (&"probation".into(), &"1.2.3".into())
    );
    assert!(plugins(&server, &["rollback", "rate-limit-local"]).status.success());
    let back = shown(&server, "rate-limit-local").await;
    assert_eq!(back["state"], "rolled back");
    assert_eq!(back["version"]["version"], OURS);
}

// host/docs/operating.md: pages in browsers are refused; where there is a token, so is whoever does not show it.
#[tokio::test]
async fn plugins_are_not_for_everybody() {
    let open = Setup::default().with_metrics().start().await;
    let asked = |header: &str| format!("GET /plugins HTTP/1.1\r\nHost: x\r\n{header}\r\n");
    let mut http = Http::connect(open.metrics_port()).await.expect("it listens");
    assert_eq!(
        http.send(&asked("Origin: http://evil.example\r\n"))
            .await
            .expect("an answer")
            .status,
        403
    );
    assert_eq!(http.send(&asked("")).await.expect("an answer").status, 200);

    let closed = Setup::default()
        .config(&format!("[admin]\ntoken = \"{TOKEN}\""))
        .with_metrics()
        .start()
        .await;
    let mut http = Http::connect(closed.metrics_port()).await.expect("it listens");
    for (header, status) in [
        (String::new(), 401),
        ("Authorization: Bearer 0123456789abcdeF\r\n".to_owned(), 401),
        (format!("Authorization: Bearer {TOKEN}\r\n"), 200),
    ] {
        assert_eq!(
            http.send(&asked(&header)).await.expect("an answer").status,
            status,
            "{header}"
        );
    }
    assert_eq!(http.get("/metrics").await.expect("an answer").status, 200);
    let without = plugins(&closed, &["list"]);
    assert!(
        !without.status.success() && said(&without).contains("show the token"),
        "{without:?}"
    );
    assert!(plugins(&closed, &["list", "--token", TOKEN]).status.success());
    let request = format!(
        "POST /plugins/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    let answer = http.send(&request).await.expect("an answer");
    assert_eq!(
        answer.json()["plugins"][0],
        json!({ "name": "adapter-local", "outcome": "unchanged" })
    );
}
