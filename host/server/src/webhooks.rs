//! From notices to requests: the webhook plugin says which, the host signs, sends and repeats them.
//!
//! Runs on the background runtime, away from the event loops. A secret is used at the moment of sending and is in no
//! queue. Whoever does not answer with success is asked again for five minutes, less and less often.

use std::sync::Arc;
use std::time::Duration;

use jackfield_hub::App;
use jackfield_hub::doors::{Notice, WebhookCall, WebhookSink};
use jackfield_stores::NoticeStore;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::shared::Shared;

/// Sends webhooks until the runtime ends.
pub(crate) async fn run(shared: Arc<Shared>, queue: Arc<NoticeStore>, sink: Arc<dyn WebhookSink>) {
    let client = match client() {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "webhooks cannot be sent: the HTTP client does not start"),
    };
    let client = Arc::new(Sender {
        client,
        room: Semaphore::new(IN_FLIGHT),
    });
    let mut sending = JoinSet::new();
    loop {
        let notices = queue.take(shared.batching.size, shared.batching.pause).await;
        let Some(app) = shared.apps.by_id(&notices[0].app) else {
            continue;
        };
        for call in prepare(sink.as_ref(), &app, &notices).await {
            let (client, app) = (Arc::clone(&client), Arc::clone(&app));
            sending.spawn(async move { client.send(&app, &call).await });
        }
        // Takes the finished ones off; when too many wait for their receivers, the queue fills instead.
        while sending.try_join_next().is_some() || sending.len() >= PENDING {
            if sending.len() >= PENDING {
                sending.join_next().await;
            }
        }
    }
}

/// Asks the plugin until it answers; what it refuses for five minutes is lost, and said to be.
async fn prepare(sink: &dyn WebhookSink, app: &Arc<App>, notices: &[Notice]) -> Vec<WebhookCall> {
    let mut patience = Patience::new();
    loop {
        match sink.prepare(app, notices).wait().await {
            Ok(calls) => return calls,
            Err(error) if patience.wait().await => {
                tracing::warn!(app = %app.id, notices = notices.len(), %error, "webhooks wait");
            }
            Err(error) => {
                tracing::error!(app = %app.id, notices = notices.len(), %error, "webhooks are given up");
                return Vec::new();
            }
        }
    }
}

/// Sends requests, a bounded number at a time.
struct Sender {
    client: reqwest::Client,
    /// Held for an attempt, not for the pauses between: receivers that are away must not keep others waiting.
    room: Semaphore,
}

impl Sender {
    async fn send(&self, app: &App, call: &WebhookCall) {
        let mut patience = Patience::new();
        loop {
            let Err(failure) = self.attempt(app, call).await else {
                return;
            };
            if !patience.wait().await {
                return tracing::error!(app = %app.id, url = call.url, failure, "a webhook is given up");
            }
            tracing::warn!(app = %app.id, url = call.url, failure, "a webhook is sent again");
        }
    }

    async fn attempt(&self, app: &App, call: &WebhookCall) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &call.headers {
            insert(&mut headers, name, value)?;
        }
        if let Some(name) = &call.signature_header {
            insert(&mut headers, name, &app.sign(&call.body))?;
        }
        let _room = self.room.acquire().await.map_err(|error| error.to_string())?;
        let request = self.client.post(&call.url).headers(headers).body(call.body.clone());
        let response = request.send().await.map_err(|error| error.without_url().to_string())?;
        let status = response.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("answered {status}"))
        }
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let wrong = || format!("the plugin's header `{name}` cannot be sent");
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    headers.insert(header, HeaderValue::from_str(value).map_err(|_| wrong())?);
    Ok(())
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("jackfield/", env!("CARGO_PKG_VERSION")))
        .timeout(ATTEMPT)
        // A redirect could lead where the operator did not mean to send anything.
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// How long to go on, and how long to pause before the next try.
struct Patience {
    ends: Instant,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self {
            ends: Instant::now() + GIVE_UP,
            pause: FIRST_PAUSE,
        }
    }

    /// Pauses; false when it is time to give up instead.
    async fn wait(&mut self) -> bool {
        if Instant::now() + self.pause > self.ends {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// Requests that are sent or wait to be sent again, over all apps: some 10 MiB.
const PENDING: usize = 8_192;
/// Requests on their way at once.
const IN_FLIGHT: usize = 64;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Pusher repeats webhooks for five minutes.
const GIVE_UP: Duration = Duration::from_secs(300);
/// The pause after the first failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
