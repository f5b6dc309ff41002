//! The ways to have the configuration read again, and what becomes of one that is no good.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{configure, load, misconfigure, rewritten, told, unharmed, write};
use crate::harness::client::Client;
use crate::harness::http::{Http, get};
use crate::harness::server::{Server, Setup, jackfield};
use crate::harness::wait::until;

async fn server() -> Server {
    Setup::default().with_metrics().start().await
}

async fn counted(server: &Server, outcome: &str) -> u64 {
    let name = format!("jackfield_config_reloads_total{{outcome=\"{outcome}\"}}");
    server.metric(&name).await
}

async fn is_counted(server: &Server, outcome: &str, wanted: u64) {
    let name = format!("jackfield_config_reloads_total{{outcome=\"{outcome}\"}}");
    server.reaches(&name, wanted).await;
}

/// Whether one more connection gets in.
async fn has_room(server: &Server) -> bool {
    let mut client = Client::open(server.port, "/app/app-key?protocol=7").await;
    let crate::harness::client::Heard::Text(first) = client.hear().await else {
        panic!("it was not greeted");
    };
    first["event"] == "pusher:connection_established"
}

/// Runs `jackfield reload`.
fn reload(server: &Server, more: &[&str]) -> Output {
    let port = server.metrics_port().to_string();
    let mut command = jackfield();
    command.args(["reload", "--port", &port]).args(more);
    command.output().expect("JACKFIELD_BIN can be run")
}

fn said(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{output:?} is not JSON: {error}"))
}

