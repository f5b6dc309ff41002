//! Plugins that wait: each call runs on a fiber of its own, as a task that nobody drops half way.
//!
//! A guest's blocking call suspends its fiber, not a thread; several instances give concurrency. The deadline stands
//! outside: whoever asked gives up, the guest is told to stop at its next tick, and its instance is thrown away. So it
//! is too when the asker goes away. Every door but the adapter's takes such plugins.

use std::pin::{Pin, pin};
use std::sync::Arc;

use jackfield_files::{Limits, cleaned};
use jackfield_hub::doors::DoorError;
use jackfield_vitals::Failure;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::asker::Asker;
use crate::bindings::io::exports::jackfield::plugin::lifecycle;
use crate::context::{Context, io_store};
use crate::plugin::{Door, Plugin, reason};
use crate::pool::SharedPool;

/// The functions of a door's plugin that waits, in one instance.
pub(crate) trait Waiting: Sized + Send + 'static {
    /// Takes them from `instance`.
    fn load(pre: &InstancePre<Context>, store: &mut Store<Context>, instance: &Instance) -> wasmtime::Result<Self>;
}

/// Stands where no plugin may wait.
pub(crate) enum Never {}

/// Instances of a plugin that waits, and how many may be busy.
pub(crate) struct Fibers<W> {
    idle: Mutex<Vec<Fiber<W>>>,
    busy: Semaphore,
}

/// One instance.
pub(crate) struct Fiber<W> {
    pub(crate) store: Store<Context>,
    pub(crate) door: W,
}

/// A guest call that is under way.
pub(crate) type Calling<'a, R> = Pin<Box<dyn Future<Output = wasmtime::Result<R>> + Send + 'a>>;

/// Tells a running call that nobody waits for it, unless the call has come to its end.
struct Abandon(Option<Arc<Asker>>);

impl<W> Fibers<W> {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            idle: Mutex::default(),
            busy: Semaphore::new(limits.concurrency),
        }
    }
}

impl Waiting for Never {
    fn load(_: &InstancePre<Context>, _: &mut Store<Context>, _: &Instance) -> wasmtime::Result<Self> {
        wasmtime::bail!("a plugin at this door must not wait")
    }
}

/// Puts a question to an instance: `call` makes the guest call.
pub(crate) async fn ask<D, R>(
    pool: SharedPool<D>,
    call: impl for<'a> FnOnce(&'a mut Fiber<D::Waiting>) -> Calling<'a, R> + Send + 'static,
) -> Result<R, DoorError>
where
    D: Door,
    R: Send + 'static,
{
    let plugin = &pool.plugin;
    plugin.admit()?;
    let asker = Arc::new(Asker::default());
    let mut guard = Abandon(Some(Arc::clone(&asker)));
    let task = {
        let pool = Arc::clone(&pool);
        plugin
            .host
            .waiting
            .clone()
            .spawn(async move { run(&pool, call, asker).await })
    };
    let deadline = plugin.identity.limits.deadline;
    match tokio::time::timeout(deadline, task).await {
        Ok(Ok(answer)) => {
            guard.0 = None;
            answer
        }
        Ok(Err(_)) => Err(plugin.overdue(Failure::Trap, "could not be run".to_owned())),
        Err(_) => {
            let reason = format!("gave no answer within {} ms", deadline.as_millis());
            Err(plugin.overdue(Failure::TimeOut, reason))
        }
    }
}

/// Makes an instance and throws it away, to see whether the plugin starts.
pub(crate) fn try_out<D: Door>(plugin: &Plugin<D>) -> Result<(), String> {
    let (asker, deadline) = (Arc::default(), plugin.identity.limits.deadline);
    plugin.host.waiting.block_on(async {
        let mut made = pin!(instantiate(plugin, &asker));
        if let Ok(made) = tokio::time::timeout(deadline, &mut made).await {
            return made.map(|_| ());
        }
        // A guest that has been told so comes to an end at its next tick.
        asker.leave();
        let _ = made.await;
        Err(format!("it did not start within {} ms", deadline.as_millis()))
    })
}

async fn run<D: Door, R>(
    pool: &SharedPool<D>,
    call: impl for<'a> FnOnce(&'a mut Fiber<D::Waiting>) -> Calling<'a, R> + Send + 'static,
    asker: Arc<Asker>,
) -> Result<R, DoorError> {
    let plugin = &pool.plugin;
    let in_vain = || {
        plugin.identity.breaker.abandoned();
        Err(plugin.failed("was asked in vain".to_owned()))
    };
    let busy = tokio::select! {
        busy = pool.fibers.busy.acquire() => busy,
        // Who left while waiting for a turn does not stand in the way of others.
        () = asker.gone() => return in_vain(),
    };
    let Ok(_busy) = busy else {
        return Err(plugin.failed("is being unloaded".to_owned()));
    };
    let idle = pool.fibers.idle.lock().pop();
    let mut fiber = match idle {
        Some(fiber) => fiber,
        None => {
            let made = instantiate(plugin, &asker).await;
            if asker.is_gone() {
                return in_vain();
            }
            made.map_err(|reason| plugin.overdue(Failure::Trap, reason))?
        }
    };
    let begun = plugin.identity.figures.begin();
    fiber.store.data_mut().asker = Arc::clone(&asker);
    plugin.host.pulse.keep_going();
    fiber.store.set_epoch_deadline(1);
    let answer = call(&mut fiber).await;
    plugin.identity.figures.end(begun);
    if asker.is_gone() {
        // Whatever it came to: the asker is gone, which is not the plugin's fault, or counted the delay already.
        return in_vain();
    }
    let answer = answer.map_err(|error| plugin.trapped(Failure::Trap, &error))?;
    plugin.did_well();
    if !fiber.store.data().is_worn() {
        pool.fibers.idle.lock().push(fiber);
    }
    Ok(answer)
}

async fn instantiate<D: Door>(plugin: &Plugin<D>, asker: &Arc<Asker>) -> Result<Fiber<D::Waiting>, String> {
    let failed = |error: wasmtime::Error| format!("an instance could not be made: {}", reason(&error));
    let pre: &InstancePre<Context> = &plugin.pre;
    let mut store = io_store(
        Arc::clone(&plugin.identity),
        Arc::clone(&plugin.host),
        plugin.requests.clone(),
    );
    store.data_mut().asker = Arc::clone(asker);
    let instance = pre.instantiate_async(&mut store).await.map_err(failed)?;
    let init = lifecycle::GuestIndices::new(pre)
        .and_then(|found| found.load(&mut store, &instance))
        .map_err(failed)?;
    match init.call_init(&mut store, &plugin.config).await {
        Ok(Ok(())) => store.data_mut().began(),
        Ok(Err(refusal)) => return Err(format!("init refused its configuration: {}", cleaned(&refusal))),
        Err(error) => return Err(format!("init failed: {}", reason(&error))),
    }
    let door = D::Waiting::load(pre, &mut store, &instance).map_err(failed)?;
    Ok(Fiber { store, door })
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if let Some(asker) = self.0.take() {
            asker.leave();
        }
    }
}
