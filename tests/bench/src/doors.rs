//! One call through each door, with the default plugins and all limits on: what a decision costs.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use jackfield_hub::doors::{
    AdapterNews, AdapterRequest, Answer, ApiRequest, Claim, Client, ClientEvent, Envelope, Notice, Question, Rule,
    SubscribeRequest, Traffic, Verdict,
};
use jackfield_hub::{App, Apps, ClientRule, Endpoint, Policy, Rules, Secret, Topic};
use jackfield_protocol::names::{ChannelName, EventName};
use jackfield_protocol::signature::{Credentials, sign_api_request};
use jackfield_stores::AppTable;
use jackfield_wasm::{Registry, Wanted};

use crate::process::root;

const CALLS: usize = 200_000;
pub(crate) const RULE: Rule = Rule {
    amount: u32::MAX,
    period_ms: 1_000,
    burst: u32::MAX,
};

/// Prints a table: per door the median and the 99th percentile of one call, with the default plugins; then what a call costs
/// by itself, in both modes, seen with plugins that have no opinion.
#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
pub(crate) fn run(only: &str) -> Result<()> {
    let table = Table { only };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    println!("one call through a door, limits on, {CALLS} calls each: nanoseconds");
    println!("{:<52} {:>8} {:>8}", "door", "p50", "p99");
    table.row("(reading the clock, in every figure)", || true)?;
    defaults(&table, &runtime)?;
    for (guest, mode) in [("misbehave", "hot"), ("stall", "io")] {
        let (apps, client) = client()?;
        let wanted = Wanted {
            folder: root()?.join("target/guests"),
            auth: vec![guest.to_owned()],
            ..wanted()?
        };
        let (registry, _) = Registry::load(&wanted, apps, runtime.handle().clone()).map_err(|error| anyhow!(error))?;
        let authorizer = registry.authorizer();
        let (_, claim) = &claims(&client)?[1];
        // The end of the chain refuses what nobody has an opinion on.
        let passed = || matches!(runtime.block_on(authorizer.check(claim).wait()), Ok(Verdict::Refuse(_)));
        table.row(
            &format!("auth: a plugin that passes on a subscription, {mode} mode"),
            passed,
        )?;
    }
    Ok(())
}

fn defaults(table: &Table<'_>, runtime: &tokio::runtime::Runtime) -> Result<()> {
    let (apps, client) = client()?;
    let (registry, adapter) =
        Registry::load(&wanted()?, apps, runtime.handle().clone()).map_err(|error| anyhow!(error))?;
    let authorizer = registry.authorizer();
    for (name, claim) in claims(&client)? {
        let allowed = || matches!(authorizer.check(&claim), Answer::Ready(Ok(Verdict::Allow(_))));
        table.row(name, allowed)?;
    }
    let limiter = registry.limiter();
    let question = Question {
        scope: "publish",
        key: "1001",
        cost: 1,
        rule: RULE,
    };
    let allowed = || matches!(limiter.check(&question), Answer::Ready(Ok(decision)) if decision.allowed);
    table.row("rate-limit: one publish", allowed)?;
    let topic = Topic::new("1001", &ChannelName::parse("bench")?);
    let frame = Bytes::from(vec![b'x'; 150]);
    let published = || {
        let envelope = Envelope {
            topic: Arc::clone(topic.text()),
            frame: frame.clone(),
            ticket: Some(1),
        };
        let queued = adapter.door.submit(AdapterRequest::Publish(envelope)).is_ok();
        adapter.door.drive(&Ignored);
        queued
    };
    table.row("adapter: publish one envelope of 150 B", published)?;
    let sink = registry.webhook_sink();
    let notice = notice();
    let prepared = || matches!(sink.prepare(&client.app, &notice), Answer::Ready(Ok(calls)) if calls.len() == 1);
    table.row("webhook: one notice, one endpoint", prepared)?;
    Ok(())
}

/// The rows that are wanted.
struct Table<'a> {
    only: &'a str,
}

impl Table<'_> {
    /// Times calls and prints what came of it.
    #[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
    fn row(&self, name: &str, call: impl FnMut() -> bool) -> Result<()> {
        if name.contains(self.only) {
            let (median, tail) = time(call)?;
            println!("{name:<52} {median:>8} {tail:>8}");
        }
        Ok(())
    }
}

