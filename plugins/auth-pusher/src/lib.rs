//! Authorises as Pusher does: a signature of the app's secret opens private and presence channels and the HTTP API,
//! and everything else is open.
//!
//! It stands at the end of the default chain, so it has an answer to every question and never passes. It is asked on
//! every subscription and every publish: questions are answered without a copy where nothing has to be decoded.

use jackfield_sdk::{
    ApiRequest, Auth, ClientEvent, Connection, SigninRequest, SubscribeRequest, Verdict, export_auth, host, no_settings,
};

mod channel;
mod query;
mod request;
mod signin;
mod usual;

/// Pusher's own rules.
#[derive(Debug, Default)]
pub struct Pusher {
    /// The text whose signature is checked, rebuilt for each question. Kept, because its memory is then taken once.
    text: String,
}

impl Auth for Pusher {
    fn new(config: &str) -> Result<Self, String> {
        no_settings(config).map(|()| Self::default())
    }

    fn connect(&mut self, _client: &Connection) -> Verdict {
        Verdict::allow()
    }

    fn subscribe(&mut self, client: &Connection, request: &SubscribeRequest) -> Verdict {
        verdict(channel::check(client, request, &mut self.text))
    }

    fn signin(&mut self, client: &Connection, request: &SigninRequest) -> Verdict {
        verdict(signin::check(client, request, &mut self.text))
    }

    fn client_event(&mut self, _client: &Connection, _event: &ClientEvent) -> Verdict {
        Verdict::allow()
    }

    fn api_request(&mut self, request: &ApiRequest) -> Verdict {
        verdict(request::check(request, &mut self.text))
    }
}

export_auth!(Pusher);

fn verdict(check: Result<(), String>) -> Verdict {
    match check {
        Ok(()) => Verdict::allow(),
        Err(message) => Verdict::refuse(401, message),
    }
}

/// The signature in `auth`, which has the form `KEY:SIGNATURE`. `what` needs it.
fn signature<'a>(client: &Connection, auth: &'a str, what: &str) -> Result<&'a str, String> {
    if auth.is_empty() {
        return Err(format!("{what} needs `auth`, and none was sent"));
    }
    match auth.split_once(':') {
        Some((key, _)) if key != client.app.key => Err(format!(
            "`auth` begins with another app's key; this connection is to {}",
            client.app.key
        )),
        Some((_, signature)) => Ok(signature),
        None => Err(MALFORMED.to_owned()),
    }
}

/// Whether the app's secret made this signature of `text`.
fn verify(text: &str, signature: &str) -> Result<(), String> {
    if host::verify(text.as_bytes(), signature) {
        return Ok(());
    }
    if !is_signature(signature) {
        return Err(MALFORMED.to_owned());
    }
    Err(format!(
        "invalid signature: sign {text} with HMAC-SHA256 under the app's secret"
    ))
}

/// Whether a text has the form of a signature. The host has refused it anyway; this tells its sender what is wrong.
fn is_signature(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

const MALFORMED: &str = "`auth` has to be KEY:SIGNATURE, the signature 64 lower-case hexadecimal digits";

#[cfg(test)]
mod tests {
    use jackfield_sdk::{App, Auth, ClientEvent, Connection, Verdict, double};

    use super::Pusher;

    /// The app of all examples in the Pusher documentation.
    pub(crate) fn app() -> App {
        double::add_app("3", "7ad3773142a6692b25b8");
        App {
            id: "3".to_owned(),
            key: "278d425bdf160c739803".to_owned(),
        }
    }

    pub(crate) fn client() -> Connection {
        Connection {
            app: app(),
            socket_id: "1234.1234".to_owned(),
            ..double::client()
        }
    }

    pub(crate) fn plugin() -> Pusher {
        Pusher::new("{}").expect("no settings are all it takes")
    }

    /// The message of a refusal, which has to be a 401.
    pub(crate) fn refusal(verdict: Verdict) -> String {
        match verdict {
            Verdict::Refuse(refusal) if refusal.code == 401 => refusal.message,
            other => panic!("{other:?} is no 401"),
        }
    }

    #[test]
    fn anybody_may_connect() {
        assert_eq!(plugin().connect(&client()), Verdict::allow());
    }

    #[test]
    fn subscribers_may_send_client_events() {
        let event = ClientEvent {
            channel: "private-foobar".to_owned(),
            event: "client-typing".to_owned(),
            data: "{}".to_owned(),
        };
        assert_eq!(plugin().client_event(&client(), &event), Verdict::allow());
    }

    #[test]
    fn refuses_settings_it_does_not_have() {
        assert!(Pusher::new(r#"{"secret":"x"}"#).is_err());
    }
}
