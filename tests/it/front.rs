//! What stands in front of a server: a prefix in its paths, proxies that are trusted or not, TLS, a limit of its own
//! (host/docs/operating.md, "Behind a proxy").

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::harness::client::{Client, Heard};
use crate::harness::http::{DEVELOPMENT, Http, Publisher, get, now};
use crate::harness::scene::Scene;
use crate::harness::server::{Server, Setup, free_port, jackfield};
use crate::harness::wait::{in_time, until};

const APP: &str = "/app/app-key?protocol=7";
const BODY: &str = r#"{"name":"greeting","data":"{}","channels":["room"]}"#;

/// Posts to `sent` what is signed for `signed`; the status of the answer.
async fn post(server: &Server, sent: &str, signed: &str) -> u16 {
    let target = DEVELOPMENT.signed(signed, BODY, now());
    let query = &target[signed.len()..];
    let mut http = Http::connect(server.port).await.expect("it listens");
    let answer = http.post(&format!("{sent}{query}"), BODY).await;
    answer.expect("it answers").status
}

// Pusher's client libraries: `wsPath` stands in front of `/app/KEY`.
#[tokio::test]
async fn pusher_js_connects_under_the_prefix() {
    let mut scene = Scene::on(Setup::default().under("/realtime")).await;
    scene
        .connect(json!({ "who": "ann", "options": { "wsPath": "/realtime" } }))
        .await;
    scene.subscribe("ann", "room").await;
    let events = "/realtime/apps/1001/events";
    assert_eq!(post(&scene.server, events, events).await, 200);
    scene.sees("ann", "room", "greeting").await;
}

#[tokio::test]
async fn outside_of_the_prefix_there_is_nothing() {
    let server = Setup::default().under("/real/time").start().await;
    for (path, status) in [
        ("/real/time", 200),
        ("/real/time/live", 200),
        ("/real/time/ready", 200),
        ("/real/time/app/app-key?protocol=7", 426),
        ("/real/time/apps/1001/channels", 401),
        ("/", 404),
        ("/live", 404),
        ("/ready", 404),
        ("/app/app-key?protocol=7", 404),
        ("/apps/1001/channels", 404),
        ("/time/live", 404),
        ("/real/live", 404),
        ("/real/timelive", 404),
        ("/real/time/real/time/live", 404),
        ("//real/time/live", 404),
        ("/real/tim%65/live", 404),
    ] {
        assert_eq!(get(server.port, path).await.status, status, "{path}");
    }
    assert_eq!(post(&server, "/apps/1001/events", "/apps/1001/events").await, 404);
}

// Pusher HTTP API, "Authentication": the path is signed; libraries do not agree whether the prefix is a part of it.
#[tokio::test]
async fn a_path_is_signed_with_the_prefix_or_without() {
    let server = Setup::default().under("/realtime").start().await;
    for (signed, status) in [
        ("/realtime/apps/1001/events", 200),
        ("/apps/1001/events", 200),
        ("/other/apps/1001/events", 401),
        ("/realtime/apps/1001/batch_events", 401),
        ("/apps/1001/batch_events", 401),
        ("/realtime", 401),
    ] {
        let answered = post(&server, "/realtime/apps/1001/events", signed).await;
        assert_eq!(answered, status, "{signed}");
    }
}

