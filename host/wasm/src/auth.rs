//! The auth door: the chain of plugins that decides who may do what.
//!
//! The first answer that is not *pass* decides; the end of the chain refuses. A plugin that is missing or fails decides
//! too: the door's policy is to refuse, so no later plugin is asked in its place.

use std::sync::Arc;

use jackfield_files::cleaned;
use jackfield_hub::doors::{Answer, Authorizer, Claim, DoorError, NamedMember, Permission, Refusal, Verdict};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::hot::exports::jackfield::auth::{api_request, client_event, connect, signin, subscribe};
use crate::bindings::hot::jackfield::auth::claims;
use crate::context::{Context, Subject};
use crate::doors::Doors;
use crate::io;
use crate::lend;
use crate::linkers::{Mode, interface};
use crate::plugin::{AUTH, Door, FoundDoor, Live};
use crate::pool::SharedPool;
use crate::slot::Slot;
use crate::waiting_auth::WaitingAuth;

/// The questions that an instance answers.
pub(crate) struct Auth {
    connect: Option<connect::Guest>,
    subscribe: Option<subscribe::Guest>,
    signin: Option<signin::Guest>,
    client_event: Option<client_event::Guest>,
    api_request: Option<api_request::Guest>,
}

/// The door.
pub(crate) struct AuthDoor(pub(crate) Arc<Doors>);

/// The chain, in order.
#[derive(Clone)]
pub(crate) struct AuthChain {
    pub(crate) slots: Arc<[Arc<Slot<Auth>>]>,
}

impl Authorizer for AuthDoor {
    fn check(&self, claim: &Claim) -> Answer<Result<Verdict, DoorError>> {
        self.0.auth.load().ask_from(0, claim)
    }
}

impl AuthChain {
    /// Asks the plugins from number `first` on, on this thread for as long as they answer at once.
    fn ask_from(&self, first: usize, claim: &Claim) -> Answer<Result<Verdict, DoorError>> {
        for (index, slot) in self.slots.iter().enumerate().skip(first) {
            let pool = match slot.live() {
                Ok(pool) => pool,
                Err(error) => return Answer::Ready(Err(error)),
            };
            if pool.plugin.mode == Mode::Io {
                return self.wait_for(index, pool, claim.clone());
            }
            match pool.call_any(|live| ask(live, claim)) {
                Ok(claims::Verdict::Pass) => {}
                Ok(verdict) => return Answer::Ready(Ok(judged(verdict, claim))),
                Err(error) => return Answer::Ready(Err(error)),
            }
        }
        Answer::Ready(Ok(Verdict::Refuse(end_of_chain(claim))))
    }

    /// Asks a plugin that may wait, and the rest of the chain if it passes.
    fn wait_for(&self, index: usize, pool: SharedPool<Auth>, claim: Claim) -> Answer<Result<Verdict, DoorError>> {
        let rest = self.clone();
        let put = claim.clone();
        let asked = io::ask(pool, move |fiber| Box::pin(async move { fiber.put(&put).await }));
        Answer::Pending(Box::pin(async move {
            match asked.await? {
                claims::Verdict::Pass => rest.ask_from(index + 1, &claim).wait().await,
                verdict => Ok(judged(verdict, &claim)),
            }
        }))
    }
}

/// Puts the claim to one instance. A question that the plugin does not answer is a pass.
fn ask(live: &mut Live<Auth>, claim: &Claim) -> wasmtime::Result<claims::Verdict> {
    let Live { store, door } = live;
    store.data_mut().subject = Subject::of(claim);
    let answer = match claim {
        Claim::Connect(client) => {
            let client = lend::connection(client);
            let guest = door.connect.as_ref();
            guest.map(|guest| guest.call_check(&mut *store, client))
        }
        Claim::Subscribe(request) => {
            let client = lend::connection(&request.client);
            door.subscribe
                .as_ref()
                .map(|guest| guest.call_check(&mut *store, client, lend::subscribe(request)))
        }
        Claim::Signin(request) => {
            let client = lend::connection(&request.client);
            let request = lend::signin(request);
            door.signin
                .as_ref()
                .map(|guest| guest.call_check(&mut *store, client, request))
        }
        Claim::ClientEvent(event) => {
            let client = lend::connection(&event.client);
            door.client_event
                .as_ref()
                .map(|guest| guest.call_check(&mut *store, client, lend::client_event(event)))
        }
        Claim::ApiRequest(request) => {
            let guest = door.api_request.as_ref();
            guest.map(|guest| guest.call_check(&mut *store, lend::request(request)))
        }
    };
    store.data_mut().subject = Subject::None;
    answer.unwrap_or(Ok(claims::Verdict::Pass))
}

