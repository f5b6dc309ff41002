//! What the host promises to every plugin: shown by a guest that asks for it.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use jackfield_hub::doors::DoorError;
use jackfield_protocol::signature::SigningKey;
use serde_json::json;

use crate::harness::client::Client;
use crate::harness::http::DEVELOPMENT;
use crate::harness::server::{Server, Setup};
use crate::harness::stand::{Layout, Stand, guest};
use crate::harness::wait::until;

const OPERATOR: &str = "grants = [\"counters\", \"sign\"]\n[limits]\npause_after = 0";

fn probe() -> Stand {
    let layout = Layout::new().at("auth", "probe", guest("probe"));
    layout.file("probe.toml", OPERATOR).ready()
}

fn failure(stand: &Stand, order: &str) -> String {
    match stand.order(order) {
        Err(DoorError::Failed { reason, .. }) => reason,
        other => panic!("{order}: {other:?} is no failure"),
    }
}

// wit/deps/host/host.wit: "Bytes from the operating system's random source, 4,096 at most (a longer request traps)."
#[test]
fn random_bytes_are_bounded() {
    let stand = probe();
    for length in ["0", "1", "4096"] {
        assert_eq!(stand.says(&format!("random:{length}")), length);
    }
    for length in ["4097", "4294967295"] {
        let reason = failure(&stand, &format!("random:{length}"));
        assert!(reason.contains("random.bytes") && reason.contains("4096"), "{reason}");
    }
    assert_eq!(stand.report("probe").traps, 2);
    let draws: BTreeSet<String> = (0..100).map(|_| stand.says("draws")).collect();
    assert_eq!(draws.len(), 100);
}

// wit/deps/host/host.wit: "SHA-256 of `data`, as 64 lower-case hexadecimal digits." wit/deps/host/host.wit: "MD5 of `data`, as 32
// lower-case hexadecimal digits."
#[test]
fn digests_are_those_of_the_standards() {
    let stand = probe();
    // FIPS 180-2, appendix B.1, and RFC 1321, appendix A.5.
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(stand.says("sha256:abc"), sha256);
    assert_eq!(stand.says("md5:abc"), "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(stand.says("md5:"), "d41d8cd98f00b204e9800998ecf8427e");
}

// wit/deps/host/host.wit: "Compared in constant time. False also for anything that is not 64 lower-case hexadecimal digits"
#[test]
fn only_the_right_signature_is_one() {
    let stand = probe();
    let right = SigningKey::new(DEVELOPMENT.secret.as_bytes()).sign_hex(b"text");
    let other = SigningKey::new(b"another secret").sign_hex(b"text");
    for (message, signature, wanted) in [
        ("text", right.as_str(), "true"),
        ("texts", &right, "false"),
        ("text", &other, "false"),
        ("text", &right.to_uppercase(), "false"),
        ("text", &right[..63], "false"),
        ("text", &format!("{right}0"), "false"),
        ("text", &"ü".repeat(32), "false"),
        ("text", "", "false"),
    ] {
        let order = format!("verify:{message} {signature}");
        assert_eq!(stand.says(&order), wanted, "{order}");
    }
}

// wit/deps/host/host.wit: "False also for anything that is not 64 lower-case hexadecimal digits, and where there is no question."
#[test]
fn no_signature_is_right_before_the_first_question() {
    let right = SigningKey::new(DEVELOPMENT.secret.as_bytes()).sign_hex(b"text");
    let order = format!("verify:text {right}");
    let layout = Layout::new()
        .at("auth", "probe", guest("probe"))
        .file("probe.toml", OPERATOR);
    let stand = layout
        .config("probe", &json!({ "at-start": order }).to_string())
        .ready();
    assert_eq!(stand.says("at-start"), "false");
    assert_eq!(stand.says(&order), "true");
    assert_eq!(stand.says("at-start"), "false", "it is what `init` was told");
}

// wit/deps/host/host.wit: "Microseconds on the host's monotonic clock. The zero is arbitrary and the same for every plugin of this
// process." wit/deps/host/host.wit: "Milliseconds since 1970-01-01T00:00:00Z by the host's wall clock."
#[test]
fn clocks_go_forwards_and_agree() {
    let probe = guest("probe");
    let layout = Layout::new().at("auth", "first", &probe).at("auth", "second", &probe);
    let layout = layout.config("first", r#"{"always":"clock"}"#);
    let stand = layout
        .file("first.toml", OPERATOR)
        .file("second.toml", OPERATOR)
        .ready();
    let mut last = 0;
    for _ in 0..100 {
        let said = stand.says("");
        let numbers: Vec<u64> = said.split(' ').map(|word| word.parse().expect("a number")).collect();
        let [before, unix_ms, after] = numbers[..] else {
            panic!("{said}")
        };
        assert!(last <= before && before <= after, "{said} behind {last}");
        last = after;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        // Half a minute for a machine that does something else meanwhile.
        assert!((now.as_millis() as u64).abs_diff(unix_ms) < 30_000, "{said}");
    }
}

// wit/deps/host/host.wit: "Adds `by` to the counter `name` (`[a-z0-9_]`, 48 bytes). A plugin has 32 counters; further names are
// ignored."
#[test]
fn a_plugin_has_so_many_counters() {
    let stand = probe();
    let longest = "x".repeat(48);
    for name in ["", "Upper", "a-b", "ü", "a b", &"x".repeat(49)] {
        stand.says(&format!("count:{name}"));
    }
    assert_eq!(stand.report("probe").counters.len(), 0);
    for _ in 0..2 {
        stand.says(&format!("count:{longest}"));
        stand.says("count-many:31");
    }
    stand.says("count-many:100");
    let counters = stand.report("probe").counters;
    assert_eq!((counters.len(), counters[&longest], counters["name_30"]), (32, 2, 3));
    // What another instance counted is added to it.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| stand.says(&format!("count:{longest}")));
        }
    });
    assert_eq!(stand.report("probe").counters[&longest], 6);
}

