//! One version of a plugin behind one door: compiled, linked, and able to make instances.
//!
//! Loading goes through fixed steps, each with its own message: the file is read whole and once, checked to be a
//! component, compiled, its exports compared with the door, its imports with the grants, and a first instance is made
//! and initialised before anything can call it.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use jackfield_protocol::signature;
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};

use crate::bindings::hot::exports::jackfield::plugin::lifecycle;
use crate::context::{Context, HostSide, Identity, hot_store, refill};
use crate::http::Requests;
use crate::imports::cleaned;
use crate::io::Waiting;
use crate::linkers::{self, Mode, interface};
use crate::operator::OperatorFile;

/// The guest functions of one door, found in an instance.
pub(crate) trait Door: Sized + Send + 'static {
    /// `adapter`, `auth`, `rate-limit` or `webhook`.
    const NAME: &'static str;
    /// A component serves the door when it exports one of these.
    const INTERFACES: &'static [&'static str];
    /// The functions of a plugin that waits.
    type Waiting: Waiting;
    /// Whether plugins that wait may stand here.
    const MAY_WAIT: bool;

    /// Finds the functions in a component; an interface that is missing is the door's to judge.
    fn find(pre: &InstancePre<Context>) -> wasmtime::Result<impl FoundDoor<Self>>;
}

/// Functions found in a component, to be taken from each of its instances.
pub(crate) trait FoundDoor<D>: Send + Sync + 'static {
    /// Takes them from `instance`.
    fn bind(&self, store: &mut Store<Context>, instance: &wasmtime::component::Instance) -> wasmtime::Result<D>;
}

/// One version of a plugin.
pub(crate) struct Plugin<D> {
    pub(crate) identity: Arc<Identity>,
    pub(crate) mode: Mode,
    pub(crate) pre: InstancePre<Context>,
    pub(crate) found: Box<dyn FoundDoor<D>>,
    pub(crate) host: Arc<HostSide>,
    /// The plugin's section of the configuration, as JSON.
    pub(crate) config: String,
    /// Whether it is an adapter that reaches other instances.
    pub(crate) has_peers: bool,
    /// What sends its requests, if they are granted.
    pub(crate) requests: Option<Requests>,
    lifecycle: lifecycle::GuestIndices,
}

/// One instance, ready to be called.
pub(crate) struct Live<D> {
    pub(crate) store: Store<Context>,
    pub(crate) door: D,
}

/// Where a plugin comes from and what it is given.
pub(crate) struct Source<'a> {
    pub(crate) host: &'a Arc<HostSide>,
    /// The plugins folder.
    pub(crate) folder: &'a Path,
    /// The file's stem.
    pub(crate) name: &'a str,
    pub(crate) config: String,
    pub(crate) generation: u64,
}

impl<D: Door> Plugin<D> {
    /// Reads, checks, compiles and links a plugin, and tries it out with one instance.
    ///
    /// # Errors
    /// A text that names the file, without its folder, and what is wrong with it.
    pub(crate) fn load(source: Source<'_>) -> Result<Self, String> {
        check_name(source.name)?;
        let path = source.folder.join(format!("{}.wasm", source.name));
        let file = format!("{}.wasm", source.name);
        Self::load_file(&path, source).map_err(|error| format!("{file}: {error}"))
    }

    /// A new instance, initialised.
    pub(crate) fn instantiate(&self) -> Result<Live<D>, String> {
        let mut store = hot_store(Arc::clone(&self.identity), Arc::clone(&self.host));
        refill(&mut store);
        let failed = |error: wasmtime::Error| format!("an instance could not be made: {}", reason(&error));
        let instance = self.pre.instantiate(&mut store).map_err(failed)?;
        let door = self.found.bind(&mut store, &instance).map_err(failed)?;
        let guest = self.lifecycle.load(&mut store, &instance).map_err(failed)?;
        refill(&mut store);
        match guest.call_init(&mut store, &self.config) {
            Ok(Ok(())) => {
                store.data_mut().began();
                Ok(Live { store, door })
            }
            Ok(Err(refusal)) => Err(format!("init refused its configuration: {}", cleaned(&refusal))),
            Err(error) => Err(format!("init failed: {}", reason(&error))),
        }
    }

