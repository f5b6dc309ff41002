//! How fast a client may send (host/docs/operating.md), and what becomes of one that sends faster.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::{Client, Heard};
use crate::harness::http::Publisher;
use crate::harness::scene::Scene;
use crate::harness::server::{Server, Setup};

const APP: &str = "/app/app-key?protocol=7";

/// Three of something in an hour: while a test runs, time gives nothing back.
const CLIENT_EVENTS: &str = "enable_client_messages = true\nmax_client_events_per_second = 3\ndecay_seconds = 3600";
const MESSAGES: &str = "max_attempts = 3, decay_seconds = 3600";

async fn server(settings: &str) -> Server {
    Setup::default().app(settings).start().await
}

fn say(number: u32) -> Value {
    json!({ "event": "client-say", "channel": "private-room", "data": { "number": number } })
}

/// Two subscribers of `private-room`.
async fn pair(server: &Server) -> [Client; 2] {
    let mut clients = [Client::connect(server.port).await, Client::connect(server.port).await];
    for client in &mut clients {
        client.subscribe("private-room").await;
    }
    clients
}

/// The wait that an error names, in milliseconds.
fn told_to_wait(error: &Value) -> u64 {
    let words = error["data"]["message"].as_str().expect("a message").split(' ');
    words
        .filter_map(|word| word.parse().ok())
        .next_back()
        .expect("a number")
}

/// Pings; whether there was a pong.
async fn is_heard(client: &mut Client) -> bool {
    client.ping().await;
    match client.hear().await {
        Heard::Text(answer) if answer["event"] == "pusher:pong" => true,
        Heard::Text(answer) if answer["event"] == "pusher:error" => false,
        other => panic!("neither answered nor refused: {other:?}"),
    }
}

// Pusher protocol, "Client events": over the rate 4301. The window of the rate is the app's; each connection has its own count.
#[tokio::test]
async fn client_events_are_counted_in_the_apps_window() {
    let server = server(CLIENT_EVENTS).await;
    let [mut ann, mut bob] = pair(&server).await;
    for number in 0..4 {
        ann.send(say(number)).await;
    }
    let error = ann.expect("pusher:error").await;
    assert_eq!(error["data"]["code"], 4301);
    // One of three comes back after a third of the hour; with a window of one second it would after a third of a second.
    assert!((600_000..=1_200_000).contains(&told_to_wait(&error)), "{error}");
    for number in 0..3 {
        assert_eq!(bob.expect("client-say").await["data"]["number"], number);
    }
    // The fourth was not sent, and the limit is neither the channel's nor of anything but client events.
    bob.send(say(9)).await;
    assert_eq!(ann.expect("client-say").await["data"]["number"], 9);
    assert!(is_heard(&mut ann).await && is_heard(&mut bob).await);
}

// Pusher protocol, "Connection closure": 4100 to 4199, back off. After 4301 as a close clients would never come back, and after
// 4200 at once, with a new count. An error beforehand has to agree with the close.
#[tokio::test]
async fn a_client_over_the_rate_is_closed_where_the_app_says_so() {
    let server = server(&format!("{CLIENT_EVENTS}\nterminate_on_limit = true")).await;
    let [mut ann, mut bob] = pair(&server).await;
    for number in 0..5 {
        ann.send(say(number)).await;
    }
    assert_eq!(ann.turned_away().await, 4100);
    for number in 0..3 {
        assert_eq!(bob.expect("client-say").await["data"]["number"], number);
    }
    // Nobody else is closed, and nothing that came behind the limit was sent.
    assert!(is_heard(&mut bob).await);
    Client::connect(server.port).await;
}

// Pusher protocol, "Connection closure": after 4100 to 4199 a client waits for at least a second. With pusher-js.
#[tokio::test]
async fn pusher_js_comes_back_a_second_later() {
    let limit = "message_rate_limit = { max_attempts = 1, decay_seconds = 3600, terminate_on_limit = true }";
    let mut scene = Scene::on(Setup::default().app(limit)).await;
    let before = scene.connect(json!({ "who": "ann" })).await;
    scene.subscribe("ann", "one").await;
    scene.tell("subscribe", json!({ "who": "ann", "channel": "two" }));
    let mut times = Vec::new();
    // pusher-js tells two or three times of one close. Then it asks for both channels again, and is closed again.
    for _ in 0..4 {
        let error = scene.node.sees(&json!({ "who": "ann", "saw": "error" })).await;
        assert_eq!(error["code"], 4100);
        times.push(error["at_ms"].as_f64().expect("a number"));
    }
    assert!(times[3] - times[0] > 990.0, "{times:?} ms");
    let again = scene.node.sees(&json!({ "who": "ann", "state": "connected" })).await;
    assert_ne!(again["socket_id"], before);
}

