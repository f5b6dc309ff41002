//! examples/auth-http in a running server, before a real application: its answers decide, and its absence harms nobody but
//! who needs it.

use serde_json::{Value, json};

use crate::harness::client::{Client, Heard, data};
use crate::harness::http::Publisher;
use crate::harness::node::Node;
use crate::harness::server::{Server, Setup, free_port};
use crate::harness::wait::until;

/// An application and a server that asks it.
struct Scene {
    application: Node,
    server: Server,
}

impl Scene {
    async fn new() -> Self {
        Self::with("").await
    }

    /// `limits` go into the operator's file.
    async fn with(limits: &str) -> Self {
        let mut application = Node::start("application", &[]);
        let listening = application.sees(&json!({ "saw": "listening" })).await;
        let port = listening["port"].as_u64().expect("a port");
        let server = asking(port, &operator(&format!("http://127.0.0.1:{port}"), limits)).await;
        Self { application, server }
    }

    /// Waits until the application was asked about this channel.
    async fn asked(&mut self, channel: &str) -> Value {
        self.application
            .sees(&json!({ "saw": "question", "channel": channel }))
            .await
    }

    async fn release(&mut self) -> u64 {
        self.application.tell(&json!({ "do": "release" }));
        let released = self.application.sees(&json!({ "saw": "released" })).await;
        released["count"].as_u64().expect("a number")
    }
}

fn operator(place: &str, limits: &str) -> String {
    format!(
        "grants = [\"http\"]\n[http]\nallow = [\"{place}\"]\nprivate = true\n\
         headers = {{ Authorization = \"Bearer {SECRET}\" }}\n[limits]\n{limits}"
    )
}

/// A server that asks at this port.
async fn asking(port: u64, operator: &str) -> Server {
    let config = format!(
        "[auth]\nchain = [\"auth-http\", \"auth-pusher\"]\nheaders = [\"cookie\"]\n\
         [plugin.auth-http]\nurl = \"http://127.0.0.1:{port}/realtime\""
    );
    Setup::default()
        .guest("auth-http")
        .file("auth-http.toml", operator)
        .config(&config)
        .with_metrics()
        .start()
        .await
}

/// Asks to subscribe with a token that the application knows.
async fn ask(client: &mut Client, channel: &str, token: &str) {
    let data = json!({ "channel": channel, "auth": token });
    client.send(json!({ "event": "pusher:subscribe", "data": data })).await;
}

async fn refused(client: &mut Client, channel: &str) -> Value {
    ask(client, channel, "token").await;
    let answer = client.expect("pusher:subscription_error").await;
    assert_eq!(answer["channel"], channel);
    answer["data"].clone()
}

async fn allowed(client: &mut Client, channel: &str) -> Value {
    ask(client, channel, "7").await;
    let answer = client.expect("pusher_internal:subscription_succeeded").await;
    assert_eq!(answer["channel"], channel);
    answer
}

// examples/auth-http: "the server's answer decides".
#[tokio::test]
async fn the_application_decides() {
    let mut scene = Scene::new().await;
    let mut client = Client::connect(scene.server.port).await;
    allowed(&mut client, "private-allowed").await;
    Publisher::new(scene.server.port)
        .await
        .publish("private-allowed", "greeting", "{}")
        .await;
    client.expect("greeting").await;
    let refusal = refused(&mut client, "private-refused").await;
    assert_eq!(
        (&refusal["status"], &refusal["error"]),
        (&json!(403), &json!("Ada is on holiday"))
    );
    // It left this one to the next in the chain, which wants a signature.
    assert_eq!(refused(&mut client, "private-left").await["status"], 401);
    client.subscribe("private-left").await;
    // Public channels are not its business.
    client.subscribe("room").await;
    let question = scene.asked("private-allowed").await;
    assert_eq!(
        (&question["auth"], &question["socket_id"]),
        (&json!("7"), &json!(client.socket_id))
    );
    assert!(!scene.application.saw(&json!({ "channel": "room" })));
}