    fn load_file(path: &Path, source: Source<'_>) -> Result<Self, String> {
        let Source {
            host,
            folder,
            name,
            config,
            generation,
        } = source;
        let engine = &host.pulse.engine;
        let bytes = read_component(path)?;
        let operator = OperatorFile::read(&folder.join(format!("{name}.toml")))?;
        let component = Component::new(engine, &bytes).map_err(|error| format!("it does not compile: {error:#}"))?;
        let exports_door = component
            .component_type()
            .exports(engine)
            .any(|(export, _)| D::INTERFACES.contains(&interface(export)));
        if !exports_door {
            return Err(format!(
                "it does not serve the {} door (it exports none of {})",
                D::NAME,
                D::INTERFACES.join(", ")
            ));
        }
        let mode = linkers::mode_of(&component, engine);
        if mode == Mode::Io && !D::MAY_WAIT {
            return Err(format!(
                "it imports jackfield:host/wait or jackfield:host/http, but a plugin at the {} door must not wait",
                D::NAME
            ));
        }
        let has_peers = component
            .component_type()
            .imports(engine)
            .any(|(import, _)| interface(import) == linkers::PEERS);
        let linker = linkers::link(engine, &component, &operator, name, D::NAME)?;
        let misfit = |error: wasmtime::Error| format!("it does not fit this host's contract: {error:#}");
        let pre = linker.instantiate_pre(&component).map_err(misfit)?;
        let found = Box::new(D::find(&pre).map_err(misfit)?);
        let lifecycle = lifecycle::GuestIndices::new(&pre).map_err(misfit)?;
        let in_file = |error: String| format!("{name}.toml: {error}");
        let limits = operator.limits.meant().map_err(in_file)?;
        let requests = operator.requests(limits.deadline).map_err(in_file)?;
        let identity = Arc::new(Identity::new(name, signature::sha256_hex(&bytes), generation, limits));
        Ok(Self {
            identity,
            mode,
            pre,
            found,
            host: Arc::clone(host),
            config,
            has_peers,
            requests,
            lifecycle,
        })
    }
}

/// A plugin's name becomes the name of a file in the plugins folder, and must not lead out of it.
fn check_name(name: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(good) && !name.starts_with('.') {
        return Ok(());
    }
    Err(format!(
        "a plugin's name must be 1 to {NAME_BYTES} letters, digits, `-`, `_` or `.`, and must not begin with `.`"
    ))
}

/// Reads a file whole and once, and makes sure that it is a component.
fn read_component(path: &Path) -> Result<Vec<u8>, String> {
    // Opening anything else might wait for ever.
    let kind = fs::metadata(path).map_err(|error| error.to_string())?;
    if !kind.is_file() {
        return Err("it is not a file".to_owned());
    }
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(format!("it is larger than {} MiB", FILE_BYTES >> 20));
    }
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(bytes),
        Some([0, b'a', b's', b'm', ..]) => {
            Err("it is a core module, not a component; `cargo xtask component` wraps one".to_owned())
        }
        _ => Err("it is not WebAssembly".to_owned()),
    }
}

/// The innermost reason of a guest's failure, without addresses and frames.
pub(crate) fn reason(error: &wasmtime::Error) -> String {
    cleaned(&error.root_cause().to_string())
}

/// The adapter door's name: the only one whose plugins may import `cluster`.
pub(crate) const ADAPTER: &str = "adapter";

/// The auth door's name: the only one whose plugins may import `handshake`.
pub(crate) const AUTH: &str = "auth";

/// Bytes of a plugin's name.
const NAME_BYTES: usize = 64;

/// The largest file that is read. JavaScript and Python components are 12 to 18 MiB.
const FILE_BYTES: u64 = 64 << 20;
