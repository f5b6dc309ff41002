//! The auth door: who may do what.

use crate::bindings::auth::exports::jackfield::auth::{api_request, client_event, connect, signin, subscribe};
use crate::bindings::auth::jackfield::auth::claims;
use crate::bindings::auth::jackfield::types::types;
use crate::plugin::{Exported, Resident, call};

pub use claims::{
    ClientEventMessage as ClientEvent, Grant, HttpRequest as ApiRequest, Member, Refusal, SigninRequest,
    SubscribeRequest, Verdict,
};
pub use types::{App, Connection, Header};

/// An auth plugin. It answers the questions that it overrides and passes on the others.
///
/// Plugins form a chain; the first answer that is not [`Verdict::Pass`] decides, and the end of the chain refuses.
pub trait Auth: Sized + 'static {
    /// Makes the plugin from its section of the host's configuration, a JSON object (`{}` if there is none).
    ///
    /// # Errors
    ///
    /// A text for the operator that names the key that is wrong. This version of the plugin then does not go live.
    fn new(config: &str) -> Result<Self, String>;

    /// May this client connect? Asked once per connection.
    fn connect(&mut self, client: &Connection) -> Verdict {
        let _ = client;
        Verdict::Pass
    }

    /// May this client subscribe to this channel? Asked for every subscription, public channels included.
    fn subscribe(&mut self, client: &Connection, request: &SubscribeRequest) -> Verdict {
        let _ = (client, request);
        Verdict::Pass
    }

    /// Is this client the user that it says it is? Asked for every `pusher:signin`.
    fn signin(&mut self, client: &Connection, request: &SigninRequest) -> Verdict {
        let _ = (client, request);
        Verdict::Pass
    }

    /// May this client send this event? Asked after the protocol's own rules.
    fn client_event(&mut self, client: &Connection, event: &ClientEvent) -> Verdict {
        let _ = (client, event);
        Verdict::Pass
    }

    /// May this HTTP request be carried out? Asked before its body is parsed.
    fn api_request(&mut self, request: &ApiRequest) -> Verdict {
        let _ = request;
        Verdict::Pass
    }
}

impl Verdict {
    /// Yes, for as long as the connection lasts.
    #[must_use]
    pub const fn allow() -> Self {
        Self::Allow(Grant {
            expires_in_ms: None,
            member: None,
        })
    }

    /// Yes, and in a presence channel the client is this member, whatever its `channel_data` or signin says. For
    /// `subscribe` alone.
    #[must_use]
    pub const fn allow_as(member: Member) -> Self {
        Self::Allow(Grant {
            expires_in_ms: None,
            member: Some(member),
        })
    }

    /// Yes, for `ms` milliseconds.
    #[must_use]
    pub const fn allow_for_ms(ms: u64) -> Self {
        Self::Allow(Grant {
            expires_in_ms: Some(ms),
            member: None,
        })
    }

    /// No. For `connect` the code is a close code from 4000 to 4299, for the other questions an HTTP status from 400
    /// to 499. The message is shown to the client's developer: say what was wrong and nothing secret.
    #[must_use]
    pub fn refuse(code: u16, message: impl Into<String>) -> Self {
        Self::Refuse(Refusal {
            code,
            message: message.into(),
        })
    }
}

impl ApiRequest {
    /// [Method](Self::method), [path](Self::path) and [query](Self::query), with one look at the lines.
    #[must_use]
    pub fn parts(&self) -> (&str, &str, &str) {
        let (method, target) = cut(&self.lines, b'\n');
        let (path, query) = cut(target, b'\n');
        (method, path, query)
    }

    /// In upper case.
    #[must_use]
    pub fn method(&self) -> &str {
        self.parts().0
    }

    /// As the client sent it, as far as the host knows, percent-encoded: with every prefix.
    #[must_use]
    pub fn path(&self) -> &str {
        self.parts().1
    }

    /// The path without any prefix, percent-encoded: `/apps/1001/events`.
    #[must_use]
    pub fn route(&self) -> &str {
        self.path().get(self.prefix_length as usize..).unwrap_or_default()
    }

    /// As it came, percent-encoded, without the question mark.
    #[must_use]
    pub fn query(&self) -> &str {
        self.parts().2
    }
}

/// What stands before the first `mark`, which is ASCII, and what stands behind it: nothing, if there is none. It is near, and for
/// that the standard library's search takes long.
fn cut(text: &str, mark: u8) -> (&str, &str) {
    match text.bytes().position(|byte| byte == mark) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    }
}

/// Makes a type that implements [`Auth`] the plugin of this component.
#[macro_export]
macro_rules! export_auth {
    ($plugin:ty) => {
        $crate::export_plugin!($plugin, Auth, auth);
    };
}

impl<P: Auth + Resident> connect::Guest for Exported<P> {
    fn check(client: Connection) -> Verdict {
        call(|plugin: &mut P| plugin.connect(&client))
    }
}

impl<P: Auth + Resident> subscribe::Guest for Exported<P> {
    fn check(client: Connection, request: SubscribeRequest) -> Verdict {
        call(|plugin: &mut P| plugin.subscribe(&client, &request))
    }
}

impl<P: Auth + Resident> signin::Guest for Exported<P> {
    fn check(client: Connection, request: SigninRequest) -> Verdict {
        call(|plugin: &mut P| plugin.signin(&client, &request))
    }
}

impl<P: Auth + Resident> client_event::Guest for Exported<P> {
    fn check(client: Connection, message: ClientEvent) -> Verdict {
        call(|plugin: &mut P| plugin.client_event(&client, &message))
    }
}

impl<P: Auth + Resident> api_request::Guest for Exported<P> {
    fn check(request: ApiRequest) -> Verdict {
        call(|plugin: &mut P| plugin.api_request(&request))
    }
}

#[cfg(test)]
mod tests {
    use crate::{ApiRequest, double};

    #[test]
    fn a_request_is_taken_apart() {
        let request = ApiRequest {
            lines: "POST\n/a/apps/1001/events\nb=?&c= d".to_owned(),
            prefix_length: 2,
            ..double::api_request()
        };
        assert_eq!((request.method(), request.path()), ("POST", "/a/apps/1001/events"));
        assert_eq!((request.route(), request.query()), ("/apps/1001/events", "b=?&c= d"));
        let bare = double::api_request();
        assert_eq!(
            (bare.path(), bare.route(), bare.query()),
            ("/apps/1001/events", "/apps/1001/events", "")
        );
    }
}
