//! HTTP as it is on the wire: one connection, requests one after the other, and a publisher that signs them.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jackfield_protocol::signature::{self, Credentials, SigningKey};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::wait::{LIMIT, within};

/// A connection to a server, kept alive between requests.
pub(crate) struct Http {
    stream: TcpStream,
    /// How long an answer may take.
    patience: Duration,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// An app as its own server knows it.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) id: &'static str,
    pub(crate) key: &'static str,
    pub(crate) secret: &'static str,
}

/// The app of development mode.
pub(crate) const DEVELOPMENT: Keys = Keys {
    id: "1001",
    key: "app-key",
    secret: "app-secret",
};

/// An app's server: publishes over one connection.
pub(crate) struct Publisher {
    http: Http,
    app: Keys,
}

impl Http {
    pub(crate) async fn connect(port: u16) -> io::Result<Self> {
        Self::connect_to("127.0.0.1", port).await
    }

    pub(crate) async fn connect_to(host: &str, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        let patience = LIMIT;
        Ok(Self { stream, patience })
    }

    /// For answers that take longer than others.
    pub(crate) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sends a request without a body.
    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
            .await
    }

    /// Sends JSON.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> io::Result<Answer> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.send(&(head + body)).await
    }

    /// Sends a request as it stands and reads the answer to it.
    pub(crate) async fn send(&mut self, request: impl AsRef<[u8]>) -> io::Result<Answer> {
        within(self.patience, "an HTTP answer", async {
            self.stream.write_all(request.as_ref()).await?;
            let head = self.head().await?;
            let mut answer = Answer::read(&head);
            let length = answer.headers.get("content-length").map_or("0", String::as_str);
            let mut body = vec![0; length.parse().expect("content-length is a number")];
            self.stream.read_exact(&mut body).await?;
            answer.body = String::from_utf8(body).expect("answers are text");
            Ok(answer)
        })
        .await
    }

    /// The socket, for what comes behind an upgrade.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Byte by byte, so that nothing of what follows is taken.
    async fn head(&mut self) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await?);
        }
        Ok(String::from_utf8(head).expect("a head is text"))
    }
}

impl Answer {
    fn read(head: &str) -> Self {
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status: status.and_then(|status| status.parse().ok()).expect("a status line"),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: String::new(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{self:?} is not JSON: {error}"))
    }

    /// The text of a refusal.
    pub(crate) fn error(&self) -> String {
        let error = &self.json()["error"];
        error
            .as_str()
            .unwrap_or_else(|| panic!("{self:?} has no error"))
            .to_owned()
    }
}

impl Keys {
    /// Path and query of a signed POST.
    pub(crate) fn signed(&self, path: &str, body: &str, unix_seconds: u64) -> String {
        let credentials = Credentials {
            key: self.key,
            secret: self.secret.as_bytes(),
        };
        let query = signature::sign_api_request(credentials, "POST", path, body.as_bytes(), unix_seconds);
        format!("{path}?{query}")
    }

    /// Path and query of a signed GET that says more than who asks.
    pub(crate) fn signed_get(&self, path: &str, more: &[(&str, &str)]) -> String {
        let now = now().to_string();
        let own = [
            ("auth_key", self.key),
            ("auth_timestamp", &now),
            ("auth_version", "1.0"),
        ];
        let pairs = [&own[..], more].concat();
        let text = signature::api_string_to_sign("GET", path, &pairs);
        let signature = SigningKey::new(self.secret.as_bytes()).sign_hex(text.as_bytes());
        let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{path}?{}&auth_signature={signature}", query.join("&"))
    }

    /// The `auth` of a subscription.
    pub(crate) fn auth(&self, socket_id: &str, channel: &str) -> String {
        let text = format!("{socket_id}:{channel}");
        let signature = SigningKey::new(self.secret.as_bytes()).sign_hex(text.as_bytes());
        format!("{}:{signature}", self.key)
    }

    pub(crate) fn events_path(&self) -> String {
        format!("/apps/{}/events", self.id)
    }
}

impl Publisher {
    /// Publishes for the development app.
    pub(crate) async fn new(port: u16) -> Self {
        Self::of(DEVELOPMENT, port).await
    }

    pub(crate) async fn of(app: Keys, port: u16) -> Self {
        let http = Http::connect(port).await.expect("the server accepts connections");
        Self { http, app }
    }

    /// Publishes and expects to be allowed to.
    pub(crate) async fn publish(&mut self, channel: &str, event: &str, data: &str) {
        let answer = self.try_publish(channel, event, data).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    }

    pub(crate) async fn try_publish(&mut self, channel: &str, event: &str, data: &str) -> Answer {
        let body = json!({ "name": event, "data": data, "channels": [channel] });
        self.post(&body.to_string()).await
    }

    /// Signs any body and posts it.
    pub(crate) async fn post(&mut self, body: &str) -> Answer {
        self.post_to("events", body).await
    }

    /// The same for another address of the app.
    pub(crate) async fn post_to(&mut self, address: &str, body: &str) -> Answer {
        let target = self
            .app
            .signed(&format!("/apps/{}/{address}", self.app.id), body, now());
        self.http.post(&target, body).await.expect("the server answers")
    }

    /// Asks at an address of the app.
    pub(crate) async fn get(&mut self, address: &str, more: &[(&str, &str)]) -> Answer {
        let target = self.app.signed_get(&format!("/apps/{}/{address}", self.app.id), more);
        self.http.get(&target).await.expect("the server answers")
    }
}

/// One request on a connection of its own.
pub(crate) async fn get(port: u16, path: &str) -> Answer {
    let mut http = Http::connect(port).await.expect("the server accepts connections");
    http.get(path).await.expect("the server answers")
}

pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_secs()
}
