//! What a conversation asks the gate, and what it does when a client sends too much.

use std::sync::Arc;

use jackfield_hub::doors::{self, Claim, Refusal, Rule};
use jackfield_hub::{ClientRule, Toll};
use jackfield_protocol::close::Close;
use jackfield_protocol::pusher::frames;
use jackfield_protocol::pusher::session::{ClientEvent, Signin, Subscribe};

use super::{Conversation, Settled};

impl Conversation {
    /// Asks whether this message may be heard at all. Only messages are counted: WebSocket's own pings have to be answered
    /// (RFC 6455 §5.5.2).
    pub(super) fn ask_to_converse(&mut self, text: String, rule: Rule) {
        let client = self.connection.client();
        let toll = Toll::Message(Arc::clone(&client), rule);
        let answer = self.event_loop.shared.gate.count(&client.app, &toll);
        self.put(answer.map(|answer| Settled::Message(text, answer)));
    }

    pub(super) fn ask_to_subscribe(&mut self, request: Subscribe) {
        let Subscribe {
            channel,
            auth,
            channel_data,
            ..
        } = request.clone();
        let client = self.connection.client();
        let claim = doors::SubscribeRequest {
            client,
            channel,
            auth,
            channel_data,
        };
        let answer = self.event_loop.shared.gate.authorize(&Claim::Subscribe(claim));
        self.put(answer.map(|answer| Settled::Subscribe(request, answer)));
    }

    pub(super) fn ask_to_sign_in(&mut self, signin: Signin) {
        let Signin { auth, user_data, .. } = signin.clone();
        let client = self.connection.client();
        let claim = Claim::Signin(doors::SigninRequest {
            client,
            auth,
            user_data,
        });
        let answer = self.event_loop.shared.gate.authorize(&claim);
        self.put(answer.map(|answer| Settled::Signin(signin, answer)));
    }

    pub(super) fn ask_to_send(&mut self, event: ClientEvent) {
        let client = self.connection.client();
        let toll = Toll::ClientEvent(Arc::clone(&client));
        let ClientEvent {
            channel,
            event: name,
            data,
            ..
        } = event.clone();
        let claim = Claim::ClientEvent(doors::ClientEvent {
            client,
            channel,
            event: name,
            data,
        });
        let answer = self.event_loop.shared.gate.admit(&claim, toll);
        self.put(answer.map(|answer| Settled::ClientEvent(event, answer)));
    }

    /// Tells the client that its event was not sent.
    pub(super) fn refuse_event(&mut self, event: &ClientEvent, refusal: &Refusal) {
        let Some(ms) = refusal.retry_after_ms else {
            let text = frames::error(&refusal.message, None);
            return self.connection.say(&self.event_loop, &text);
        };
        let rule = self.connection.client.borrow().app.policy.rules.client_event;
        if rule.closes {
            return self.close_for(&format!("client event {} is over the rate limit", event.event));
        }
        let text = self
            .connection
            .session
            .borrow()
            .rate_limited(&event.event, u64::from(ms));
        self.connection.say(&self.event_loop, &text);
    }

    /// Tells the client that its message was not heard.
    pub(super) fn refuse_message(&mut self, text: &str, refusal: &Refusal) {
        let limit: Option<ClientRule> = self.connection.client.borrow().app.policy.rules.message;
        let error = match refusal.retry_after_ms {
            Some(_) if limit.is_some_and(|limit| limit.closes) => {
                return self.close_for("this client sends too many messages");
            }
            Some(ms) => format!("this client sends too many messages; try again in {ms} ms"),
            None => refusal.message.clone(),
        };
        let session = self.connection.session.borrow();
        let answer = session.message_refused(text, refusal.code, &error);
        drop(session);
        self.connection.say(&self.event_loop, &answer);
    }

    /// Ends the connection of a client that sends too much. The error beforehand has the close's code, since both have to
    /// agree (Pusher protocol, "Connection closure"); 4301, the error for events alone, is no close: clients never come back after it.
    fn close_for(&mut self, error: &str) {
        let text = frames::error(error, Some(Close::OverRate.code()));
        self.connection.say(&self.event_loop, &text);
        self.leave(Close::OverRate);
    }
}
