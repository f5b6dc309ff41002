//! Who may do what, and how much: auth first, then the limit.
//!
//! The order is written in types. A [`Grant`] is made by [`Gate::authorize`] alone, a [`Pass`] from a grant by
//! [`Gate::charge`] alone; the hub publishes for a pass and subscribes for a grant. A door without a plugin, or whose
//! plugin failed, refuses.

use std::sync::Arc;

use crate::app::App;
use crate::doors::{
    Answer, Authorizer, Claim, Client, Decision, DoorError, Limiter, Permission, Question, Refusal, Rule, Verdict,
};

/// Asks the auth and the rate-limit door. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    authorizer: Arc<dyn Authorizer>,
    limiter: Arc<dyn Limiter>,
}

/// Receipt that a claim was authorised.
#[derive(Debug)]
pub struct Grant {
    app: Arc<App>,
    /// For how long, and as whom.
    pub permission: Permission,
    _seal: Seal,
}

/// Receipt that a claim was authorised and counted.
#[derive(Debug)]
pub struct Pass {
    app: Arc<App>,
    /// After so many milliseconds the permission ends.
    pub expires_in_ms: Option<u64>,
    _seal: Seal,
}

/// What is to be counted, and against which of the app's rules.
#[derive(Clone, Debug)]
pub enum Toll {
    /// So many events of the HTTP API, counted by app.
    Publish(u32),
    /// One connection of this client, counted by address against a rule of the operator's.
    Connect(Arc<Client>, Rule),
    /// One question of the HTTP API, counted by app.
    Read,
    /// One event of this client, counted by connection.
    ClientEvent(Arc<Client>),
    /// One message of this client, counted by connection against its app's rule, which not every app has.
    Message(Arc<Client>, Rule),
}

#[derive(Debug)]
struct Seal;

impl Gate {
    /// A gate over two doors.
    pub fn new(authorizer: Arc<dyn Authorizer>, limiter: Arc<dyn Limiter>) -> Self {
        Self { authorizer, limiter }
    }

    /// Asks the auth door.
    ///
    /// # Errors
    /// The refusal of a plugin or of the chain's end; with code 503 (4100 for a connect) when the door has no answer.
    pub fn authorize(&self, claim: &Claim) -> Answer<Result<Grant, Refusal>> {
        let app = Arc::clone(claim.app());
        let closed = if matches!(claim, Claim::Connect(_)) {
            OVER_CAPACITY
        } else {
            UNAVAILABLE
        };
        self.authorizer.check(claim).map(move |answer| match answer {
            Ok(Verdict::Allow(permission)) => Ok(Grant {
                app,
                permission,
                _seal: Seal,
            }),
            Ok(Verdict::Refuse(refusal)) => Err(refusal),
            Err(error) => Err(refusal_of(&error, closed)),
        })
    }

    /// Asks the rate-limit door on behalf of somebody who was authorised.
    ///
    /// # Errors
    /// A refusal with code 429 and the time to wait, or 503 when the door has no answer.
    pub fn charge(&self, grant: Grant, toll: &Toll) -> Answer<Result<Pass, Refusal>> {
        self.count(&grant.app, toll).map(move |counted| {
            counted.map(|()| Pass {
                app: grant.app,
                expires_in_ms: grant.permission.expires_in_ms,
                _seal: Seal,
            })
        })
    }

    /// Asks the rate-limit door about what gives no right by itself, so nobody had to authorise it: what a message of a
    /// client asks for is judged afterwards, as ever.
    ///
    /// # Errors
    /// As [`Gate::charge`].
    pub fn count(&self, app: &App, toll: &Toll) -> Answer<Result<(), Refusal>> {
        self.limiter.check(&toll.question(app)).map(|answer| match answer {
            Ok(Decision { allowed: true, .. }) => Ok(()),
            Ok(decision) => Err(too_many(decision.retry_after_ms)),
            Err(error) => Err(refusal_of(&error, UNAVAILABLE)),
        })
    }

    /// Both, one after the other.
    ///
    /// # Errors
    /// As [`Gate::authorize`] and [`Gate::charge`].
    pub fn admit(&self, claim: &Claim, toll: Toll) -> Answer<Result<Pass, Refusal>> {
        match self.authorize(claim) {
            Answer::Ready(Ok(grant)) => self.charge(grant, &toll),
            Answer::Ready(Err(refusal)) => Answer::Ready(Err(refusal)),
            Answer::Pending(answer) => {
                let gate = self.clone();
                Answer::Pending(Box::pin(async move { gate.charge(answer.await?, &toll).wait().await }))
            }
        }
    }
}

impl Grant {
    /// For whom.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }
}

impl Pass {
    /// For whom.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }
}

impl Toll {
    fn question<'a>(&'a self, app: &'a App) -> Question<'a> {
        let (scope, key, cost, rule): (_, &str, u32, Rule) = match self {
            Self::Publish(events) => ("publish", &app.id, *events, app.policy.rules.publish),
            Self::Connect(client, rule) => ("connect", &client.remote_address, 1, *rule),
            Self::Read => ("read", &app.id, 1, app.policy.rules.read),
            Self::ClientEvent(client) => ("client-event", &client.socket_id, 1, app.policy.rules.client_event.rule),
            Self::Message(client, rule) => ("message", &client.socket_id, 1, *rule),
        };
        Question { scope, key, cost, rule }
    }
}

fn too_many(retry_after_ms: u32) -> Refusal {
    let message = format!("too many events; try again in {retry_after_ms} ms");
    Refusal {
        code: TOO_MANY,
        message,
        retry_after_ms: Some(retry_after_ms),
    }
}

fn refusal_of(error: &DoorError, code: u16) -> Refusal {
    Refusal {
        code,
        message: error.to_string(),
        retry_after_ms: None,
    }
}

/// HTTP status for a limit: what every Pusher-compatible server answers.
const TOO_MANY: u16 = 429;
/// HTTP status for a door without an answer.
const UNAVAILABLE: u16 = 503;
/// Pusher close code for the same before a connection is established: come back later.
const OVER_CAPACITY: u16 = 4100;
