//! Single calls that go wrong in ways of their own, and the call that goes well however busy the machine is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jackfield_hub::doors::{Answer, DoorError, Permission, Verdict};
use serde_json::json;

use crate::harness::client::Client;
use crate::harness::server::{Setup, named, place};
use crate::harness::stand::{Layout, component, guest};
use crate::harness::wait::{GLANCE, until};

fn reason(answer: Result<Verdict, DoorError>) -> String {
    match answer {
        Err(DoorError::Failed { reason, .. }) => reason,
        other => panic!("{other:?} is no failure"),
    }
}

// host/docs/misbehaving-plugins.md: "what it hands to the host in one call | `host_call_kb` | 1,024 | 65,536 | trap".
#[test]
fn an_answer_that_is_too_large_is_not_taken_in() {
    let operator = "grants = [\"counters\", \"sign\"]\n[limits]\npause_after = 0\ncpu_ms = 1000";
    let layout = Layout::new().at("auth", "probe", guest("probe"));
    let stand = layout.file("probe.toml", operator).ready();
    for (bytes, fits) in [
        (1_000_000, true),
        (1_100_000, false),
        (8 << 20, false),
        (1_000_000, true),
    ] {
        let answer = stand.order(&format!("message:{bytes}"));
        assert_eq!(answer.is_ok(), fits, "{bytes}");
    }
    let generous = format!("{operator}\nhost_call_kb = 65536\nmemory_mb = 128");
    let layout = Layout::new().at("auth", "probe", guest("probe"));
    let stand = layout.file("probe.toml", generous).ready();
    // Taken in, and cut before anybody sees it.
    assert_eq!(stand.says(&format!("message:{}", 8 << 20)).len(), 2_048);
    assert_eq!(stand.says("dirty"), "one two [31mthree four ");
}

// host/docs/misbehaving-plugins.md: "memory that one question takes anew; not of an adapter, nor of a plugin that waits | | an eighth of
// `memory_mb` | | trap".
#[test]
fn a_question_takes_an_eighth_of_the_memory_at_most() {
    let operator = "grants = [\"counters\", \"sign\"]\n[limits]\npause_after = 0\ncpu_ms = 1000\nhost_call_kb = 65536";
    let layout = Layout::new().at("auth", "probe", guest("probe"));
    let stand = layout.file("probe.toml", operator).ready();
    let says = |bytes: usize| stand.order(&format!("message:{bytes}"));
    assert!(says(1_500_000).is_ok());
    let reason = reason(says(2_500_000));
    assert!(
        reason.contains("more than an eighth of `limits.memory_mb` anew"),
        "{reason}"
    );
    assert!(says(1_500_000).is_ok());
}

// Calls of the host count: a guest cannot hide its time in them.
#[test]
fn time_spent_in_the_host_is_the_guests() {
    let operator = "grants = [\"counters\", \"sign\"]\n[limits]\npause_after = 0\nhost_call_kb = 65536";
    let layout = Layout::new()
        .at("auth", "probe", guest("probe"))
        .file("probe.toml", operator);
    let stand = layout.ready();
    let reason = reason(stand.order(&format!("count-many:{}", u64::MAX)));
    assert!(reason.contains("interrupt"), "{reason}");
    assert_eq!(stand.report("probe").counters.len(), 32);
    assert!(stand.order("allow").is_ok());
}

// A plugin that cannot be started again is not started at every question: that counts like a trap.
#[test]
fn a_plugin_that_starts_no_more_is_paused() {
    let sound_until = unix_ms() + SOUND_MS;
    let config = json!({ "start": "trap", "sound_until_ms": sound_until }).to_string();
    let layout = Layout::new()
        .at("auth", "misbehave", guest("misbehave"))
        .config("misbehave", &config);
    let stand = layout.file("misbehave.toml", "[limits]\npause_after = 5").ready();
    // This thread has an instance of its own now.
    assert!(stand.ask(&stand.subscription("room", "", None)).is_ok());
    thread::sleep(Duration::from_millis(sound_until.saturating_sub(unix_ms())));
    let ask = |channel: &str| reason(stand.ask(&stand.subscription(channel, "", None)));
    assert!(ask("trap-room").contains("was stopped"));
    // Two of them weigh more than five traps. Between them it rests; on a busy machine the trap has taken long enough to weigh as much.
    let asked = (0..ASKED).map(|_| {
        thread::sleep(GLANCE);
        ask("room")
    });
    let (failed, paused): (Vec<_>, Vec<_>) = asked.partition(|reason| reason.contains("init failed"));
    assert!((1..=2).contains(&failed.len()), "{failed:?}");
    assert!(paused.iter().all(|reason| reason.contains("paused")), "{paused:?}");
    let report = stand.report("misbehave");
    assert_eq!((report.traps, report.paused), (1 + failed.len() as u64, true));
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_millis() as u64
}