/// The median and the 99th percentile; every call must do what it is expected to.
fn time(mut call: impl FnMut() -> bool) -> Result<(u64, u64)> {
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        let good = black_box(call());
        times.push(begun.elapsed().as_nanos() as u64);
        anyhow::ensure!(good, "a call did not do what the bench expects");
    }
    times.sort_unstable();
    Ok((times[CALLS / 2], times[CALLS * 99 / 100]))
}

pub(crate) fn wanted() -> Result<Wanted> {
    Ok(Wanted {
        folder: root()?.join("plugins"),
        adapter: "local".to_owned(),
        auth: vec!["auth-pusher".to_owned()],
        rate_limit: "rate-limit-local".to_owned(),
        webhook: "webhook-http".to_owned(),
        configs: BTreeMap::new(),
        node: "bench".to_owned(),
        compiled: None,
    })
}

pub(crate) fn client() -> Result<(Arc<dyn Apps>, Arc<Client>)> {
    let webhooks = vec![Endpoint {
        url: "http://127.0.0.1/".to_owned(),
        ..Endpoint::default()
    }];
    let rules = Rules {
        client_event: ClientRule {
            rule: RULE,
            closes: false,
        },
        message: None,
        publish: RULE,
        read: RULE,
    };
    let policy = Policy {
        rules,
        webhooks,
        ..Policy::default()
    };
    let apps = Arc::new(AppTable::new([App::new(
        "1001",
        "app-key",
        Secret::new("app-secret"),
        policy,
    )])?);
    let app = apps.by_id("1001").ok_or_else(|| anyhow!("it was just added"))?;
    let client = Client {
        app,
        socket_id: "1234.5678".to_owned(),
        remote_address: "127.0.0.1".to_owned(),
        origin: Some("https://example.org".to_owned()),
        path: "/app/app-key".to_owned(),
        query: "protocol=7&client=js&version=8.6.0&flash=false".to_owned(),
        headers: Vec::new(),
    };
    Ok((apps, Arc::new(client)))
}

pub(crate) fn claims(client: &Arc<Client>) -> Result<Vec<(&'static str, Claim)>> {
    let subscribe = |name: &str| -> Result<Claim> {
        let channel = ChannelName::parse(name)?;
        let signature = client.app.sign(format!("{}:{name}", client.socket_id).as_bytes());
        let auth = format!("app-key:{signature}");
        Ok(Claim::Subscribe(SubscribeRequest {
            client: Arc::clone(client),
            channel,
            auth,
            channel_data: None,
        }))
    };
    let event = ClientEvent {
        client: Arc::clone(client),
        channel: ChannelName::parse("private-room")?,
        event: EventName::parse("client-typing")?,
        data: serde_json::value::RawValue::from_string(r#"{"text":"hello"}"#.to_owned())?,
    };
    Ok(vec![
        ("auth: connect", Claim::Connect(Arc::clone(client))),
        ("auth: subscribe to a public channel", subscribe("lobby")?),
        (
            "auth: subscribe to a private channel (HMAC)",
            subscribe("private-room")?,
        ),
        ("auth: client event", Claim::ClientEvent(event)),
        (
            "auth: signed request, body of 150 B",
            Claim::ApiRequest(Arc::new(api_request(client)?)),
        ),
    ])
}

fn api_request(client: &Client) -> Result<ApiRequest> {
    let (path, body) = ("/apps/1001/events", vec![b'x'; 150]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let credentials = Credentials {
        key: "app-key",
        secret: b"app-secret",
    };
    Ok(ApiRequest {
        app: Arc::clone(&client.app),
        remote_address: "127.0.0.1".to_owned(),
        lines: format!(
            "POST\n{path}\n{}",
            sign_api_request(credentials, "POST", path, &body, now)
        ),
        prefix_length: 0,
        headers: Vec::new(),
        body: Bytes::from(body),
    })
}

fn notice() -> Vec<Notice> {
    vec![Notice {
        id: "bench-1".to_owned(),
        app: "1001".to_owned(),
        name: "channel_occupied",
        channel: "lobby".to_owned(),
        event: r#"{"name":"channel_occupied","channel":"lobby"}"#.to_owned(),
        time_ms: 1,
    }]
}

/// Nobody waits for the bench's tickets.
struct Ignored;

impl Traffic for Ignored {
    fn tell(&self, _told: AdapterNews) {}
}
