//! A WebSocket client that hides nothing: each frame is expected one by one.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::http::{DEVELOPMENT, Http};
use super::wait::in_time;

/// One connection.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    /// Empty if the greeting was not awaited.
    pub(crate) socket_id: String,
    /// How many subscribers there were, as heard. Kept aside, because counts may come between any two messages.
    pub(crate) counts: Vec<(String, u64)>,
}

/// What came from the server.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Text(Value),
    Pong(Vec<u8>),
    Closed(u16),
    /// The stream ended without a close frame.
    Ended,
}

impl Client {
    /// Connects to the development app and takes the greeting.
    pub(crate) async fn connect(port: u16) -> Self {
        Self::connect_as(port, DEVELOPMENT.key).await
    }

    pub(crate) async fn connect_as(port: u16, key: &str) -> Self {
        let client = Self::open(port, &format!("/app/{key}?protocol=7&client=test&version=1")).await;
        client.greeted().await
    }

    /// Connects to the development app with these lines among the handshake's headers, and waits for nothing but its answer.
    pub(crate) async fn open_with(port: u16, headers: &str) -> Self {
        let mut http = Http::connect(port).await.expect("the server accepts connections");
        let request = format!(
            "GET /app/{}?protocol=7 HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n",
            DEVELOPMENT.key
        );
        let answer = http.send(request).await.expect("it answers");
        assert_eq!(answer.status, 101, "{answer:?}");
        Self::upgraded(http.into_stream()).await
    }

    /// Takes the greeting.
    pub(crate) async fn greeted(mut self) -> Self {
        let greeting = self.expect("pusher:connection_established").await;
        self.socket_id = data(&greeting)["socket_id"].as_str().expect("a socket id").to_owned();
        self
    }

    /// Is closed instead of greeted; the code, with which the error beforehand has to agree.
    pub(crate) async fn turned_away(mut self) -> u16 {
        let error = self.expect("pusher:error").await;
        let code = self.expect_close().await;
        assert_eq!(error["data"]["code"], code);
        code
    }

    /// Connects and waits for nothing but the handshake's answer.
    pub(crate) async fn open(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        Self::over(stream.expect("the server accepts connections"), path).await
    }

    /// A client whose kernel takes in little that is not read.
    pub(crate) async fn narrow(port: u16) -> Self {
        let socket = TcpSocket::new_v4().expect("there is IPv4");
        socket.set_recv_buffer_size(4_096).expect("a size that may be set");
        let stream = socket.connect(([127, 0, 0, 1], port).into()).await;
        let mut client = Self::over(
            stream.expect("the server accepts connections"),
            "/app/app-key?protocol=7",
        )
        .await;
        client.expect("pusher:connection_established").await;
        client
    }

    /// Goes on behind a handshake that was made by hand.
    pub(crate) async fn upgraded(stream: TcpStream) -> Self {
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        let socket_id = String::new();
        Self {
            socket,
            socket_id,
            counts: Vec::new(),
        }
    }

