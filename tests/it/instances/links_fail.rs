//! One instance's link fails in silence; the others' do not.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::brokers::Broker;
use crate::harness::client::{Client, Heard};
use crate::harness::fault_proxy::{Fault, FaultProxy};
use crate::harness::fleet::{Fleet, Way, learns};
use crate::harness::load::Load;
use crate::harness::server::Setup;

/// Two instances with good links, and one behind what may be made bad.
struct Scene {
    fleet: Fleet,
    proxy: FaultProxy,
}

const CUT_OFF: usize = 2;

impl Scene {
    async fn of(way: impl Fn(u16) -> Way, broker: &Broker) -> Self {
        let proxy = FaultProxy::to(broker.port).await;
        let setup = |port| way(port).setup(Setup::default().with_metrics());
        let fleet = Fleet::of(vec![setup(broker.port), setup(broker.port), setup(proxy.port)]).await;
        Self { fleet, proxy }
    }
}

fn redis(port: u16) -> Way {
    Way::new("adapter-redis", "REDIS_URL", &format!("redis://127.0.0.1:{port}"))
}

fn nats(port: u16) -> Way {
    Way::new("adapter-nats", "NATS_URL", &format!("nats://127.0.0.1:{port}"))
}

// As if cables had been pulled: no connection is reset, nothing comes through any more.
#[tokio::test]
async fn an_instance_that_is_cut_off_keeps_its_sockets_and_disturbs_nobody() {
    let broker = Broker::redis().await;
    let Scene { fleet, proxy } = Scene::of(redis, &broker).await;
    let load = Load::over(&fleet).await;
    let mut ann = member(&fleet, 0, "ann").await;
    let bob = member(&fleet, 1, "bob").await;
    let _carl = member(&fleet, CUT_OFF, "carl").await;
    all_list(&fleet, &["ann", "bob", "carl"]).await;

    proxy.make(Fault::BlackHole);
    let hole = Instant::now();
    fleet.servers[CUT_OFF].reaches("jackfield_cluster_degraded", 1).await;
    let noticed = hole.elapsed();
    let refused = load.refuses(CUT_OFF, hole).await;
    for server in &fleet.servers[..CUT_OFF] {
        server.reaches("jackfield_cluster_peers", 1).await;
    }
    let alone = Instant::now();
    // What changes meanwhile, on both sides.
    drop(bob);
    let _dora = member(&fleet, CUT_OFF, "dora").await;
    let _emil = member(&fleet, 1, "emil").await;
    tokio::time::sleep(HOLE.saturating_sub(hole.elapsed())).await;
    let healed = Instant::now();
    for instance in 0..CUT_OFF {
        assert_eq!(
            load.answered(instance, 503, alone, healed),
            0,
            "nobody waits for who is gone"
        );
        assert!(load.answered(instance, 200, alone, healed) > 1);
    }
    assert_eq!(load.answered(CUT_OFF, 200, alone, healed), 0);
    assert_eq!(
        fleet.servers[CUT_OFF].ready().await.0,
        200,
        "sockets are as good here as elsewhere"
    );

    proxy.make(Fault::None);
    all_list(&fleet, &["ann", "carl", "dora", "emil"]).await;
    let equal = healed.elapsed();
    let acknowledged = load.everybody_is_acknowledged(healed).await;
    let heard = load.everybody_hears(healed).await;
    fleet.servers[CUT_OFF].reaches("jackfield_cluster_degraded", 0).await;
    let slowest = load.slowest(CUT_OFF, hole);
    let verdict = load.end().await;
    eprintln!(
        "cut off: noticed after {noticed:?}, refused after {refused:?}, no answer after more than {slowest:?}, others go on \
         after {:?}; healed: lists equal after {equal:?}, acknowledged after {acknowledged:?}, heard after {heard:?}; {verdict:?}",
        alone - hole
    );
    assert!(
        slowest < Duration::from_secs(5),
        "{slowest:?}: a publisher is told after two seconds that nobody knows"
    );
    told_once(&mut ann).await;
}