// host/docs/misbehaving-plugins.md: "Added by the host. The plugin neither sees nor overrides them."
#[tokio::test]
async fn the_host_adds_what_the_plugin_must_not_see() {
    let mut scene = Scene::new().await;
    let mut client = Client::connect(scene.server.port).await;
    allowed(&mut client, "private-allowed").await;
    let question = scene.asked("private-allowed").await;
    assert_eq!(question["authorization"], format!("Bearer {SECRET}"));
    assert!(!scene.server.errors().contains(SECRET), "secrets are not logged");
}

// wit/deps/auth: "Who the client is in the presence channel that it subscribes to, in place of what `channel_data` or its signin
// says."
#[tokio::test]
async fn the_application_names_the_member() {
    let scene = Scene::new().await;
    let mut first = Client::connect(scene.server.port).await;
    let mut second = Client::connect(scene.server.port).await;
    ask(&mut first, "presence-named-room", "ada").await;
    first.expect("pusher_internal:subscription_succeeded").await;
    let request =
        json!({ "channel": "presence-named-room", "auth": "bob", "channel_data": "{\"user_id\":\"intruder\"}" });
    second
        .send(json!({ "event": "pusher:subscribe", "data": request }))
        .await;
    let answer = second.expect("pusher_internal:subscription_succeeded").await;
    let hash = json!({ "ada": { "name": "user ada" }, "bob": { "name": "user bob" } });
    assert_eq!(data(&answer)["presence"]["hash"], hash);
    let added = first.expect("pusher_internal:member_added").await;
    assert_eq!(
        data(&added),
        json!({ "user_id": "bob", "user_info": { "name": "user bob" } })
    );
}

// wit/deps/auth: "After so many milliseconds the permission ends: … or the channel unsubscribed."
#[tokio::test]
async fn the_application_says_for_how_long() {
    let scene = Scene::new().await;
    let mut client = Client::connect(scene.server.port).await;
    allowed(&mut client, "private-brief").await;
    let publisher = &mut Publisher::new(scene.server.port).await;
    until("the permission to end", async || {
        let answer = publisher.get("channels/private-brief", &[]).await;
        (answer.json()["occupied"] == false).then_some(())
    })
    .await;
    client.ping().await;
    until("the connection to go on", async || match client.hear().await {
        Heard::Text(message) => (message["event"] == "pusher:pong").then_some(()),
        other => panic!("{other:?}"),
    })
    .await;
}

// examples/auth-http: "anything else, or nothing | refused with 424: who cannot be asked has not agreed".
#[tokio::test]
async fn an_application_that_is_down_refuses_what_it_would_be_asked() {
    let Scene { application, server } = Scene::new().await;
    let mut client = Client::connect(server.port).await;
    for channel in ["private-broken", "private-huge"] {
        let refusal = refused(&mut client, channel).await;
        assert_eq!(refusal["status"], 424, "{channel}: {refusal}");
        assert!(!refusal.to_string().contains("not for clients"), "{refusal}");
    }
    assert!(server.errors().contains("TooLarge"), "{}", server.errors());
    drop(application);
    let refusal = refused(&mut client, "private-allowed").await;
    assert_eq!(refusal["status"], 424);
    client.subscribe("room").await;
    Publisher::new(server.port)
        .await
        .publish("room", "greeting", "{}")
        .await;
    client.expect("greeting").await;
    assert_eq!(server.ready().await.0, 200, "the plugin is well");
    assert_eq!(server.traps("auth-http", "auth").await, 0);
}

// ARCHITECTURE.md: "later messages of that connection queue behind a pending one, bounded; … nobody else waits".
#[tokio::test]
async fn who_asks_waits_and_nobody_else() {
    let mut scene = Scene::new().await;
    let mut client = Client::connect(scene.server.port).await;
    let mut other = Client::connect(scene.server.port).await;
    ask(&mut client, "private-slow-room", "7").await;
    scene.asked("private-slow-room").await;
    client.ping().await;
    // Meanwhile others come, ask the same application and hear.
    allowed(&mut other, "private-allowed").await;
    Publisher::new(scene.server.port)
        .await
        .publish("private-allowed", "greeting", "{}")
        .await;
    other.expect("greeting").await;
    assert_eq!(scene.release().await, 1);
    let answer = client.expect("pusher_internal:subscription_succeeded").await;
    assert_eq!(answer["channel"], "private-slow-room");
    client.expect("pusher:pong").await;
}

