//! The webhook door: one guest call turns a batch of notices into requests. What comes back is the guest's word only:
//! an address that is not one of the app's endpoints is refused.

use std::sync::Arc;

use jackfield_hub::App;
use jackfield_hub::doors::{Answer, DoorError, Notice, WebhookCall, WebhookSink};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::hot::exports::jackfield::webhook::sink;
use crate::bindings::hot::jackfield::types::types;
use crate::context::Context;
use crate::imports::cleaned;
use crate::lend;
use crate::plugin::{Door, FoundDoor, Live};
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
    fn prepare(&self, app: &App, notices: &[Notice]) -> Answer<Result<Vec<WebhookCall>, DoorError>> {
        Answer::Ready(self.ask(app, notices))
    }
}

impl WebhookDoor {
    fn ask(&self, app: &App, notices: &[Notice]) -> Result<Vec<WebhookCall>, DoorError> {
        let pool = self.slot.live()?;
        let answer = pool.call_any(|live| prepare(live, app, notices))?;
        let calls = answer.map_err(|reason| pool.plugin.failed(format!("answered: {}", cleaned(&reason))))?;
        if let Some(call) = calls
            .iter()
            .find(|call| !app.policy.webhooks.iter().any(|known| known.url == call.url))
        {
            let url = cleaned(&call.url);
            return Err(pool
                .plugin
                .failed(format!("wants to call {url}, which is no endpoint of app {}", app.id)));
        }
        Ok(calls.into_iter().map(taken).collect())
    }
}

fn prepare(
    live: &mut Live<Webhook>,
    app: &App,
    notices: &[Notice],
) -> wasmtime::Result<Result<Vec<sink::Call>, String>> {
    let known = &app.policy.webhooks;
    let events: Vec<Vec<&str>> = known
        .iter()
        .map(|endpoint| endpoint.events.iter().map(String::as_str).collect())
        .collect();
    let headers: Vec<Vec<types::HeaderParam<'_>>> = known
        .iter()
        .map(|endpoint| lend::header_list(&endpoint.headers))
        .collect();
    let endpoints: Vec<sink::Endpoint<'_>> = known
        .iter()
        .zip(events.iter().zip(&headers))
        .map(|(endpoint, (events, headers))| sink::Endpoint {
            url: &endpoint.url,
            events,
            channel_starts_with: &endpoint.channel_starts_with,
            channel_ends_with: &endpoint.channel_ends_with,
            headers,
        })
        .collect();
    let notices: Vec<sink::Notice<'_>> = notices.iter().map(lend).collect();
    live.door
        .guest
        .call_prepare(&mut live.store, lend::app(app), &endpoints, &notices)
}

impl Door for Webhook {
    const NAME: &'static str = "webhook";
    const INTERFACES: &'static [&'static str] = &["jackfield:webhook/sink"];

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

fn lend(notice: &Notice) -> sink::Notice<'_> {
    let Notice {
        id,
        name,
        channel,
        event,
        time_ms,
        ..
    } = notice;
    sink::Notice {
        id,
        name,
        channel,
        time_ms: *time_ms,
        event,
    }
}

fn taken(call: sink::Call) -> WebhookCall {
    let headers = call
        .headers
        .into_iter()
        .map(|header| (header.name, header.value))
        .collect();
    WebhookCall {
        url: call.url,
        headers,
        body: call.body,
        signature_header: call.signature_header,
    }
}
