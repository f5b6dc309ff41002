//! Plugins that wait: each call runs on a fiber of its own, as a task that nobody drops half way.
//!
//! A guest's blocking call suspends its fiber, not a thread; several instances give concurrency. The deadline stands
//! outside: whoever asked gives up, the guest is told to stop at its next tick, and its instance is thrown away. So it
//! is too when the asker goes away. Only the auth door takes such plugins so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jackfield_hub::doors::{Claim, DoorError};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::auth::{Auth, optional};
use crate::bindings::hot::jackfield::auth::claims;
use crate::bindings::io::exports::jackfield::auth::{api_request, client_event, connect, signin, subscribe};
use crate::bindings::io::exports::jackfield::plugin::lifecycle;
use crate::context::{Context, io_store};
use crate::imports::cleaned;
use crate::lend;
use crate::plugin::{Plugin, reason};
use crate::pool::SharedPool;

/// Instances of a plugin that waits, and how many may be busy.
pub(crate) struct Fibers {
    idle: Mutex<Vec<Fiber>>,
    busy: Semaphore,
}

/// One instance.
struct Fiber {
    store: Store<Context>,
    connect: Option<connect::Guest>,
    subscribe: Option<subscribe::Guest>,
    signin: Option<signin::Guest>,
    client_event: Option<client_event::Guest>,
    api_request: Option<api_request::Guest>,
}

/// Tells a running call that nobody waits for it, unless the call has come to its end.
struct Abandon(Option<Arc<AtomicBool>>);

impl Default for Fibers {
    fn default() -> Self {
        Self {
            idle: Mutex::default(),
            busy: Semaphore::new(BUSY),
        }
    }
}

/// Puts a claim to an instance.
pub(crate) async fn ask(pool: SharedPool<Auth>, claim: Claim) -> Result<claims::Verdict, DoorError> {
    let abandoned = Arc::new(AtomicBool::new(false));
    let mut guard = Abandon(Some(Arc::clone(&abandoned)));
    let task = {
        let pool = Arc::clone(&pool);
        pool.plugin
            .host
            .waiting
            .clone()
            .spawn(async move { call(&pool, &claim, abandoned).await })
    };
    match tokio::time::timeout(DEADLINE, task).await {
        Ok(Ok(answer)) => {
            guard.0 = None;
            answer
        }
        Ok(Err(_)) => Err(pool.plugin.failed("could not be run".to_owned())),
        Err(_) => Err(pool
            .plugin
            .overdue(format!("gave no answer within {} s", DEADLINE.as_secs()))),
    }
}

/// Makes an instance and throws it away, to see whether the plugin starts.
pub(crate) fn try_out(plugin: &Plugin<Auth>) -> Result<(), String> {
    plugin.host.waiting.block_on(instantiate(plugin)).map(|_| ())
}

async fn call(
    pool: &SharedPool<Auth>,
    claim: &Claim,
    abandoned: Arc<AtomicBool>,
) -> Result<claims::Verdict, DoorError> {
    let plugin = &pool.plugin;
    let Ok(_busy) = pool.fibers.busy.acquire().await else {
        return Err(plugin.failed("is being unloaded".to_owned()));
    };
    if abandoned.load(Ordering::Relaxed) {
        return Err(plugin.failed("was asked in vain".to_owned()));
    }
    let idle = pool.fibers.idle.lock().pop();
    let mut fiber = match idle {
        Some(fiber) => fiber,
        None => instantiate(plugin).await.map_err(|reason| plugin.failed(reason))?,
    };
    plugin.identity.calls.fetch_add(1, Ordering::Relaxed);
    fiber.store.data_mut().abandoned = Arc::clone(&abandoned);
    plugin.host.pulse.keep_going();
    fiber.store.set_epoch_deadline(1);
    let verdict = fiber.put(claim).await;
    if abandoned.load(Ordering::Relaxed) {
        // Whatever it came to: the asker is gone, which is not the plugin's fault, or counted the delay already.
        return Err(plugin.failed("was asked in vain".to_owned()));
    }
    let verdict = verdict.map_err(|error| plugin.trapped(&error))?;
    pool.fibers.idle.lock().push(fiber);
    Ok(verdict)
}

async fn instantiate(plugin: &Plugin<Auth>) -> Result<Fiber, String> {
    let failed = |error: wasmtime::Error| format!("an instance could not be made: {}", reason(&error));
    let pre: &InstancePre<Context> = &plugin.pre;
    let mut store = io_store(Arc::clone(&plugin.identity), Arc::clone(&plugin.host));
    let instance = pre.instantiate_async(&mut store).await.map_err(failed)?;
    let init = lifecycle::GuestIndices::new(pre)
        .and_then(|found| found.load(&mut store, &instance))
        .map_err(failed)?;
    match init.call_init(&mut store, &plugin.config).await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => return Err(format!("init refused its configuration: {}", cleaned(&refusal))),
        Err(error) => return Err(format!("init failed: {}", reason(&error))),
    }
    macro_rules! guest {
        ($question:ident, $name:literal) => {
            optional(pre, $name, $question::GuestIndices::new)
                .and_then(|found| found.map(|found| found.load(&mut store, &instance)).transpose())
                .map_err(failed)?
        };
    }
    Ok(Fiber {
        connect: guest!(connect, "jackfield:auth/connect"),
        subscribe: guest!(subscribe, "jackfield:auth/subscribe"),
        signin: guest!(signin, "jackfield:auth/signin"),
        client_event: guest!(client_event, "jackfield:auth/client-event"),
        api_request: guest!(api_request, "jackfield:auth/api-request"),
        store,
    })
}

impl Fiber {
    async fn put(&mut self, claim: &Claim) -> wasmtime::Result<claims::Verdict> {
        let store = &mut self.store;
        let headers = lend::headers(claim);
        match claim {
            Claim::Connect(client) => {
                let Some(guest) = &self.connect else {
                    return Ok(claims::Verdict::Pass);
                };
                guest.call_check(store, lend::connection(client, &headers)).await
            }
            Claim::Subscribe(request) => {
                let Some(guest) = &self.subscribe else {
                    return Ok(claims::Verdict::Pass);
                };
                let client = lend::connection(&request.client, &headers);
                guest.call_check(store, client, lend::subscribe(request)).await
            }
            Claim::Signin(request) => {
                let Some(guest) = &self.signin else {
                    return Ok(claims::Verdict::Pass);
                };
                let client = lend::connection(&request.client, &headers);
                guest.call_check(store, client, lend::signin(request)).await
            }
            Claim::ClientEvent(event) => {
                let Some(guest) = &self.client_event else {
                    return Ok(claims::Verdict::Pass);
                };
                let client = lend::connection(&event.client, &headers);
                guest.call_check(store, client, lend::client_event(event)).await
            }
            Claim::ApiRequest(request) => {
                let Some(guest) = &self.api_request else {
                    return Ok(claims::Verdict::Pass);
                };
                guest.call_check(store, lend::request(request, &headers)).await
            }
        }
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if let Some(abandoned) = self.0.take() {
            abandoned.store(true, Ordering::Relaxed);
        }
    }
}

/// How long anybody waits for a plugin.
const DEADLINE: Duration = Duration::from_secs(5);

/// Calls of one plugin that run at the same time; others wait for their turn, within the deadline.
const BUSY: usize = 16;
