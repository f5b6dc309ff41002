//! The webhook door: one guest call per endpoint words what the endpoint wants to hear of. Where requests go is no guest's
//! business, and neither are the headers that the operator gave an endpoint.

use std::sync::Arc;

use jackfield_files::cleaned;
use jackfield_hub::doors::{Answer, DoorError, Notice, WebhookCall, WebhookSink};
use jackfield_hub::{App, Endpoint};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::hot::exports::jackfield::webhook::sink;
use crate::bindings::hot::jackfield::webhook::calls;
use crate::bindings::io::exports::jackfield::webhook::sink as waiting;
use crate::context::Context;
use crate::doors::Doors;
use crate::io::{self, Fiber, Waiting};
use crate::lend;
use crate::linkers::Mode;
use crate::plugin::{Door, FoundDoor, Live};
use crate::pool::{Pool, SharedPool};

/// The guest's function.
pub(crate) struct Webhook {
    guest: sink::Guest,
}

/// The door.
pub(crate) struct WebhookDoor(pub(crate) Arc<Doors>);

impl WebhookSink for WebhookDoor {
    fn prepare(&self, app: &Arc<App>, notices: &[Notice]) -> Answer<Result<Vec<WebhookCall>, DoorError>> {
        let pool = match self.0.webhook.load().live() {
            Ok(pool) => pool,
            Err(error) => return Answer::Ready(Err(error)),
        };
        if pool.plugin.mode == Mode::Hot {
            return Answer::Ready(prepare(&pool, app, notices));
        }
        let (app, notices) = (Arc::clone(app), notices.to_vec());
        Answer::Pending(Box::pin(prepare_waiting(pool, app, notices)))
    }
}

/// What the guest says for one endpoint.
type Worded = Result<Option<calls::Call>, String>;

fn prepare(pool: &Pool<Webhook>, app: &App, notices: &[Notice]) -> Result<Vec<WebhookCall>, DoorError> {
    let mut calls = Vec::with_capacity(app.policy.webhooks.len());
    for endpoint in &app.policy.webhooks {
        let wanted = wanted(endpoint, notices);
        if !wanted.is_empty() {
            let worded = pool.call_any(|Live { store, door }| door.guest.call_prepare(store, &app.id, &wanted))?;
            calls.extend(taken(worded, pool, app, endpoint, &wanted)?);
        }
    }
    Ok(calls)
}

/// The same with a plugin that waits: one endpoint after the other, each with the whole deadline.
async fn prepare_waiting(
    pool: SharedPool<Webhook>,
    app: Arc<App>,
    notices: Vec<Notice>,
) -> Result<Vec<WebhookCall>, DoorError> {
    let notices: Arc<[Notice]> = notices.into();
    let mut calls = Vec::new();
    for (index, endpoint) in app.policy.webhooks.iter().enumerate() {
        let wanted = wanted(endpoint, &notices);
        if wanted.is_empty() {
            continue;
        }
        let (lent, notices) = (Arc::clone(&app), Arc::clone(&notices));
        let worded = io::ask(Arc::clone(&pool), move |fiber| {
            Box::pin(async move { word(fiber, &lent, index, &notices).await })
        });
        calls.extend(taken(worded.await?, &pool, &app, endpoint, &wanted)?);
    }
    Ok(calls)
}

async fn word(
    fiber: &mut Fiber<WaitingWebhook>,
    app: &App,
    endpoint: usize,
    notices: &[Notice],
) -> wasmtime::Result<Worded> {
    let wanted = wanted(&app.policy.webhooks[endpoint], notices);
    fiber.door.guest.call_prepare(&mut fiber.store, &app.id, &wanted).await
}

/// The notices that an endpoint wants to hear of, lent to the guest.
fn wanted<'a>(endpoint: &Endpoint, notices: &'a [Notice]) -> Vec<calls::Notice<'a>> {
    let wanted = notices
        .iter()
        .filter(|notice| endpoint.wants(notice.name, &notice.channel));
    wanted.map(lend).collect()
}

/// The function of a plugin that waits.
pub(crate) struct WaitingWebhook {
    guest: waiting::Guest,
}

impl Waiting for WaitingWebhook {
    fn load(pre: &InstancePre<Context>, store: &mut Store<Context>, instance: &Instance) -> wasmtime::Result<Self> {
        let guest = waiting::GuestIndices::new(pre)?.load(store, instance)?;
        Ok(Self { guest })
    }
}

impl Door for Webhook {
    const NAME: &'static str = "webhook";
    const INTERFACES: &'static [&'static str] = &["jackfield:webhook/sink"];
    type Waiting = WaitingWebhook;
    const MAY_WAIT: bool = true;

    fn find(pre: &InstancePre<Context>) -> wasmtime::Result<impl FoundDoor<Self>> {
        sink::GuestIndices::new(pre)
    }
}

impl FoundDoor<Webhook> for sink::GuestIndices {
    fn bind(&self, store: &mut Store<Context>, instance: &Instance) -> wasmtime::Result<Webhook> {
        Ok(Webhook {
            guest: self.load(store, instance)?,
        })
    }
}

fn lend(notice: &Notice) -> calls::Notice<'_> {
    calls::Notice {
        id: &notice.id,
        time_ms: notice.time_ms,
        event: &notice.event,
    }
}

/// The request as it will be sent, but for its signature: the guest's headers, then those of the host and of the operator that
/// do not replace them.
fn taken(
    worded: Worded,
    pool: &Pool<Webhook>,
    app: &App,
    endpoint: &Endpoint,
    notices: &[calls::Notice<'_>],
) -> Result<Option<WebhookCall>, DoorError> {
    let failed = |reason: String| pool.plugin.failed(format!("answered: {}", cleaned(&reason)));
    let Some(call) = worded.map_err(failed)? else {
        return Ok(None);
    };
    let mut headers = lend::taken_headers(call.headers);
    let mut add = |name: String, value: &dyn Fn() -> String| {
        let own = headers.iter().map(|(name, _)| name).chain(&call.signature_header);
        if !own.into_iter().any(|own| own.eq_ignore_ascii_case(&name)) {
            headers.push((name, value()));
        }
    };
    if let Some(name) = call.key_header {
        add(name, &|| app.key.to_string());
    }
    // Receivers compare it as a whole string.
    add("content-type".to_owned(), &|| "application/json".to_owned());
    add("x-jackfield-notices".to_owned(), &|| ids(notices));
    for (name, value) in &endpoint.headers {
        add(name.clone(), &|| value.clone());
    }
    Ok(Some(WebhookCall {
        url: endpoint.url.clone(),
        headers,
        body: call.body,
        signature_header: call.signature_header,
    }))
}

/// The ids of the notices, by which a receiver knows a webhook that it has had before.
fn ids(notices: &[calls::Notice<'_>]) -> String {
    let mut ids = String::new();
    for notice in notices {
        if !ids.is_empty() {
            ids.push(',');
        }
        ids.push_str(notice.id);
    }
    ids
}