impl Door for Auth {
    const NAME: &'static str = AUTH;
    const INTERFACES: &'static [&'static str] = &[
        "jackfield:auth/connect",
        "jackfield:auth/subscribe",
        "jackfield:auth/signin",
        "jackfield:auth/client-event",
        "jackfield:auth/api-request",
    ];
    type Waiting = WaitingAuth;
    const MAY_WAIT: bool = true;

    fn find(pre: &InstancePre<Context>) -> wasmtime::Result<impl FoundDoor<Self>> {
        Ok(Found {
            connect: optional(pre, "jackfield:auth/connect", connect::GuestIndices::new)?,
            subscribe: optional(pre, "jackfield:auth/subscribe", subscribe::GuestIndices::new)?,
            signin: optional(pre, "jackfield:auth/signin", signin::GuestIndices::new)?,
            client_event: optional(pre, "jackfield:auth/client-event", client_event::GuestIndices::new)?,
            api_request: optional(pre, "jackfield:auth/api-request", api_request::GuestIndices::new)?,
        })
    }
}

struct Found {
    connect: Option<connect::GuestIndices>,
    subscribe: Option<subscribe::GuestIndices>,
    signin: Option<signin::GuestIndices>,
    client_event: Option<client_event::GuestIndices>,
    api_request: Option<api_request::GuestIndices>,
}

impl FoundDoor<Auth> for Found {
    fn bind(&self, store: &mut Store<Context>, instance: &Instance) -> wasmtime::Result<Auth> {
        Ok(Auth {
            connect: self
                .connect
                .as_ref()
                .map(|found| found.load(&mut *store, instance))
                .transpose()?,
            subscribe: self
                .subscribe
                .as_ref()
                .map(|found| found.load(&mut *store, instance))
                .transpose()?,
            signin: self
                .signin
                .as_ref()
                .map(|found| found.load(&mut *store, instance))
                .transpose()?,
            client_event: self
                .client_event
                .as_ref()
                .map(|found| found.load(&mut *store, instance))
                .transpose()?,
            api_request: self
                .api_request
                .as_ref()
                .map(|found| found.load(&mut *store, instance))
                .transpose()?,
        })
    }
}

/// Finds an interface that may be left out; one that is there must be right.
pub(crate) fn optional<T>(
    pre: &InstancePre<Context>,
    name: &str,
    find: impl FnOnce(&InstancePre<Context>) -> wasmtime::Result<T>,
) -> wasmtime::Result<Option<T>> {
    let component = pre.component();
    let there = component
        .component_type()
        .exports(pre.engine())
        .any(|(export, _)| interface(export) == name);
    there.then(|| find(pre)).transpose()
}

// ---- conversions -----------------------------------------------------------------------------------------------

fn judged(verdict: claims::Verdict, claim: &Claim) -> Verdict {
    match verdict {
        claims::Verdict::Allow(grant) => Verdict::Allow(Permission {
            expires_in_ms: grant.expires_in_ms,
            member: grant.member.map(|member| {
                let (user_id, user_info) = (member.user_id, member.user_info);
                Box::new(NamedMember { user_id, user_info })
            }),
        }),
        claims::Verdict::Refuse(refusal) => {
            let (range, otherwise) = codes(claim);
            let code = if range.contains(&refusal.code) {
                refusal.code
            } else {
                otherwise
            };
            Verdict::Refuse(Refusal {
                code,
                message: cleaned(&refusal.message),
                retry_after_ms: None,
            })
        }
        claims::Verdict::Pass => Verdict::Refuse(end_of_chain(claim)),
    }
}

fn end_of_chain(claim: &Claim) -> Refusal {
    let message = "no auth plugin allowed it".to_owned();
    Refusal {
        code: codes(claim).1,
        message,
        retry_after_ms: None,
    }
}

/// The codes that a plugin may choose, and the one that stands for any other.
fn codes(claim: &Claim) -> (std::ops::RangeInclusive<u16>, u16) {
    match claim {
        Claim::Connect(_) => (4000..=4299, 4009),
        _ => (400..=499, 401),
    }
}
