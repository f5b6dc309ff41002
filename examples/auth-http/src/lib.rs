//! Asks the application's own server who may do what: for apps whose permissions live in a database and not in a
//! signature.
//!
//! Each subscription to a private or presence channel becomes a POST request with a JSON body, and the server's answer
//! decides. It waits for that answer on a fiber of its own, so it holds up the connection that asked and nobody else.
//! Public channels, connections and the HTTP API are left to the next plugin in the chain.
//!
//! | the server answers | the client is |
//! | --- | --- |
//! | 200 with `{}`, or with `user_id`, `user_info`, `expires_in_ms` | let in, in presence channels as that user |
//! | 204 | the next plugin's to judge |
//! | 401 or 403, with or without `{"message": …}` | refused |
//! | anything else, or nothing | refused with 424: who cannot be asked has not agreed |

use jackfield_sdk::host::{self, HttpRequest, HttpResponse};
use jackfield_sdk::{Auth, Connection, Grant, Header, Member, SubscribeRequest, Verdict, export_auth};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The settings, and the plugin: it keeps nothing else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthHttp {
    /// Where to ask. `[http] allow` in this plugin's `NAME.toml` has to list it; a secret by which the application knows
    /// who asks belongs into `[http] headers` there, which the host adds and the plugin never sees.
    url: String,
}

/// What the server is asked.
#[derive(Serialize)]
struct Question<'a> {
    app_id: &'a str,
    socket_id: &'a str,
    remote_address: &'a str,
    channel: &'a str,
    /// What the client sent as `auth`: whatever the application has agreed on with its pages, such as a token.
    auth: &'a str,
    channel_data: Option<&'a str>,
    /// The `Cookie` header of the handshake, if the operator lets auth plugins see it.
    cookie: Option<&'a str>,
}

/// What it answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    user_id: Option<String>,
    user_info: Option<Box<RawValue>>,
    expires_in_ms: Option<u64>,
    message: Option<String>,
}

impl Auth for AuthHttp {
    fn new(config: &str) -> Result<Self, String> {
        let plugin: Self = serde_json::from_str(config).map_err(|error| error.to_string())?;
        if plugin.url.starts_with("http://") || plugin.url.starts_with("https://") {
            Ok(plugin)
        } else {
            Err(format!("`url` must begin with http:// or https://, not {}", plugin.url))
        }
    }

    fn subscribe(&mut self, client: &Connection, request: &SubscribeRequest) -> Verdict {
        if !request.channel.starts_with("private-") && !request.channel.starts_with("presence-") {
            return Verdict::Pass;
        }
        match host::send(&self.request(client, request)) {
            Ok(response) => judge(&response),
            Err(error) => {
                host::warn(&format!("{} cannot be asked: {error:?}", self.url));
                unavailable()
            }
        }
    }
}

export_auth!(AuthHttp);

impl AuthHttp {
    fn request(&self, client: &Connection, request: &SubscribeRequest) -> HttpRequest {
        let handshake = host::handshake();
        let headers = handshake.iter().flat_map(|handshake| &handshake.headers);
        let cookie = headers.clone().find(|header| header.name == "cookie");
        let question = Question {
            app_id: &client.app.id,
            socket_id: &client.socket_id,
            remote_address: &client.remote_address,
            channel: &request.channel,
            auth: &request.auth,
            channel_data: request.channel_data.as_deref(),
            cookie: cookie.map(|cookie| cookie.value.as_str()),
        };
        let body = serde_json::to_vec(&question).expect("texts can be written as JSON");
        let json = Header {
            name: "content-type".to_owned(),
            value: "application/json".to_owned(),
        };
        HttpRequest {
            method: "POST".to_owned(),
            url: self.url.clone(),
            headers: vec![json],
            body,
        }
    }
}

fn judge(response: &HttpResponse) -> Verdict {
    let reply = || read(&response.body);
    match response.status {
        200 => match reply() {
            Ok(reply) => allow(reply),
            Err(error) => {
                host::warn(&format!("the answer is not what was agreed on: {error}"));
                unavailable()
            }
        },
        204 => Verdict::Pass,
        401 | 403 => {
            let message = reply().ok().and_then(|reply| reply.message);
            Verdict::refuse(
                response.status,
                message.as_deref().unwrap_or("the application refused it"),
            )
        }
        status => {
            host::warn(&format!("the answer has status {status}"));
            unavailable()
        }
    }
}

/// An object; serde would take a list for one as well.
fn read(body: &[u8]) -> Result<Reply, String> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("it is no JSON object".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn allow(reply: Reply) -> Verdict {
    let info = reply.user_info.map(|info| info.get().to_owned());
    Verdict::Allow(Grant {
        expires_in_ms: reply.expires_in_ms,
        member: reply.user_id.map(|user_id| Member {
            user_id,
            user_info: info,
        }),
    })
}

/// Who cannot be asked has not agreed.
fn unavailable() -> Verdict {
    Verdict::refuse(UNAVAILABLE, "the application cannot be asked at the moment; try again")
}

/// HTTP's word for what failed upstream and may do better next time, among those that a plugin may choose.
const UNAVAILABLE: u16 = 424;

#[cfg(test)]
mod tests;
