//! From notices to requests: the webhook plugin says which, the host signs, sends and repeats them.
//!
//! Runs on the background runtime, away from the event loops. A secret is used at the moment of sending and is in no
//! queue. Whoever does not answer with success is asked again for five minutes, less and less often.

mod patience;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use jackfield_config::Batching;
use jackfield_hub::doors::{Notice, WebhookCall, WebhookSink};
use jackfield_hub::{App, Apps};
use jackfield_links::http::{Address, HttpClient, HttpError, MAX_BODY_BYTES, Places, Request};
use jackfield_stores::NoticeStore;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::shared::Shared;
use patience::{Clock, Patience, RealClock};

/// Sends webhooks until the runtime ends.
pub(crate) async fn run(shared: Arc<Shared>, queue: Arc<NoticeStore>, sink: Arc<dyn WebhookSink>) {
    let world = Arc::clone(&shared);
    let outlets = match Outlets::new(move || world.settings().private_webhooks) {
        Ok(outlets) => outlets,
        Err(error) => return tracing::error!(%error, "webhooks cannot be sent: the HTTP client does not start"),
    };
    let (apps, given_up) = (Arc::clone(&shared.apps) as _, Arc::clone(&shared.webhooks_given_up));
    let sender = Arc::new(Sender::new(outlets, apps, RealClock, given_up));
    let mut sending = JoinSet::new();
    loop {
        let batching = || {
            let Batching { size, pause } = shared.settings().batching;
            (size, pause)
        };
        let notices = queue.take(batching).await;
        let Some(app) = shared.apps.by_id(&notices[0].app) else {
            continue;
        };
        for notices in portions(notices) {
            let (sender, app, sink) = (Arc::clone(&sender), Arc::clone(&app), Arc::clone(&sink));
            // A task of its own: notices that the plugin cannot word must not hold up those of other apps.
            sending.spawn(async move { sender.tell(sink.as_ref(), &app, &notices).await });
        }
        // Takes the finished ones off; when too many wait for their receivers, the queue fills instead.
        while sending.try_join_next().is_some() || sending.len() >= PENDING {
            if sending.len() >= PENDING {
                sending.join_next().await;
            }
        }
    }
}

/// The notices in as few portions as fit into a request each.
fn portions(notices: Vec<Notice>) -> Vec<Vec<Notice>> {
    let (mut portions, mut portion, mut bytes) = (Vec::new(), Vec::new(), 0);
    for notice in notices {
        bytes += notice.event.len();
        if bytes > PORTION_BYTES && !portion.is_empty() {
            bytes = notice.event.len();
            portions.push(std::mem::take(&mut portion));
        }
        portion.push(notice);
    }
    portions.push(portion);
    portions
}

/// Sends requests, a bounded number at a time.
struct Sender<C> {
    outlets: Outlets,
    /// Webhooks are signed when they are sent, with the secret that holds then.
    apps: Arc<dyn Apps>,
    /// Held for an attempt, not for the pauses between: receivers that are away must not keep others waiting.
    room: Semaphore,
    clock: C,
    /// Requests, and portions that no plugin could word, that came to nothing in the end.
    given_up: Arc<AtomicU64>,
}

/// The clients for public addresses alone and for any, and which of them is to be used now.
struct Outlets {
    public: HttpClient,
    anywhere: HttpClient,
    private: Box<dyn Fn() -> bool + Send + Sync>,
}

/// An attempt came to nothing.
struct Failure {
    why: String,
    /// Whether every other attempt would fail as well.
    lasts: bool,
}

impl<C: Clock> Sender<C> {
    fn new(outlets: Outlets, apps: Arc<dyn Apps>, clock: C, given_up: Arc<AtomicU64>) -> Self {
        Self {
            outlets,
            apps,
            room: Semaphore::new(IN_FLIGHT),
            clock,
            given_up,
        }
    }