// host/docs/misbehaving-plugins.md: "time to an answer, for plugins that wait | `deadline_ms` | … | refused, instance thrown away".
#[tokio::test]
async fn an_application_that_takes_too_long_refuses() {
    let mut scene = Scene::with("deadline_ms = 300").await;
    let mut client = Client::connect(scene.server.port).await;
    let refusal = refused(&mut client, "private-slow-room").await;
    // Its own request and the whole call have the same deadline: whichever is seen first, the answer is a refusal.
    assert!([json!(424), json!(503)].contains(&refusal["status"]), "{refusal}");
    scene.application.sees(&json!({ "saw": "gone" })).await;
    allowed(&mut client, "private-allowed").await;
}

// wit/deps/host: "The operator does not allow this place, or it is a private address and `[http] private` is not set."
#[tokio::test]
async fn a_place_that_is_not_allowed_is_not_asked() {
    let mut application = Node::start("application", &[]);
    let listening = application.sees(&json!({ "saw": "listening" })).await;
    let port = listening["port"].as_u64().expect("a port");
    let place = format!("http://127.0.0.1:{port}");
    let elsewhere = operator(&format!("http://127.0.0.1:{}", free_port()), "");
    let other_path = operator(&format!("{place}/other"), "");
    let public = operator(&place, "").replace("private = true", "private = false");
    for operator in [elsewhere, other_path, public] {
        let server = asking(port, &operator).await;
        let mut client = Client::connect(server.port).await;
        assert_eq!(refused(&mut client, "private-allowed").await["status"], 424);
        let log = server.errors();
        assert!(log.contains("Denied") && log.contains("auth-http"), "{log}");
    }
    assert!(!application.saw(&json!({ "saw": "question" })));
}

// host/docs/misbehaving-plugins.md: nobody is held up by a client that comes, asks and goes.
#[tokio::test]
async fn clients_that_do_not_wait_for_the_answer_leave_nothing_behind() {
    // Sixteen calls at a time, each allowed half a minute: if they were not given up, the first sixteen would stop all others.
    let mut scene = Scene::with("deadline_ms = 30000").await;
    come_and_go(&mut scene, WARM_UP).await;
    let before = scene.server.resident_bytes();
    come_and_go(&mut scene, IMPATIENT).await;
    let grown = scene.server.resident_bytes().saturating_sub(before);
    eprintln!("{} KiB more after {IMPATIENT} clients", grown >> 10);
    assert!(grown <= GROWTH, "{grown} bytes more after {IMPATIENT} clients");
    let mut client = Client::connect(scene.server.port).await;
    allowed(&mut client, "private-allowed").await;
    assert_eq!(
        scene.server.traps("auth-http", "auth").await,
        0,
        "it was not the plugin's fault"
    );
    scene.server.reaches("jackfield_connected", 1).await;
}

async fn come_and_go(scene: &mut Scene, times: u32) {
    for number in 0..times {
        let channel = format!("private-slow-{number}");
        let mut client = Client::connect(scene.server.port).await;
        ask(&mut client, &channel, "7").await;
        scene.asked(&channel).await;
        drop(client);
        scene
            .application
            .sees(&json!({ "saw": "gone", "channel": channel }))
            .await;
    }
}

/// What the operator knows and the plugin does not.
const SECRET: &str = "the-operators-own-secret";
/// Clients that go away while the application thinks.
const IMPATIENT: u32 = 1_000;
/// Those that come before memory is measured, so that caches and pools are full.
const WARM_UP: u32 = 50;
/// What the server may have more behind them: twice the memory of one instance, 16 MiB.
const GROWTH: u64 = 32 << 20;