async fn member(fleet: &Fleet, instance: usize, user: &str) -> Client {
    let mut client = Client::connect(fleet.port(instance)).await;
    client.join("presence-hall", user).await;
    client
}

async fn all_list(fleet: &Fleet, users: &[&str]) {
    let users: Vec<_> = users.iter().map(|user| json!({ "id": user })).collect();
    for instance in 0..3 {
        let mut backend = fleet.publisher(instance).await;
        learns(&mut backend, "channels/presence-hall/users", &json!({ "users": users })).await;
    }
}

/// Whoever was there all the time was told of each coming and going once.
async fn told_once(ann: &mut Client) {
    ann.ping().await;
    let mut here = std::collections::BTreeSet::from(["ann".to_owned()]);
    loop {
        let message = match ann.hear().await {
            Heard::Text(message) => message,
            other => panic!("heard {other:?}"),
        };
        let user = || {
            let told = crate::harness::client::data(&message);
            told["user_id"].as_str().expect("an id").to_owned()
        };
        match message["event"].as_str().expect("a name") {
            "pusher:pong" => break,
            "pusher_internal:member_added" => assert!(here.insert(user()), "{message}"),
            "pusher_internal:member_removed" => assert!(here.remove(&user()), "{message}"),
            _ => panic!("heard {message}"),
        }
    }
    assert_eq!(here.into_iter().collect::<Vec<_>>(), ["ann", "carl", "dora", "emil"]);
}

// It accepts and answers nothing: nobody here waits for it but those who have to, and they not for long.
#[tokio::test]
async fn a_link_that_answers_nothing_holds_nobody_up() {
    let broker = Broker::nats().await;
    let Scene { fleet, proxy } = Scene::of(nats, &broker).await;
    let mut ann = Client::connect(fleet.port(CUT_OFF)).await;
    ann.subscribe("room").await;
    let mut backend = fleet.publisher(CUT_OFF).await;
    proxy.make(Fault::BlackHole);
    let hole = Instant::now();
    // Nobody has noticed yet: it is delivered here at once, and answered when time is over.
    let publish = async {
        let answer = backend.try_publish("room", "into the hole", "x").await;
        (answer, hole.elapsed())
    };
    let local = async {
        ann.expect("into the hole").await;
        ann.ping().await;
        ann.expect("pusher:pong").await;
        let mut bob = Client::connect(fleet.port(CUT_OFF)).await;
        bob.subscribe("room").await;
        (bob, hole.elapsed())
    };
    let ((answer, answered), (mut bob, served)) = tokio::join!(publish, local);
    assert_eq!(
        (answer.status, served < answered),
        (503, true),
        "{answer:?} {answered:?} {served:?}"
    );
    assert!(answered < Duration::from_secs(5), "{answered:?}");
    // Now it is known: refused at once, and delivered to nobody.
    fleet.servers[CUT_OFF].reaches("jackfield_cluster_degraded", 1).await;
    let noticed = hole.elapsed();
    crate::harness::wait::until("publishes to be refused", async || {
        let answer = backend.try_publish("room", "not at all", "x").await;
        (answer.status == 503 && answer.error().starts_with("nothing was delivered")).then_some(())
    })
    .await;
    for client in [&mut ann, &mut bob] {
        client.ping().await;
        loop {
            match client.hear().await {
                Heard::Text(message) if message["event"] == "pusher:pong" => break,
                Heard::Text(message) if message["event"] == "not at all" => {}
                other => panic!("heard {other:?}"),
            }
        }
    }
    eprintln!("half open: answered after {answered:?}, others served after {served:?}, noticed after {noticed:?}");
}

