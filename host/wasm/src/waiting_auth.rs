//! An auth plugin that waits, in one instance.

use jackfield_hub::doors::Claim;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::auth::optional;
use crate::bindings::hot::jackfield::auth::claims;
use crate::bindings::io::exports::jackfield::auth::{api_request, client_event, connect, signin, subscribe};
use crate::context::{Context, Subject};
use crate::io::{Fiber, Waiting};
use crate::lend;

/// The questions that the instance answers.
pub(crate) struct WaitingAuth {
    connect: Option<connect::Guest>,
    subscribe: Option<subscribe::Guest>,
    signin: Option<signin::Guest>,
    client_event: Option<client_event::Guest>,
    api_request: Option<api_request::Guest>,
}

impl Waiting for WaitingAuth {
    fn load(pre: &InstancePre<Context>, store: &mut Store<Context>, instance: &Instance) -> wasmtime::Result<Self> {
        macro_rules! guest {
            ($question:ident, $name:literal) => {
                optional(pre, $name, $question::GuestIndices::new)?
                    .map(|found| found.load(&mut *store, instance))
                    .transpose()?
            };
        }
        Ok(Self {
            connect: guest!(connect, "jackfield:auth/connect"),
            subscribe: guest!(subscribe, "jackfield:auth/subscribe"),
            signin: guest!(signin, "jackfield:auth/signin"),
            client_event: guest!(client_event, "jackfield:auth/client-event"),
            api_request: guest!(api_request, "jackfield:auth/api-request"),
        })
    }
}

impl Fiber<WaitingAuth> {
    /// Puts a claim to the instance. A question that the plugin does not answer is a pass.
    pub(crate) async fn put(&mut self, claim: &Claim) -> wasmtime::Result<claims::Verdict> {
        self.store.data_mut().subject = Subject::of(claim);
        let answer = self.ask(claim).await;
        self.store.data_mut().subject = Subject::None;
        answer
    }

    async fn ask(&mut self, claim: &Claim) -> wasmtime::Result<claims::Verdict> {
        let Self { store, door } = self;
        let pass = Ok(claims::Verdict::Pass);
        match claim {
            Claim::Connect(client) => match &door.connect {
                Some(guest) => guest.call_check(store, lend::connection(client)).await,
                None => pass,
            },
            Claim::Subscribe(request) => match &door.subscribe {
                Some(guest) => {
                    let client = lend::connection(&request.client);
                    guest.call_check(store, client, lend::subscribe(request)).await
                }
                None => pass,
            },
            Claim::Signin(request) => match &door.signin {
                Some(guest) => {
                    let client = lend::connection(&request.client);
                    guest.call_check(store, client, lend::signin(request)).await
                }
                None => pass,
            },
            Claim::ClientEvent(event) => match &door.client_event {
                Some(guest) => {
                    let client = lend::connection(&event.client);
                    guest.call_check(store, client, lend::client_event(event)).await
                }
                None => pass,
            },
            Claim::ApiRequest(request) => match &door.api_request {
                Some(guest) => guest.call_check(store, lend::request(request)).await,
                None => pass,
            },
        }
    }
}