    /// Tells an app's receivers, each as long as it takes.
    async fn tell(&self, sink: &dyn WebhookSink, app: &Arc<App>, notices: &[Notice]) {
        let calls = self.prepare(sink, app, notices).await;
        join_all(calls.iter().map(|call| self.send(app, call))).await;
    }

    /// Asks the plugin until it answers; what it refuses for five minutes is lost, and said to be.
    async fn prepare(&self, sink: &dyn WebhookSink, app: &Arc<App>, notices: &[Notice]) -> Vec<WebhookCall> {
        let mut patience = Patience::new(&self.clock);
        loop {
            match sink.prepare(app, notices).wait().await {
                Ok(calls) => return calls,
                Err(error) if patience.wait().await => {
                    tracing::warn!(app = %app.id, notices = notices.len(), %error, "webhooks wait");
                }
                Err(error) => {
                    self.given_up.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(app = %app.id, notices = notices.len(), %error, "webhooks are given up");
                    return Vec::new();
                }
            }
        }
    }

    async fn send(&self, app: &App, call: &WebhookCall) {
        // Of the address what is no secret: many hooks have a token in their path.
        let address = Address::parse(&call.url);
        let place = address.as_ref().map(Address::to_string).unwrap_or_default();
        let mut patience = Patience::new(&self.clock);
        loop {
            let Err(Failure { why, lasts }) = self.attempt(app, call).await else {
                return;
            };
            if lasts || !patience.wait().await {
                self.given_up.fetch_add(1, Ordering::Relaxed);
                return tracing::error!(app = %app.id, place, failure = why, "a webhook is given up");
            }
            tracing::warn!(app = %app.id, place, failure = why, "a webhook is sent again");
        }
    }

    async fn attempt(&self, app: &App, call: &WebhookCall) -> Result<(), Failure> {
        let Some(app) = self.apps.by_id(&app.id) else {
            let why = "the app is gone".to_owned();
            return Err(Failure { why, lasts: true });
        };
        let mut headers = call.headers.clone();
        if let Some(name) = &call.signature_header {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.clone(), app.sign(&call.body)));
        }
        let request = Request {
            method: "POST".to_owned(),
            url: call.url.clone(),
            headers,
            body: call.body.clone(),
        };
        let _room = self.room.acquire().await.expect("nobody closes it");
        match self.outlets.now().send(request).await {
            Ok(response) if (200..300).contains(&response.status) => Ok(()),
            Ok(response) => Err(Failure {
                why: format!("answered {}", response.status),
                lasts: false,
            }),
            Err(error) => Err(failure(error, call)),
        }
    }
}

impl Outlets {
    fn new(private: impl Fn() -> bool + Send + Sync + 'static) -> Result<Self, String> {
        Ok(Self {
            public: HttpClient::new(Places::anywhere(false), ATTEMPT)?,
            anywhere: HttpClient::new(Places::anywhere(true), ATTEMPT)?,
            private: Box::new(private),
        })
    }

    fn now(&self) -> &HttpClient {
        if (self.private)() { &self.anywhere } else { &self.public }
    }
}

fn failure(error: HttpError, call: &WebhookCall) -> Failure {
    let hint = match error {
        HttpError::Denied(_) => "; `webhooks.allow_private_addresses = true` lets webhooks go there",
        _ => "",
    };
    let lasts = match error {
        // What a name means may change.
        HttpError::Denied(_) => !Address::parse(&call.url).is_ok_and(|address| address.is_name()),
        // If it is the answer that is too large, the receiver has the request.
        HttpError::Malformed(_) | HttpError::TooLarge => true,
        HttpError::Unreachable(_) | HttpError::TimedOut => false,
    };
    Failure {
        why: format!("{error}{hint}"),
        lasts,
    }
}

/// Portions of notices whose requests are sent or wait to be sent again, over all apps: some 10 MiB.
const PENDING: usize = 8_192;
/// Requests on their way at once.
const IN_FLIGHT: usize = 64;
/// Bytes of events in one request: half of what a request may have, for what the plugin writes around them.
const PORTION_BYTES: usize = MAX_BODY_BYTES / 2;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