// A slow link is no fault: nobody is given up, and nobody else is slow.
#[tokio::test]
async fn a_slow_link_slows_nobody_else() {
    let broker = Broker::redis().await;
    let Scene { fleet, proxy } = Scene::of(redis, &broker).await;
    proxy.make(Fault::Delay(LATE));
    let slow = Instant::now();
    let load = Load::start("room", &fleet.ports(), &fleet.ports()).await;
    load.everybody_hears(slow).await;
    let mut ann = Client::connect(fleet.port(CUT_OFF)).await;
    ann.subscribe("room").await;
    let mut backend = fleet.publisher(CUT_OFF).await;
    for _ in 0..5 {
        let publish = async {
            backend.publish("elsewhere", "late", "x").await;
            Instant::now()
        };
        let ping = async {
            ann.ping().await;
            while !matches!(ann.hear().await, Heard::Text(message) if message["event"] == "pusher:pong") {}
            Instant::now()
        };
        let (published, pinged) = tokio::join!(publish, ping);
        assert!(pinged < published, "the link is as late as before, and nobody else");
    }
    let until = Instant::now();
    for instance in 0..CUT_OFF {
        assert_eq!(load.answered(instance, 503, slow, until), 0);
    }
    let (fast, late) = (load.slowest(0, slow), load.slowest(CUT_OFF, slow));
    let verdict = load.end().await;
    eprintln!("{LATE:?} late: answers elsewhere within {fast:?}, there within {late:?}; {verdict:?}");
    assert_eq!(verdict.closed, [0, 0, 0]);
    for server in &fleet.servers {
        assert_eq!(server.metric("jackfield_cluster_peers_expired_total").await, 0);
    }
}

// Who does not read is cut by NATS with all that waits for it. The instance is told when it reads again, and asks for what it missed.
#[tokio::test]
async fn an_instance_that_nats_cuts_as_slow_misses_nothing_in_silence() {
    let broker = Broker::nats_with("max_pending: 2MB\nwrite_deadline: \"500ms\"").await;
    let setup = || nats(broker.port).setup(Setup::default().with_metrics());
    let fleet = Fleet::of(vec![setup(), setup()]).await;
    let load = Load::start("room", &fleet.ports(), &fleet.ports()).await;
    let mut wide = Client::connect(fleet.port(1)).await;
    wide.subscribe("flood").await;
    let mut backend = fleet.publisher(0).await;
    let event = json!({ "name": "much", "channel": "flood", "data": "x".repeat(10_000) });
    let batch = json!({ "batch": vec![event; 10] }).to_string();

    fleet.servers[1].suspend();
    let suspended = Instant::now();
    let (mut requests, mut promised) = (0, 0);
    while !broker.said().contains("Slow Consumer") {
        assert!(
            suspended.elapsed() < PATIENCE,
            "{requests} requests did not make it slow"
        );
        let answer = backend.post_to("batch_events", &batch).await;
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        requests += 1;
        promised += 10 * usize::from(answer.status == 200);
    }
    let cut = suspended.elapsed();
    fleet.servers[1].resume();
    let resumed = Instant::now();
    let mut last = Duration::ZERO;
    for (listener, backend) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        last = last.max(load.acknowledges(backend, resumed).await);
        last = last.max(load.hears(listener, backend, resumed).await);
    }
    let much = hears_all_or_is_closed(&mut wide, promised).await;
    let repaired = fleet.servers[1].metric("jackfield_cluster_repaired_total").await;
    let closes = fleet.servers[1].metric("jackfield_cluster_closes_total").await;
    let verdict = load.end().await;
    eprintln!(
        "cut as slow after {cut:?} and {requests} requests; all as before {last:?} after it went on, {much} of {promised} heard, {repaired} events \
         repaired, {closes} channels given up; {verdict:?}"
    );
    assert!(repaired + closes > 0, "something was missed, and was noticed");
}

/// Longer than it takes the others to let go of an instance.
const HOLE: Duration = Duration::from_secs(15);
/// How many came of those that were promised. Fewer than all only if the connection was closed, for what was lost or as too slow.
async fn hears_all_or_is_closed(client: &mut Client, promised: usize) -> usize {
    let mut heard = 0;
    while heard < promised {
        match client.hear().await {
            Heard::Text(message) if message["event"] == "much" => heard += 1,
            Heard::Text(message) if message["event"] == "pusher:error" => {}
            Heard::Closed(4200 | 4100) => break,
            other => panic!("heard {other:?} after {heard} of {promised}"),
        }
    }
    heard
}

/// How long a server may take in what nobody reads.
const PATIENCE: Duration = Duration::from_secs(20);
const LATE: Duration = Duration::from_millis(150);
