//! A server and the real clients before it: pusher-js in Node.js, and the pusher library as the app's server.

use serde_json::{Value, json};

use super::http::DEVELOPMENT;
use super::node::Node;
use super::server::{Server, Setup};

/// A server, and a script with the clients in it. Of many servers each test has its own idea.
pub(crate) struct Scene<S = Server> {
    pub(crate) node: Node,
    pub(crate) server: S,
}

impl Scene {
    /// With these clients connected to a server with nothing special about it; also their socket ids.
    pub(crate) async fn with(names: &[&str]) -> (Self, Vec<Value>) {
        let mut scene = Self::on(Setup::default()).await;
        let mut ids = Vec::new();
        for name in names {
            ids.push(scene.connect(json!({ "who": name })).await);
        }
        (scene, ids)
    }

    /// With nobody connected yet.
    pub(crate) async fn on(setup: Setup) -> Self {
        let server = setup.start().await;
        let Scene { node, .. } = Scene::before(server.port).await;
        Self { node, server }
    }
}

impl Scene<()> {
    /// Before a server of somebody else's: the app's server talks to it, and clients that are not told of another one.
    pub(crate) async fn before(port: u16) -> Self {
        let mut node = Node::start("clients", &[&port.to_string(), DEVELOPMENT.key, DEVELOPMENT.secret]);
        node.sees(&json!({ "saw": "listening" })).await;
        Self { node, server: () }
    }
}

impl<S> Scene<S> {
    /// Connects a client and gives its socket id. `order` says `who` it is, and as which `member` and `user` it comes.
    pub(crate) async fn connect(&mut self, order: Value) -> Value {
        let who = order["who"].clone();
        self.tell("connect", order);
        let state = self.node.sees(&json!({ "who": who, "state": "connected" })).await;
        state["socket_id"].clone()
    }

    pub(crate) fn tell(&mut self, what: &str, mut order: Value) {
        order["do"] = json!(what);
        self.node.tell(&order);
    }

    /// Gives an order to the pusher library and waits for status and body of its answer, the one with these keys.
    pub(crate) async fn answer(&mut self, what: &str, order: Value, mut about: Value) -> (u64, Value) {
        self.tell(what, order);
        about["saw"] = json!("answer");
        let answer = self.node.sees(&about).await;
        let body = answer["body"].as_str().expect("a body is text");
        let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{answer} is not JSON: {error}"));
        (answer["status"].as_u64().expect("a status"), body)
    }

    /// Asks with the pusher library's `get`.
    pub(crate) async fn get(&mut self, path: &str, params: Value) -> (u64, Value) {
        let order = json!({ "path": path, "params": params });
        self.answer("get", order, json!({ "asked": path })).await
    }

    pub(crate) async fn subscribe(&mut self, who: &str, channel: &str) {
        self.node
            .tell(&json!({ "do": "subscribe", "who": who, "channel": channel }));
        let succeeded = json!({ "who": who, "channel": channel, "saw": "pusher:subscription_succeeded" });
        self.node.sees(&succeeded).await;
    }

    /// Triggers an event and waits for the answer, which has to be the documented one.
    pub(crate) async fn trigger(&mut self, channels: &[&str], event: &str, data: &Value, socket_id: Option<&Value>) {
        let order =
            json!({ "do": "trigger", "channels": channels, "event": event, "data": data, "socket_id": socket_id });
        self.node.tell(&order);
        let answer = self.node.sees(&json!({ "saw": "answer", "event": event })).await;
        assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &json!("{}")));
    }

    /// Waits until the client has seen this event, and gives its data.
    pub(crate) async fn sees(&mut self, who: &str, channel: &str, event: &str) -> Value {
        let line = json!({ "who": who, "channel": channel, "saw": event });
        self.node.sees(&line).await["data"].clone()
    }

    pub(crate) fn saw(&mut self, who: &str, event: &str) -> bool {
        self.node.saw(&json!({ "who": who, "saw": event }))
    }
}