// wit/deps/host/host.wit: "An interface is linked only if it is granted: `log`, `clock`, `random`, `digest` and `wait` always are,
// the others by a line in `plugins/NAME.toml`; `handshake` and `request` come with the auth door, `cluster` and `peers` with the adapter
// door."
#[test]
fn what_is_not_granted_is_not_there() {
    let probe = guest("probe");
    for (operator, missing) in [
        ("", "grants = ["),
        ("grants = [\"counters\"]", "grants = [\"sign\"]"),
        ("grants = [\"sign\"]", "grants = [\"counters\"]"),
    ] {
        let layout = Layout::new().at("auth", "probe", &probe).file("probe.toml", operator);
        let faults = layout.stand().registry.faults();
        assert!(
            faults.iter().any(|fault| fault.contains(missing)),
            "{operator}: {faults:?}"
        );
    }
}

/// A server with the probe in its chain, and a client that gives it an order.
async fn ordered(order: &str) -> (Server, Client) {
    let server = Setup::default()
        .guest("probe")
        .file("probe.toml", OPERATOR)
        .config("[auth]\nchain = [\"probe\", \"auth-pusher\"]")
        .start()
        .await;
    let mut client = Client::connect(server.port).await;
    give(&mut client, order).await;
    (server, client)
}

async fn give(client: &mut Client, order: &str) {
    let data = json!({ "channel": "room", "auth": order });
    client.send(json!({ "event": "pusher:subscribe", "data": data })).await;
    client.expect("pusher:subscription_error").await;
}

/// The lines of the log that hold this text, once there is one.
async fn lines(server: &Server, text: &str) -> Vec<String> {
    until(&format!("`{text}` in the log"), async || {
        let log = server.errors();
        let lines: Vec<String> = log
            .lines()
            .filter(|line| line.contains(text))
            .map(str::to_owned)
            .collect();
        (!lines.is_empty()).then_some(lines)
    })
    .await
}

// wit/deps/host/host.wit: "Writes one line to the host's log under the plugin's name." wit/deps/host/host.wit: "Control characters
// are replaced, lines over 2,048 bytes are cut, and lines over 100 a second are counted and dropped."
#[tokio::test]
async fn a_line_of_the_log_is_one_line() {
    let (server, mut client) = ordered("log-dirty").await;
    let dirty = lines(&server, "dirty begins").await;
    assert!(
        dirty[0].contains("dirty ends") && dirty[0].contains("probe"),
        "{dirty:?}"
    );
    assert!(!dirty[0].chars().any(char::is_control), "{dirty:?}");

    give(&mut client, "log-long:ü").await;
    let long = &lines(&server, "üü").await[0];
    let kept = long.matches('ü').count() * 'ü'.len_utf8();
    assert_eq!(kept, 2_048, "bytes, not characters");
}

// wit/deps/host/host.wit: "lines over 100 a second are counted and dropped."
#[tokio::test]
async fn a_flood_of_lines_is_counted_and_dropped() {
    // 250 lines in one call; the next one, a second later, tells how many were lost.
    let (server, mut client) = ordered("log-lines:250").await;
    let flood = lines(&server, "of the probe").await;
    let told = until("the lost lines to be told", async || {
        give(&mut client, "log-lines:1").await;
        let log = server.errors();
        log.lines()
            .find(|line| line.contains("were dropped"))
            .map(str::to_owned)
    })
    .await;
    assert!((100..250).contains(&flood.len()), "{} lines", flood.len());
    assert!(told.contains("probe") && told.contains("dropped="), "{told}");
    // Others are heard all the while.
    assert!(server.errors().contains("auth-pusher"));
}