#[tokio::test]
async fn a_path_is_signed_as_it_was_before_a_proxy_rewrote_it() {
    let told = "[http_api]\nexternal_path_prefix = \"external/\"";
    for (prefix, config, signed, status) in [
        ("", told, "/external/apps/1001/events", 200),
        ("", told, "/apps/1001/events", 200),
        ("", told, "/other/apps/1001/events", 401),
        ("", "", "/external/apps/1001/events", 401),
        ("/in", told, "/external/in/apps/1001/events", 200),
        ("/in", told, "/apps/1001/events", 200),
        ("/in", told, "/external/apps/1001/events", 401),
        ("/in", told, "/in/apps/1001/events", 401),
    ] {
        let server = Setup::default().under(prefix).config(config).start().await;
        let answered = post(&server, &format!("{prefix}/apps/1001/events"), signed).await;
        assert_eq!(answered, status, "{prefix} {config} {signed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_the_publish_command_know_the_prefix() {
    let server = Setup::default().under("/realtime").start().await;
    let mut client = Client::open(server.port, &format!("/realtime{APP}"))
        .await
        .greeted()
        .await;
    client.subscribe("room").await;
    let url = format!("{}/realtime/", server.url());
    let output = jackfield().args(["publish", "room", "typed", "--url", &url]).output();
    assert!(output.expect("JACKFIELD_BIN can be run").status.success());
    client.expect("typed").await;

    let mut http = Http::connect(server.port).await.expect("it listens");
    let event = json!({ "name": "clicked", "channel": "room", "data": "" }).to_string();
    let answer = http.post("/realtime/dev/publish", &event).await.expect("it answers");
    assert_eq!(answer.status, 200, "{answer:?}");
    client.expect("clicked").await;
}

#[tokio::test]
async fn a_prefix_that_is_none_stops_the_start() {
    for prefix in ["/a//b", "/a/../b", "/{a}"] {
        let ended = Setup::default().under(prefix).run_on(free_port()).await;
        assert_eq!(ended.status.code(), Some(1), "{prefix}");
        let told = format!("jackfield.toml:3: `path_prefix`: `{prefix}` must be a path");
        assert!(ended.errors.contains(&told), "{}", ended.errors);
    }
}

/// A server that lets one address open one connection, and the administrators' address alone into their channels.
async fn watchful(trusted: &str) -> Server {
    let setup = Setup::default().guest("first-plugin").config(&format!(
        "trusted_proxies = [{trusted}]\n\
         [auth]\nchain = [\"first-plugin\", \"auth-pusher\"]\n[plugin.first-plugin]\naddresses = [\"203.0.113.7\"]\n\
         [rate_limiter.websocket_rate_limit]\nmax_requests = 1\nwindow_seconds = 600"
    ));
    setup.start().await
}

/// A client that comes with this `X-Forwarded-For`.
async fn forwarded(server: &Server, addresses: &str) -> Client {
    Client::open_with(server.port, &format!("x-forwarded-for: {addresses}\r\n")).await
}

#[tokio::test]
async fn limits_and_plugins_see_the_address_that_a_trusted_proxy_names() {
    let server = watchful("\"10.0.0.0/8\", \"127.0.0.1\"").await;
    let mut admin = forwarded(&server, "198.51.100.1, 203.0.113.7, 10.1.2.3")
        .await
        .greeted()
        .await;
    admin.subscribe("private-admin-alerts").await;
    let mut other = forwarded(&server, "203.0.113.7, 198.51.100.1").await.greeted().await;
    assert_eq!(other.refused("private-admin-alerts").await["status"], 403);
    // Each has opened its one connection.
    for addresses in ["203.0.113.7", "192.0.2.9, [::ffff:198.51.100.1]:4711"] {
        assert_eq!(
            forwarded(&server, addresses).await.turned_away().await,
            4100,
            "{addresses}"
        );
    }
    let real = Client::open_with(server.port, "x-real-ip: 192.0.2.9\r\n").await;
    real.greeted().await;
    assert_eq!(forwarded(&server, "192.0.2.9").await.turned_away().await, 4100);
}

#[tokio::test]
async fn nobody_else_names_addresses() {
    for trusted in ["", "\"10.0.0.0/8\""] {
        let server = watchful(trusted).await;
        let mut liar = forwarded(&server, "203.0.113.7").await.greeted().await;
        assert_eq!(liar.refused("private-admin-alerts").await["status"], 403);
        for headers in ["", "x-forwarded-for: 192.0.2.9\r\n", "x-real-ip: 192.0.2.9\r\n"] {
            let again = Client::open_with(server.port, headers).await;
            assert_eq!(again.turned_away().await, 4100, "{trusted}: {headers}");
        }
    }
}

// Pusher protocol, "Error codes": 4000 the app takes TLS connections only.
#[tokio::test]
async fn an_app_may_insist_on_tls() {
    for (trusted, headers, welcome) in [
        ("", "", false),
        ("", "x-forwarded-proto: https\r\n", false),
        ("\"10.0.0.0/8\"", "x-forwarded-proto: https\r\n", false),
        ("\"127.0.0.1\"", "", false),
        ("\"127.0.0.1\"", "x-forwarded-proto: http\r\n", false),
        ("\"127.0.0.1\"", "x-forwarded-proto: https\r\n", true),
    ] {
        let setup = Setup::default().config(&format!("trusted_proxies = [{trusted}]"));
        let server = setup.app("force_tls = true").start().await;
        let client = Client::open_with(server.port, headers).await;
        if welcome {
            client.greeted().await;
        } else {
            assert_eq!(client.turned_away().await, 4000, "{trusted}: {headers}");
        }
        // It is about clients; who may use the HTTP API without TLS is the operator's to say.
        Publisher::new(server.port).await.publish("room", "event", "{}").await;
    }
}

// Pusher protocol, "Error codes": at 4000 a client is to come back over TLS. RFC 8446 §5.1: a handshake record begins with 22.
#[tokio::test]
async fn pusher_js_turns_to_tls_when_it_is_told_to() {
    let mut scene = Scene::on(Setup::default().app("force_tls = true")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let options = json!({ "wssPort": port, "enabledTransports": ["ws", "wss"] });
    scene.tell("connect", json!({ "who": "ann", "options": options }));
    let error = scene.node.sees(&json!({ "who": "ann", "saw": "error" })).await;
    assert_eq!(error["code"], 4000);
    let (mut stream, _) = in_time("a second attempt", listener.accept()).await.expect("it comes");
    assert_eq!(
        in_time("its first byte", stream.read_u8()).await.expect("it speaks"),
        22
    );
}

// Pusher protocol, "Error codes": 4100 over capacity. A seat that is left can be taken.
#[tokio::test]
async fn an_instance_has_so_many_connections() {
    let server = Setup::default().config("max_connections = 2").start().await;
    let (first, _second) = (Client::connect(server.port).await, Client::connect(server.port).await);
    assert_eq!(Client::open(server.port, APP).await.turned_away().await, 4100);
    // What can never be served is told as such.
    let lost = Client::open(server.port, "/app/no-such-key?protocol=7").await;
    assert_eq!(lost.turned_away().await, 4001);
    Publisher::new(server.port).await.publish("room", "event", "{}").await;
    drop(first);
    until("the seat to be free", async || {
        let mut client = Client::open(server.port, APP).await;
        let Heard::Text(text) = client.hear().await else {
            panic!("neither greeted nor told why not");
        };
        (text["event"] == "pusher:connection_established").then_some(())
    })
    .await;
}
