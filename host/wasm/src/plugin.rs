//! One version of a plugin behind one door: compiled, linked, and able to make instances.
//!
//! Loading goes through fixed steps, each with its own message: the files are read ([`Files`]), the component is
//! compiled, its exports compared with the door, its imports with the grants, and a first instance is made and initialised before
//! anything can call it.

use std::sync::Arc;

use jackfield_files::{Files, cleaned};
use wasmtime::component::{Component, InstancePre};
use wasmtime::{Engine, Store};

use crate::bindings::hot::exports::jackfield::plugin::lifecycle;
use crate::context::{Context, HostSide, Identity, hot_store, refill};
use crate::http::Requests;
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

    /// The next part of what an instance keeps, for the version that takes its place; none after the last.
    fn snapshot(_: &mut Live<Self>) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Hands a part to an instance of the new version. It may refuse it, with a text.
    fn restore(_: &mut Live<Self>, _: &[u8]) -> wasmtime::Result<Result<(), String>> {
        Ok(Ok(()))
    }

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
    pub(crate) found: Arc<dyn FoundDoor<D>>,
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

/// What a plugin is made of.
pub(crate) struct Source<'a> {
    pub(crate) host: &'a Arc<HostSide>,
    /// The files' stem.
    pub(crate) name: &'a str,
    pub(crate) files: &'a Files,
    pub(crate) config: &'a str,
    pub(crate) generation: u64,
    /// Whether there are others to be served meanwhile.
    pub(crate) nice: bool,
}

impl<D: Door> Plugin<D> {
    /// Checks, compiles and links a plugin.
    ///
    /// # Errors
    /// A text that names the file and what is wrong with it.
    pub(crate) fn load(source: &Source<'_>) -> Result<Self, String> {
        let operator = OperatorFile::parse(&source.files.operator);
        let operator = operator.map_err(|error| format!("{}.toml: {error}", source.name))?;
        Self::link(source, &operator).map_err(|error| format!("{}.wasm: {error}", source.name))
    }

    /// The same code, compiled and linked as it is, with another section of the configuration.
    pub(crate) fn again(&self, config: &str, generation: u64) -> Self {
        let Identity {
            name, digest, limits, ..
        } = &*self.identity;
        Self {
            identity: Arc::new(Identity::new(name, digest.clone(), generation, limits.clone())),
            mode: self.mode,
            pre: self.pre.clone(),
            found: Arc::clone(&self.found),
            host: Arc::clone(&self.host),
            config: config.to_owned(),
            has_peers: self.has_peers,
            requests: self.requests.clone(),
            lifecycle: self.lifecycle.clone(),
        }
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

    fn link(source: &Source<'_>, operator: &OperatorFile) -> Result<Self, String> {
        let Source {
            host,
            name,
            files,
            config,
            generation,
            nice,
        } = source;
        let engine = &host.pulse.engine;
        let compiled = jackfield_compiled::Source {
            plugin: name,
            wasm: &files.wasm,
            digest: &files.digest,
            nice: *nice,
        };
        let component = host.compiler.component(engine, compiled)?;
        linkers::check_contract(engine, &component)?;
        let mode = check_door::<D>(engine, &component)?;
        let has_peers = component
            .component_type()
            .imports(engine)
            .any(|(import, _)| interface(import) == linkers::PEERS);
        let linker = linkers::link(engine, &component, operator, name, D::NAME)?;
        let misfit = |error: wasmtime::Error| format!("it does not fit this host's contract: {error:#}");
        let pre = linker.instantiate_pre(&component).map_err(misfit)?;
        let found = Arc::new(D::find(&pre).map_err(misfit)?);
        let lifecycle = lifecycle::GuestIndices::new(&pre).map_err(misfit)?;
        let in_file = |error: String| format!("{name}.toml: {error}");
        let limits = operator.limits.meant().map_err(in_file)?;
        let requests = operator.requests(limits.deadline).map_err(in_file)?;
        let mut identity = Identity::new(name, files.digest.clone(), *generation, limits);
        identity.version.clone_from(&files.version);
        identity.grants = operator.grants.iter().copied().collect();
        Ok(Self {
            identity: Arc::new(identity),
            mode,
            pre,
            found,
            host: Arc::clone(host),
            config: (*config).to_owned(),
            has_peers,
            requests,
            lifecycle,
        })
    }
}

/// Whether a component may stand at this door, and how its calls run there.
fn check_door<D: Door>(engine: &Engine, component: &Component) -> Result<Mode, String> {
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
    let mode = linkers::mode_of(component, engine);
    if mode == Mode::Io && !D::MAY_WAIT {
        return Err(format!(
            "it imports jackfield:host/wait or jackfield:host/http, but a plugin at the {} door must not wait",
            D::NAME
        ));
    }
    Ok(mode)
}

/// Whether a component has an interface that others of its kind may leave out.
pub(crate) fn exports(pre: &InstancePre<Context>, wanted: &str) -> bool {
    let component = pre.component().component_type();
    component
        .exports(pre.engine())
        .any(|(export, _)| interface(export) == wanted)
}

/// The innermost reason of a guest's failure, without addresses and frames.
pub(crate) fn reason(error: &wasmtime::Error) -> String {
    cleaned(&error.root_cause().to_string())
}

/// The adapter door's name: the only one whose plugins may import `cluster`.
pub(crate) const ADAPTER: &str = "adapter";

/// The auth door's name: the only one whose plugins may import `handshake`.
pub(crate) const AUTH: &str = "auth";