// What a client sends is counted whatever it is. Who waits for a channel is told by its name; nothing else is done.
#[tokio::test]
async fn messages_of_every_kind_are_counted() {
    let server = server(&format!(
        "enable_client_messages = true\nmessage_rate_limit = {{ {MESSAGES} }}"
    ))
    .await;
    let [mut ann, mut bob] = pair(&server).await;
    ann.send(say(1)).await;
    ann.send(json!({ "event": "nonsense" })).await;
    assert_eq!(ann.expect("pusher:error").await["data"]["code"], Value::Null);

    for refused in [
        json!({ "event": "pusher:ping", "data": {} }),
        json!({ "event": "nonsense" }),
        json!({ "event": "pusher:unsubscribe", "data": { "channel": "private-room" } }),
        say(2),
    ] {
        ann.send(refused).await;
        let error = ann.expect("pusher:error").await;
        assert_eq!(error["data"]["code"], 4301);
        assert!((600_000..=1_200_000).contains(&told_to_wait(&error)), "{error}");
    }
    assert_eq!(ann.refused("other").await["status"], 429);
    // RFC 6455 §5.5.2: a ping is answered, so it is not counted.
    ann.send_frame(Message::Ping("x".into())).await;
    assert_eq!(ann.hear().await, Heard::Pong(b"x".to_vec()));

    assert_eq!(bob.expect("client-say").await["data"]["number"], 1);
    // The one that was not heard is a subscriber still.
    Publisher::new(server.port)
        .await
        .publish("private-room", "news", "{}")
        .await;
    for client in [&mut ann, &mut bob] {
        client.expect("news").await;
    }
}

// As with client events: 4100, and the error agrees.
#[tokio::test]
async fn a_client_with_too_many_messages_is_closed_where_the_app_says_so() {
    let server = server(&format!(
        "message_rate_limit = {{ {MESSAGES}, terminate_on_limit = true }}"
    ))
    .await;
    let mut client = Client::connect(server.port).await;
    for _ in 0..3 {
        assert!(is_heard(&mut client).await);
    }
    client.ping().await;
    client.ping().await;
    assert_eq!(client.turned_away().await, 4100);
    assert!(is_heard(&mut Client::connect(server.port).await).await);
}

// host/docs/operating.md: without the section there is no limit, and none when it is switched off.
#[tokio::test]
async fn messages_are_not_counted_unless_the_app_says_so() {
    for settings in ["", &format!("message_rate_limit = {{ {MESSAGES}, enabled = false }}")] {
        let server = server(settings).await;
        let mut client = Client::connect(server.port).await;
        for _ in 0..200 {
            assert!(is_heard(&mut client).await, "{settings}");
        }
    }
}

// ARCHITECTURE.md: "its door is closed, and says which plugin it misses". A limit without its plugin refuses, and it closes
// nobody who may have done nothing wrong.
#[tokio::test]
async fn without_the_limiter_no_message_is_heard_and_nobody_closed() {
    let setup = Setup::default().without("rate-limit-local");
    let limit = format!("message_rate_limit = {{ {MESSAGES}, terminate_on_limit = true }}");
    let server = setup.app(&limit).start().await;
    let mut client = Client::open(server.port, APP).await.greeted().await;
    for _ in 0..10 {
        client.ping().await;
        let error = client.expect("pusher:error").await;
        let message = error["data"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("rate-limit-local"), "{error}");
        assert_eq!(error["data"]["code"], Value::Null);
    }
    assert_eq!(client.refused("room").await["status"], 503);
}

// ARCHITECTURE.md: "later messages of that connection queue behind a pending one". A client event waits twice, for the message's
// count and for its own; what comes behind it does not overtake it.
#[tokio::test]
async fn messages_keep_their_order_while_the_limiter_takes_its_time() {
    let setup = Setup::default()
        .without("rate-limit-local")
        .guest("stall-rate-limit")
        .config("rate_limiter.plugin = \"stall-rate-limit\"");
    let settings = "enable_client_messages = true\nmessage_rate_limit = { max_attempts = 1 }";
    let server = setup.app(settings).with_metrics().start().await;
    let [mut ann, mut bob] = pair(&server).await;
    for number in 0..20 {
        ann.send(say(number)).await;
    }
    ann.unsubscribe("private-room").await;
    ann.send(say(20)).await;
    ann.ping().await;
    let error = ann.expect("pusher:error").await;
    let message = error["data"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("not subscribed"), "{error}");
    ann.expect("pusher:pong").await;
    for number in 0..20 {
        assert_eq!(bob.expect("client-say").await["data"]["number"], number);
    }
    // Two subscriptions, 20 events that are counted twice, and three messages more.
    assert_eq!(server.calls("stall-rate-limit", "rate-limit").await, 2 + 40 + 3);
}