    async fn over(stream: TcpStream, path: &str) -> Self {
        // As browsers have it: two small messages in a row do not wait for each other.
        stream.set_nodelay(true).expect("it is a TCP stream");
        let url = format!("ws://localhost{path}");
        // What is read must be no more than what is asked for, or slow readers would be quick ones.
        let config = WebSocketConfig::default().read_buffer_size(4_096);
        let handshake = in_time("the upgrade", client_async_with_config(url, stream, Some(config)));
        let (socket, _) = handshake.await.expect("the server upgrades");
        let socket_id = String::new();
        Self {
            socket,
            socket_id,
            counts: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.send_frame(Message::text(message.to_string())).await;
    }

    pub(crate) async fn send_frame(&mut self, message: Message) {
        in_time("room to send", self.socket.send(message))
            .await
            .expect("the connection is open");
    }

    /// The next thing that comes.
    pub(crate) async fn hear(&mut self) -> Heard {
        in_time("a frame", self.listen()).await
    }

    /// The same, however long it takes. Nothing is lost when somebody waits no longer.
    pub(crate) async fn listen(&mut self) -> Heard {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).expect("texts are JSON");
                    if message["event"] != "pusher_internal:subscription_count" {
                        return Heard::Text(message);
                    }
                    let channel = message["channel"].as_str().expect("counts are of a channel").to_owned();
                    let count = data(&message)["subscription_count"]
                        .as_u64()
                        .expect("a count is a number");
                    self.counts.push((channel, count));
                }
                Some(Ok(Message::Pong(payload))) => return Heard::Pong(payload.to_vec()),
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map_or(1005, |frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Ended,
            }
        }
    }

    /// The next thing, which has to be this event.
    pub(crate) async fn expect(&mut self, event: &str) -> Value {
        match self.hear().await {
            Heard::Text(message) if message["event"] == event => message,
            other => panic!("expected {event}, heard {other:?}"),
        }
    }

    /// The next thing, which has to be a close frame.
    pub(crate) async fn expect_close(&mut self) -> u16 {
        match self.hear().await {
            Heard::Closed(code) => code,
            other => panic!("expected a close frame, heard {other:?}"),
        }
    }

    /// Asks to subscribe, with the right signature.
    pub(crate) async fn ask(&mut self, channel: &str) {
        let auth = DEVELOPMENT.auth(&self.socket_id, channel);
        self.send(json!({ "event": "pusher:subscribe", "data": { "channel": channel, "auth": auth } }))
            .await;
    }

    /// Asks to subscribe as the member that `channel_data` says; it is signed and sent as it stands.
    pub(crate) async fn ask_as(&mut self, channel: &str, channel_data: &str) {
        let auth = DEVELOPMENT.auth(&self.socket_id, &format!("{channel}:{channel_data}"));
        let data = json!({ "channel": channel, "auth": auth, "channel_data": channel_data });
        self.send(json!({ "event": "pusher:subscribe", "data": data })).await;
    }

    /// Subscribes to a presence channel as this user and gives the members found there.
    pub(crate) async fn join(&mut self, channel: &str, user: &str) -> Value {
        self.ask_as(channel, &json!({ "user_id": user }).to_string()).await;
        let answer = self.expect("pusher_internal:subscription_succeeded").await;
        assert_eq!(answer["channel"], channel);
        data(&answer)["presence"].clone()
    }

    /// Asks to sign in as the user that `user_data` says, with the right signature.
    pub(crate) async fn ask_to_sign_in(&mut self, user_data: &Value) {
        let user_data = user_data.to_string();
        let auth = DEVELOPMENT.auth(&self.socket_id, &format!(":user::{user_data}"));
        let data = json!({ "auth": auth, "user_data": user_data });
        self.send(json!({ "event": "pusher:signin", "data": data })).await;
    }

    /// Signs in and waits for it.
    pub(crate) async fn sign_in(&mut self, user: &str) {
        self.ask_to_sign_in(&json!({ "id": user })).await;
        self.expect("pusher:signin_success").await;
    }

    /// Subscribes and waits for it.
    pub(crate) async fn subscribe(&mut self, channel: &str) {
        self.ask(channel).await;
        let answer = self.expect("pusher_internal:subscription_succeeded").await;
        assert_eq!(answer["channel"], channel);
    }

    /// Asks to subscribe and is refused; the data of the refusal.
    pub(crate) async fn refused(&mut self, channel: &str) -> Value {
        self.ask(channel).await;
        let answer = self.expect("pusher:subscription_error").await;
        assert_eq!(answer["channel"], channel);
        answer["data"].clone()
    }

    pub(crate) async fn unsubscribe(&mut self, channel: &str) {
        self.send(json!({ "event": "pusher:unsubscribe", "data": { "channel": channel } }))
            .await;
    }

    /// A question whose answer comes behind everything that was said before it.
    pub(crate) async fn ping(&mut self) {
        self.send(json!({ "event": "pusher:ping", "data": {} })).await;
    }
}

/// `data`, which is JSON in a string.
pub(crate) fn data(message: &Value) -> Value {
    let text = message["data"].as_str().expect("data is a string");
    serde_json::from_str(text).expect("it holds JSON")
}
