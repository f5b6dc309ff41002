//! The webhook door: one guest call turns a batch of notices into requests. What comes back is the guest's word only:
//! an address that is not one of the app's endpoints is refused.

use std::sync::Arc;

use jackfield_hub::App;
use jackfield_hub::doors::{Answer, DoorError, Notice, WebhookCall, WebhookSink};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::hot::exports::jackfield::webhook::sink;
use crate::bindings::hot::jackfield::types::types;
use crate::bindings::hot::jackfield::webhook::calls;
use crate::bindings::io::exports::jackfield::webhook::sink as waiting;
use crate::context::Context;
use crate::imports::cleaned;
use crate::io::{self, Fiber, Waiting};
use crate::lend;
use crate::linkers::Mode;
use crate::plugin::{Door, FoundDoor, Live};
use crate::pool::Pool;
use crate::slot::Slot;

/// The guest's function.
pub(crate) struct Webhook {
    guest: sink::Guest,
}

/// The door.
pub(crate) struct WebhookDoor {
    pub(crate) slot: Arc<Slot<Webhook>>,
}

impl WebhookSink for WebhookDoor {
    fn prepare(&self, app: &Arc<App>, notices: &[Notice]) -> Answer<Result<Vec<WebhookCall>, DoorError>> {
        let pool = match self.slot.live() {
            Ok(pool) => pool,
            Err(error) => return Answer::Ready(Err(error)),
        };
        if pool.plugin.mode == Mode::Hot {
            let answer = pool.call_any(|live| prepare(live, app, notices));
            return Answer::Ready(answer.and_then(|answer| Self::judge(&pool, app, answer)));
        }
        let (app, notices) = (Arc::clone(app), notices.to_vec());
        let asked = {
            let app = Arc::clone(&app);
            io::ask(Arc::clone(&pool), move |fiber| {
                Box::pin(async move { prepare_waiting(fiber, &app, &notices).await })
            })
        };
        Answer::Pending(Box::pin(async move { Self::judge(&pool, &app, asked.await?) }))
    }
}

impl WebhookDoor {
    /// Takes the guest's word as far as it goes.
    fn judge(
        pool: &Pool<Webhook>,
        app: &App,
        answer: Result<Vec<calls::Call>, String>,
    ) -> Result<Vec<WebhookCall>, DoorError> {
        let wanted = answer.map_err(|reason| pool.plugin.failed(format!("answered: {}", cleaned(&reason))))?;
        if let Some(call) = wanted
            .iter()
            .find(|call| !app.policy.webhooks.iter().any(|known| known.url == call.url))
        {
            let url = cleaned(&call.url);
            return Err(pool
                .plugin
                .failed(format!("wants to call {url}, which is no endpoint of app {}", app.id)));
        }
        Ok(wanted.into_iter().map(taken).collect())
    }
}

/// The records of a question, lent to the guest. Lists of lists have to stand somewhere while they are lent.
struct Lent<'a> {
    app: &'a App,
    events: Vec<Vec<&'a str>>,
    headers: Vec<Vec<types::HeaderParam<'a>>>,
    notices: Vec<calls::Notice<'a>>,
}

impl<'a> Lent<'a> {
    fn new(app: &'a App, notices: &'a [Notice]) -> Self {
        let known = app.policy.webhooks.iter();
        Self {
            app,
            events: known
                .clone()
                .map(|endpoint| endpoint.events.iter().map(String::as_str).collect())
                .collect(),
            headers: known.map(|endpoint| lend::header_list(&endpoint.headers)).collect(),
            notices: notices.iter().map(lend).collect(),
        }
    }

    fn endpoints(&self) -> Vec<calls::Endpoint<'_>> {
        let lists = self.events.iter().zip(&self.headers);
        let endpoints = self.app.policy.webhooks.iter().zip(lists);
        endpoints
            .map(|(endpoint, (events, headers))| calls::Endpoint {
                url: &endpoint.url,
                events,
                channel_starts_with: &endpoint.channel_starts_with,
                channel_ends_with: &endpoint.channel_ends_with,
                headers,
            })
            .collect()
    }
}

fn prepare(
    live: &mut Live<Webhook>,
    app: &App,
    notices: &[Notice],
) -> wasmtime::Result<Result<Vec<calls::Call>, String>> {
    let lent = Lent::new(app, notices);
    let guest = &live.door.guest;
    guest.call_prepare(&mut live.store, lend::app(app), &lent.endpoints(), &lent.notices)
}

async fn prepare_waiting(
    fiber: &mut Fiber<WaitingWebhook>,
    app: &App,
    notices: &[Notice],
) -> wasmtime::Result<Result<Vec<calls::Call>, String>> {
    let lent = Lent::new(app, notices);
    let (guest, endpoints) = (&fiber.door.guest, lent.endpoints());
    guest
        .call_prepare(&mut fiber.store, lend::app(app), &endpoints, &lent.notices)
        .await
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
    let Notice {
        id,
        name,
        channel,
        event,
        time_ms,
        ..
    } = notice;
    calls::Notice {
        id,
        name,
        channel,
        time_ms: *time_ms,
        event,
    }
}

fn taken(call: calls::Call) -> WebhookCall {
    WebhookCall {
        url: call.url,
        headers: lend::taken_headers(call.headers),
        body: call.body,
        signature_header: call.signature_header,
    }
}