// host/docs/changing-things.md: "named with file, line and key", and the one before holds, whole.
#[tokio::test]
async fn a_configuration_with_a_mistake_changes_nothing() {
    let server = server().await;
    let load = load(&server).await;
    for (number, (text, part)) in [
        ("max_connections = 1\nactivity_timeout =", "jackfield.toml:6: "),
        (
            "max_connections = 1\nactivity_timout = 9",
            "jackfield.toml:6: unknown key `activity_timout`; did you mean",
        ),
        (
            "max_connections = 1\n[auth]\nchain = 7",
            "jackfield.toml:7: `auth.chain`: invalid type",
        ),
        (
            "max_connections = 1\n[[apps]]\nid = \"7\"\nkey = \"k\"\nsecret = \"\"",
            "jackfield.toml:9: `apps[0].secret`: ",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        write(&server, text);
        is_counted(&server, "refused", number as u64 + 1).await;
        let told = told(&server).await;
        let reason = told["last_refusal"]["reason"].as_str().expect("a text");
        assert!(reason.contains(part), "{reason}");
        assert_eq!(told["generation"], 1);
        let log = server.errors();
        assert_eq!(log.matches(part).count(), 1, "one line: {log}");
        for _ in 0..2 {
            assert!(has_room(&server).await, "{part}");
        }
    }
    configure(&server, "max_connections = 2").await;
    assert_eq!(counted(&server, "applied").await, 1);
    unharmed(load).await;
}

// host/docs/changing-things.md: "What takes a restart".
#[tokio::test]
async fn a_key_that_holds_for_life_takes_a_restart() {
    let server = server().await;
    let load = load(&server).await;
    for (text, place) in [
        ("[instance]\nprocess_id = \"another\"", ":7: `instance.process_id`: "),
        ("[cluster]\nkey = \"0123456789abcdef\"", ":7: `cluster.key`: "),
        ("plugins = \"elsewhere\"", ":6: `plugins`: "),
        ("cache = { enabled = false }", ":6: `cache`: "),
    ] {
        let reason = misconfigure(&server, &format!("max_connections = 1\n{text}")).await;
        assert!(reason.contains(place) && reason.contains("takes a restart"), "{reason}");
        write(&server, "");
        until("the refusal to be over", async || {
            told(&server).await["last_refusal"].is_null().then_some(())
        })
        .await;
    }
    assert!(has_room(&server).await && has_room(&server).await);
    unharmed(load).await;
}

#[tokio::test]
async fn a_signal_has_it_read_again() {
    let server = server().await;
    server.hang_up();
    is_counted(&server, "unchanged", 1).await;
    misconfigure(&server, "port = 1").await;
    server.hang_up();
    is_counted(&server, "refused", 2).await;
    let text = rewritten(&server, "max_connections = 1");
    fs::write(server.config_file(), text).expect("the folder is ours");
    server.hang_up();
    is_counted(&server, "applied", 1).await;
    let client = Client::connect(server.port).await;
    assert!(!has_room(&server).await);
    drop(client);
}

// As Kubernetes changes a mounted file: it is a link into a folder that is a link, and only that one is changed.
#[tokio::test]
async fn a_link_that_points_elsewhere_is_a_new_configuration() {
    let server = server().await;
    let file = server.config_file();
    let folder = file.parent().expect("it is in a folder");
    for (name, connections) in [("..one", 1), ("..two", 2)] {
        fs::create_dir(folder.join(name)).expect("the folder is ours");
        let text = rewritten(&server, &format!("max_connections = {connections}"));
        fs::write(folder.join(name).join("jackfield.toml"), text).expect("the folder is ours");
    }
    symlink("..one", folder.join("..data")).expect("the folder is ours");
    symlink("..data/jackfield.toml", folder.join("link")).expect("the folder is ours");
    fs::rename(folder.join("link"), file).expect("the folder is ours");
    is_counted(&server, "applied", 1).await;
    let first = Client::connect(server.port).await;
    assert!(!has_room(&server).await);
    symlink("..two", folder.join("..data_tmp")).expect("the folder is ours");
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("the folder is ours");
    is_counted(&server, "applied", 2).await;
    let second = Client::connect(server.port).await;
    assert!(!has_room(&server).await);
    drop((first, second));
}

#[tokio::test]
async fn a_configuration_in_json_is_read_again_too() {
    let server = Setup::default().json().with_metrics().start().await;
    let text = fs::read_to_string(server.config_file()).expect("the harness put it there");
    let changed = text.replace("\"activity_timeout\": 120", "\"activity_timeout\": 60 // less");
    fs::write(server.config_file(), changed).expect("the folder is ours");
    is_counted(&server, "applied", 1).await;
    let mut client = Client::open(server.port, "/app/app-key?protocol=7").await;
    let greeting = client.expect("pusher:connection_established").await;
    assert_eq!(crate::harness::client::data(&greeting)["activity_timeout"], 60);
    fs::write(
        server.config_file(),
        text.replace("\"activity_timeout\": 120", "\"activity_timeout\": \"often\""),
    )
    .expect("the folder is ours");
    is_counted(&server, "refused", 1).await;
    let told = told(&server).await;
    let reason = told["last_refusal"]["reason"].as_str().expect("a text");
    assert!(reason.contains("jackfield.json:6: `activity_timeout`"), "{reason}");
}

// Whoever copies slowly is waited for: half a file is not read.
#[tokio::test]
async fn a_slow_copy_of_a_configuration_is_read_when_it_is_whole() {
    let server = server().await;
    let text = rewritten(&server, &format!("# {}\nmax_connections = 1", "x".repeat(1_000)));
    let began = Instant::now();
    for end in (0..10).map(|part| text.len() * (part + 1) / 10) {
        fs::write(server.config_file(), &text[..end]).expect("the folder is ours");
        tokio::time::sleep(Duration::from_millis(100)).await;
        if end < text.len() {
            assert_eq!(told(&server).await["generation"], 1, "after {:?}", began.elapsed());
        }
    }
    is_counted(&server, "applied", 1).await;
    assert_eq!(counted(&server, "refused").await, 0);
}

// host/docs/changing-things.md, `jackfield reload`.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_has_it_read_again() {
    let server = server().await;
    let same = reload(&server, &[]);
    assert!(same.status.success(), "{same:?}");
    assert_eq!(said(&same), json!({ "outcome": "unchanged", "generation": 1 }));

    fs::write(server.config_file(), rewritten(&server, "max_connections = 1")).expect("the folder is ours");
    let changed = reload(&server, &[]);
    assert!(changed.status.success(), "{changed:?}");
    assert_eq!(
        said(&changed),
        json!({ "outcome": "applied", "generation": 2, "changes": ["max_connections"] })
    );
    let shown = told(&server).await;
    assert_eq!(shown["file"], server.config_file().display().to_string());
    assert!(shown["since_unix_s"].as_u64() > Some(1_700_000_000), "{shown}");

    fs::write(server.config_file(), "port = ").expect("the folder is ours");
    let refused = reload(&server, &[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let answer = said(&refused);
    assert_eq!(
        (&answer["outcome"], &answer["generation"]),
        (&"refused".into(), &2.into())
    );
    assert!(
        answer["reason"].as_str().expect("a text").contains("jackfield.toml:1"),
        "{answer}"
    );
    let log = server.errors();
    assert_eq!(log.matches("an operator reloads the configuration").count(), 3, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_changed_and_no_secret_is_told() {
    let (old, new) = ("the-first-token-0", "the-second-token-0");
    let section = |token: &str| format!("[admin]\ntoken = \"{token}\"");
    let server = Setup::default().config(&section(old)).with_metrics().start().await;
    assert!(reload(&server, &["--token", old]).status.success());
    assert!(!reload(&server, &[]).status.success());
    let app = "[[apps]]\nid = \"7\"\nkey = \"seven\"\nsecret = \"hush-hush\"";
    let text = rewritten(&server, &format!("{}\n{app}", section(new)));
    fs::write(server.config_file(), text).expect("the folder is ours");
    let changed = reload(&server, &["--token", old]);
    let changes = json!(["admin.token", "apps[7] (new)"]);
    assert_eq!(said(&changed)["changes"], changes, "{changed:?}");
    assert!(!reload(&server, &["--token", old]).status.success());
    assert!(reload(&server, &["--token", new]).status.success());

    assert_eq!(get(server.metrics_port(), "/config").await.status, 401);
    let mut http = Http::connect(server.metrics_port()).await.expect("it listens");
    let request = format!("GET /config HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {new}\r\n\r\n");
    let shown = http.send(&request).await.expect("an answer");
    assert_eq!(shown.json()["generation"], 2);
    for secret in [old, new, "hush-hush"] {
        assert!(
            !shown.body.contains(secret) && !server.errors().contains(secret),
            "{secret}"
        );
    }
}

// host/docs/changing-things.md shows commands; these are those, at the ports of a server of our own.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_do_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/docs/changing-things.md");
    let page = fs::read_to_string(page).expect("it is there");
    let (_, behind) = page
        .split_once("<!-- commands -->\n```sh\n")
        .expect("the page marks them");
    let (commands, _) = behind.split_once("```").expect("the block ends");
    let server = Setup::default()
        .config("max_connections = 1")
        .with_metrics()
        .start()
        .await;
    let _only = Client::connect(server.port).await;
    assert!(!has_room(&server).await);
    let folder = server.config_file().parent().expect("it is in a folder");
    symlink(jackfield().get_program(), folder.join("jackfield")).expect("the folder is ours");
    let port = server.metrics_port();
    let commands = commands.replace("jackfield reload", &format!("./jackfield reload --port {port}"));
    let output = Command::new("sh").args(["-ec", &commands]).current_dir(folder).output();
    let output = output.expect("there is a shell");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said(&output)["changes"], json!(["max_connections"]), "{output:?}");
    assert!(has_room(&server).await);
}