// The asker of a plugin that waits goes away, again and again: that is nobody's fault, and stops nobody.
#[test]
fn an_asker_that_goes_away_takes_its_question_along() {
    let stand = Layout::new().at("auth", "stall", guest("stall")).ready();
    let authorizer = stand.registry.authorizer();
    stand.run(async {
        for number in 0..GOERS {
            // Some leave before the call has begun, some while the guest waits.
            let claim = stand.subscription(&format!("slow-{number}"), "", None);
            let Answer::Pending(mut asked) = authorizer.check(&claim) else {
                panic!("an io plugin's answer is to be waited for");
            };
            let under_way = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(under_way.is_pending());
            if number % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
    });
    let answer = stand.ask(&stand.subscription("room", "", None));
    assert!(matches!(answer, Ok(Verdict::Refuse(_))), "{answer:?}");
    let report = stand.report("stall");
    assert_eq!((report.traps, report.paused), (0, false));
}

// host/docs/misbehaving-plugins.md: "on a busy machine a harmless plugin is not stopped because it had to wait for a core."
#[test]
fn a_harmless_plugin_is_never_stopped() {
    let calls = named("JACKFIELD_CALLS").map_or(CALLS, |calls| {
        let calls = calls.to_str().and_then(|calls| calls.parse().ok());
        calls.expect("JACKFIELD_CALLS is a number")
    });
    let name = "auth-pusher";
    let layout = Layout::new().at("auth", name, component(&place("JACKFIELD_PLUGINS_BUILT"), name));
    let stand = layout.file("auth-pusher.toml", "grants = [\"sign\"]").ready();
    let claim = stand.subscription("room", "", None);
    let authorizer = stand.registry.authorizer();
    let spin = Arc::new(AtomicBool::new(true));
    thread::scope(|scope| {
        for _ in 0..SPINNERS {
            let spin = Arc::clone(&spin);
            scope.spawn(move || {
                while spin.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let allowed = Ok(Verdict::Allow(Permission::default()));
        let well =
            (0..calls).filter(|_| matches!(authorizer.check(&claim), Answer::Ready(answer) if answer == allowed));
        let well = well.count() as u64;
        spin.store(false, Ordering::Relaxed);
        assert_eq!(well, calls);
    });
    assert_eq!(stand.report(name).traps, 0);
}

// One plugin floods the log; another one's line is not lost.
#[tokio::test]
async fn a_flood_does_not_drown_others() {
    let server = Setup::default()
        .guest("misbehave")
        .guest("probe")
        .file("probe.toml", "grants = [\"counters\", \"sign\"]")
        .file("misbehave.toml", "[limits]\npause_after = 0")
        .config("[auth]\nchain = [\"misbehave\", \"probe\", \"auth-pusher\"]")
        .start()
        .await;
    let mut client = Client::connect(server.port).await;
    for round in 0..100 {
        client.refused(&format!("chatter-{round}")).await;
    }
    let order = json!({ "channel": "room", "auth": "log-lines:3" });
    client.send(json!({ "event": "pusher:subscribe", "data": order })).await;
    client.expect("pusher:subscription_error").await;
    let log = until("the probe's lines", async || {
        let log = server.errors();
        log.contains("line 2 of the probe").then_some(log)
    })
    .await;
    let lines = log.lines().filter(|line| line.contains("chatter of misbehave")).count() as u64;
    let seconds = log.lines().filter(|line| line.contains("were dropped")).count() as u64 + 1;
    assert!(
        lines > 0 && lines <= seconds * 100,
        "{lines} lines in {seconds} seconds"
    );
}

/// For how long a plugin can be started that cannot be later on: longer than it takes to load it.
const SOUND_MS: u64 = 3_000;
/// Questions to one that cannot be started, over several times as long as it rests.
const ASKED: usize = 20;
/// Askers that go away, as many as a test run can bear.
const GOERS: u32 = 10_000;
/// Calls of a harmless plugin. `JACKFIELD_CALLS` says another number: a release is tried with ten million.
const CALLS: u64 = 1_000_000;
/// Threads that want every core for themselves.
const SPINNERS: u32 = 6;

// host/docs/operating.md, `jackfield plugins`: the memory that is told is that of instances that there are.
#[test]
fn memory_that_was_given_back_is_not_told() {
    let layout = Layout::new().at("auth", "misbehave", guest("misbehave"));
    // It does not rest either.
    let stand = layout.file("misbehave.toml", "[limits]\npause_after = 0").ready();
    let told = || {
        let report = stand.report("misbehave");
        (report.instances, report.memory_bytes)
    };
    let asked = |channel: &str| stand.ask(&stand.subscription(channel, "", None));
    assert!(asked("room").is_ok());
    let (instances, bytes) = told();
    assert!(
        instances >= 1 && bytes >= instances * 65_536,
        "{bytes} B of {instances}"
    );
    for way in ["memory-room", "deep-room", "trap-room"] {
        assert!(asked(way).is_err());
        // Another thread drops what was stopped.
        let gone = || told().0 == instances - 1 && told().1 < bytes;
        stand.run(until(way, async || gone().then_some(())));
        assert!(asked("room").is_ok());
        assert_eq!(told(), (instances, bytes), "{way}");
    }
}
