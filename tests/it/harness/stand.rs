//! Plugins at their doors in this process: the runtime without a server, asked by the traits that the server uses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jackfield_hub::doors::{
    Adapter, AdapterRequest, Answer, ApiRequest, Claim, Client, Decision, DoorError, Envelope, Notice, Question, Rule,
    SubscribeRequest, Verdict, WebhookCall,
};
use jackfield_hub::{App, Apps as _, Endpoint, Policy, Secret};
use jackfield_protocol::names::ChannelName;
use jackfield_stores::AppTable;
use jackfield_wasm::{Registry, VersionReport, Wanted};
use tokio::runtime::{Builder, Runtime};

use super::heard::Heard;
use super::http::DEVELOPMENT;
use super::server::{Folder, place};
use super::wait::LIMIT;

/// What is to stand at the doors. A door without a plugin stays closed.
pub(crate) struct Layout {
    folder: Folder,
    wanted: Wanted,
    policy: Policy,
}

/// Plugins that stand at their doors.
pub(crate) struct Stand {
    pub(crate) registry: Registry,
    runtime: Runtime,
    /// A client of the development app.
    pub(crate) client: Arc<Client>,
    adapter: Arc<dyn Adapter>,
    _folder: Folder,
}

impl Layout {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let wanted = Wanted {
            folder: folder.path().to_owned(),
            adapter: "nobody".to_owned(),
            auth: Vec::new(),
            rate_limit: "nobody".to_owned(),
            webhook: "nobody".to_owned(),
            configs: BTreeMap::new(),
            node: NODE.to_owned(),
            compiled: None,
        };
        let policy = Policy::default();
        Self { folder, wanted, policy }
    }

    /// Puts a plugin at a door; at the auth door behind those that stand there.
    pub(crate) fn at(self, door: &str, name: &str, component: impl AsRef<[u8]>) -> Self {
        self.wanting(door, name).file(&format!("{name}.wasm"), component)
    }

    /// Has the configuration name a plugin at a door.
    pub(crate) fn wanting(mut self, door: &str, name: &str) -> Self {
        let own = name.to_owned();
        match door {
            "adapter" => self.wanted.adapter = own,
            "auth" => self.wanted.auth.push(own),
            "rate-limit" => self.wanted.rate_limit = own,
            "webhook" => self.wanted.webhook = own,
            _ => panic!("there is no {door} door"),
        }
        self
    }

    /// Puts a file into the plugins folder.
    pub(crate) fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        fs::write(self.folder.path().join(name), bytes).expect("the folder is ours");
        self
    }

    /// What a plugin is handed by `init`, as JSON.
    pub(crate) fn config(mut self, name: &str, json: &str) -> Self {
        self.wanted.configs.insert(name.to_owned(), json.to_owned());
        self
    }

    /// This instance's name in the cluster, if it is not [`NODE`].
    pub(crate) fn node(mut self, name: &str) -> Self {
        name.clone_into(&mut self.wanted.node);
        self
    }

    /// Where the development app wants to be told.
    pub(crate) fn endpoints(mut self, endpoints: Vec<Endpoint>) -> Self {
        self.policy.webhooks = endpoints;
        self
    }

    /// The plugins folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Loads what is wanted, whatever comes of it.
    pub(crate) fn stand(self) -> Stand {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be started");
        let app = App::new(
            DEVELOPMENT.id,
            DEVELOPMENT.key,
            Secret::new(DEVELOPMENT.secret),
            self.policy,
        );
        let apps = Arc::new(AppTable::new([app]).expect("it is the only one"));
        let client = Client {
            app: apps.by_id(DEVELOPMENT.id).expect("it was just added"),
            socket_id: "1234.5678".to_owned(),
            remote_address: "127.0.0.1".to_owned(),
            origin: Some("https://example.org".to_owned()),
            path: format!("/app/{}", DEVELOPMENT.key),
            query: "protocol=7&client=js".to_owned(),
            headers: vec![("cookie".to_owned(), "session=1".to_owned())],
        };
        let registry = Registry::load(&self.wanted, apps, runtime.handle().clone());
        let (registry, adapter) = registry.expect("the engine can be started");
        Stand {
            registry,
            runtime,
            client: Arc::new(client),
            adapter: adapter.door,
            _folder: self.folder,
        }
    }

    /// Loads what is wanted; all that was put at a door must go live.
    pub(crate) fn ready(self) -> Stand {
        let stand = self.stand();
        let faults: Vec<String> = stand.registry.faults();
        let own = faults.iter().filter(|fault| !fault.contains("nobody"));
        assert_eq!(own.count(), 0, "{faults:?}");
        stand
    }
}

impl Stand {
    /// Puts a claim to the auth chain and waits for the answer.
    pub(crate) fn ask(&self, claim: &Claim) -> Result<Verdict, DoorError> {
        self.wait(self.registry.authorizer().check(claim))
    }

