//! What a client was permitted: for a time only, or until whoever decides thinks otherwise.

use std::rc::Rc;
use std::time::{Duration, Instant};

use jackfield_hub::doors::{Claim, SubscribeRequest};
use jackfield_protocol::close::Close;
use jackfield_protocol::names::ChannelName;
use jackfield_protocol::pusher::session::Subscribe;

use super::{Connection, End, UNAVAILABLE};
use crate::event_loop::EventLoop;

/// A permission that ends, or that is asked for again.
pub(super) struct Permit {
    permitted: Permitted,
    ends: Option<Instant>,
    asked: Option<Rc<Asked>>,
}

/// What a client was permitted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Permitted {
    /// To be connected.
    Connection,
    /// To be the user that it is signed in as.
    Signin,
    /// To hear this channel.
    Channel(ChannelName),
}

/// How a client asked for a channel.
pub(crate) struct Asked {
    channel: ChannelName,
    auth: String,
    channel_data: Option<String>,
}

/// What came of asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recheck {
    /// As before; or nobody had an answer.
    Stays,
    /// It is allowed no longer, and has ended.
    Ended,
}

impl Connection {
    /// Remembers when a permission ends, in place of what was known of it.
    pub(super) fn note_expiry(&self, expires_in_ms: Option<u64>, permitted: Permitted) {
        self.note(expires_in_ms, permitted, None);
    }

    /// The same of a subscription, which may be asked for again.
    pub(super) fn note_subscription(&self, event_loop: &EventLoop, expires_in_ms: Option<u64>, request: Subscribe) {
        let Subscribe {
            channel,
            auth,
            channel_data,
            ..
        } = request;
        let permitted = Permitted::Channel(channel.clone());
        let asked = event_loop.shared.settings().recheck.then(|| {
            Rc::new(Asked {
                channel,
                auth,
                channel_data,
            })
        });
        self.note(expires_in_ms, permitted, asked);
    }

    fn note(&self, expires_in_ms: Option<u64>, permitted: Permitted, asked: Option<Rc<Asked>>) {
        let ends = expires_in_ms.map(|ms| Instant::now() + Duration::from_millis(ms.min(LONGEST_GRANT_MS)));
        let mut permits = self.permits.borrow_mut();
        permits.retain(|known| known.permitted != permitted);
        if ends.is_some() || asked.is_some() {
            permits.push(Permit { permitted, ends, asked });
        }
        drop(permits);
        if ends.is_some() {
            EventLoop::current().look_soon(self.slot());
        }
    }

    /// When the first permission ends.
    pub(super) fn ends(&self) -> Option<Instant> {
        let permits = self.permits.borrow();
        permits.iter().filter_map(|permit| permit.ends).min()
    }

    /// Takes back what is no longer permitted.
    pub(super) fn expire(&self, event_loop: &EventLoop, now: Instant) {
        let over: Vec<Permit> = {
            let mut permits = self.permits.borrow_mut();
            let is_over = |permit: &mut Permit| permit.ends.is_some_and(|end| end <= now);
            permits.extract_if(.., is_over).collect()
        };
        for permit in over {
            match permit.permitted {
                Permitted::Channel(channel) => {
                    self.revoke(event_loop, &channel, UNAUTHORIZED, "the permission has ended");
                }
                Permitted::Connection | Permitted::Signin => return self.close(event_loop, Close::Unauthorized),
            }
        }
    }

    /// How the client asked for what it has.
    pub(crate) fn asked(&self) -> Vec<Rc<Asked>> {
        let permits = self.permits.borrow();
        permits.iter().filter_map(|permit| permit.asked.clone()).collect()
    }

    /// Asks for a subscription again. Where there is no answer it stays: a plugin that fails must not empty channels.
    pub(crate) async fn ask_again(&self, event_loop: &EventLoop, asked: &Rc<Asked>) -> Recheck {
        let claim = Claim::Subscribe(SubscribeRequest {
            client: self.client(),
            channel: asked.channel.clone(),
            auth: asked.auth.clone(),
            channel_data: asked.channel_data.clone(),
        });
        let answer = event_loop.shared.gate.authorize(&claim).wait().await;
        // The client may have left the channel meanwhile, or asked for it anew, and its place may be another's.
        let permits = self.permits.borrow();
        let same = |permit: &Permit| permit.asked.as_ref().is_some_and(|now| Rc::ptr_eq(now, asked));
        let stands = self.end.get() == End::Open && permits.iter().any(same);
        drop(permits);
        let permitted = Permitted::Channel(asked.channel.clone());
        match answer {
            Ok(grant) if stands => {
                self.note(grant.permission.expires_in_ms, permitted, Some(Rc::clone(asked)));
                Recheck::Stays
            }
            Err(refusal) if stands && refusal.code != UNAVAILABLE => {
                self.note(None, permitted, None);
                self.revoke(event_loop, &asked.channel, refusal.code, &refusal.message);
                Recheck::Ended
            }
            _ => Recheck::Stays,
        }
    }

    fn revoke(&self, event_loop: &EventLoop, channel: &ChannelName, status: u16, error: &str) {
        let (topic, now_ms) = (self.topic(channel), event_loop.shared.now_ms());
        event_loop.shard().unsubscribe(self.slot(), &topic, now_ms);
        let text = self.session.borrow_mut().subscription_revoked(channel, status, error);
        text.into_iter().for_each(|text| self.say(event_loop, &text));
    }
}

/// HTTP's word for what is not permitted any more, as `pusher:subscription_error` uses it.
const UNAUTHORIZED: u16 = 401;

/// A permission may last a year; more is as good as for ever and would overflow clocks.
const LONGEST_GRANT_MS: u64 = 365 * 24 * 3_600 * 1_000;