    /// The claim of a subscription.
    pub(crate) fn subscription(&self, channel: &str, auth: &str, channel_data: Option<&str>) -> Claim {
        Claim::Subscribe(SubscribeRequest {
            client: Arc::clone(&self.client),
            channel: ChannelName::parse(channel).expect("a good name"),
            auth: auth.to_owned(),
            channel_data: channel_data.map(str::to_owned),
        })
    }

    /// Subscribes to a public channel with this `auth`.
    pub(crate) fn order(&self, auth: &str) -> Result<Verdict, DoorError> {
        self.ask(&self.subscription("room", auth, None))
    }

    /// The message of the refusal that such a subscription gets.
    pub(crate) fn says(&self, order: &str) -> String {
        match self.order(order) {
            Ok(Verdict::Refuse(refusal)) => refusal.message,
            other => panic!("{order}: {other:?} says nothing"),
        }
    }

    /// The claim of an HTTP request.
    pub(crate) fn api_request(&self, query: &str, body: &[u8]) -> Claim {
        Claim::ApiRequest(Arc::new(ApiRequest {
            app: Arc::clone(&self.client.app),
            remote_address: "127.0.0.1".to_owned(),
            lines: format!("POST\n/apps/{}/events\n{query}", DEVELOPMENT.id),
            prefix_length: 0,
            headers: vec![("cookie".to_owned(), "session=2".to_owned())],
            body: Bytes::copy_from_slice(body),
        }))
    }

    /// Asks the limiter.
    pub(crate) fn count(&self, scope: &'static str, key: &str, cost: u32, rule: Rule) -> Result<Decision, DoorError> {
        let question = Question { scope, key, cost, rule };
        self.wait(self.registry.limiter().check(&question))
    }

    /// Asks the webhook plugin.
    pub(crate) fn prepare(&self, notices: &[Notice]) -> Result<Vec<WebhookCall>, DoorError> {
        self.wait(self.registry.webhook_sink().prepare(&self.client.app, notices))
    }

    /// Asks something of the adapter and lets it work.
    pub(crate) fn submit(&self, heard: &Heard, request: AdapterRequest) {
        self.queue(request);
        self.drive(heard);
    }

    /// Queues something for the adapter without letting it work.
    pub(crate) fn queue(&self, request: AdapterRequest) {
        self.adapter().submit(request).expect("the queue has room");
    }

    /// Lets the adapter work.
    pub(crate) fn drive(&self, heard: &Heard) {
        self.adapter().drive(heard);
    }

    /// Publishes an envelope and lets the adapter work.
    pub(crate) fn publish(&self, heard: &Heard, channel: &str, ticket: u64) {
        self.submit(heard, AdapterRequest::Publish(envelope(channel, ticket)));
    }

    /// Lets the adapter work until something has been heard.
    pub(crate) fn drive_until(&self, what: &str, heard: &Heard, mut seen: impl FnMut() -> bool) {
        let end = Instant::now() + LIMIT;
        while !seen() {
            assert!(Instant::now() < end, "waited {LIMIT:?} for {what}");
            std::thread::sleep(GLANCE);
            self.drive(heard);
        }
    }

    /// Its door.
    pub(crate) fn adapter(&self) -> &Arc<dyn Adapter> {
        &self.adapter
    }

    /// What is known of a live plugin.
    pub(crate) fn report(&self, name: &str) -> VersionReport {
        let mut plugins = self.registry.plugins().into_iter();
        plugins
            .find(|plugin| plugin.name == name)
            .and_then(|plugin| plugin.live)
            .unwrap_or_else(|| panic!("{name} is not live"))
    }

    /// Waits for an answer.
    pub(crate) fn wait<T>(&self, answer: Answer<T>) -> T {
        match answer {
            Answer::Ready(value) => value,
            Answer::Pending(future) => self.runtime.block_on(future),
        }
    }

    /// Runs something beside which plugins can wait.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// An envelope of the development app.
pub(crate) fn envelope(channel: &str, ticket: u64) -> Envelope {
    Envelope {
        topic: topic(channel),
        frame: Bytes::from_static(b"{}"),
        ticket: Some(ticket),
    }
}

pub(crate) fn topic(channel: &str) -> Arc<str> {
    format!("{}/{channel}", DEVELOPMENT.id).into()
}

/// A notice of the development app.
pub(crate) fn notice(name: &'static str, channel: &str) -> Notice {
    Notice {
        id: format!("{channel}-{name}"),
        app: DEVELOPMENT.id.to_owned(),
        name,
        channel: channel.to_owned(),
        event: format!(r#"{{"name":"{name}","channel":"{channel}"}}"#),
        time_ms: 1_353_088_179_000,
    }
}

/// A guest that was built for tests.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    component(&place("JACKFIELD_GUESTS"), name)
}

/// A plugin's bytes.
pub(crate) fn component(folder: &Path, name: &str) -> Vec<u8> {
    let path: PathBuf = folder.join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask test`", path.display()))
}

/// This instance's name in the cluster.
pub(crate) const NODE: &str = "node-1";

/// The pause between two looks.
const GLANCE: Duration = Duration::from_millis(5);
