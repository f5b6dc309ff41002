//! Which imports a plugin gets: what its kind needs and its operator granted, and nothing else.
//!
//! An import that is not granted is not linked, so no later check can be forgotten. A linker is made per load: that
//! costs microseconds and happens once per version.

use std::sync::Arc;

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, StoreContextMut};

use crate::bindings::hot::jackfield::{adapter, auth, host, rate_limit, types, webhook};
use crate::context::Context;
use crate::hashing;
use crate::http::{self, HTTP};
use crate::imports;
use crate::operator::{HostGrant, OperatorFile};
use crate::plugin::{ADAPTER, AUTH};
use crate::wasi;

/// How a plugin's calls run. What it imports decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// On the caller's thread, to the end.
    Hot,
    /// On a fiber that may wait.
    Io,
}

/// The mode of a component.
pub(crate) fn mode_of(component: &Component, engine: &Engine) -> Mode {
    let waits = component
        .component_type()
        .imports(engine)
        .any(|(name, _)| [WAIT, HTTP].contains(&interface(name)));
    if waits { Mode::Io } else { Mode::Hot }
}

/// Links what is granted.
///
/// # Errors
/// A text for the operator: which import is not granted or not known, and what to do.
pub(crate) fn link(
    engine: &Engine,
    component: &Component,
    operator: &OperatorFile,
    plugin: &str,
    door: &str,
) -> Result<Linker<Context>, String> {
    for (name, _) in component.component_type().imports(engine) {
        if !wasi::is_offered(name) {
            refuse_ungranted(interface(name), operator, plugin, door)?;
        }
    }
    let linker = link_all(engine, operator, door, mode_of(component, engine)).and_then(|mut linker| {
        wasi::add_to_linker(&mut linker, engine, component)?;
        Ok(linker)
    });
    linker.map_err(|error| format!("its imports cannot be linked: {error:#}"))
}

fn refuse_ungranted(import: &str, operator: &OperatorFile, plugin: &str, door: &str) -> Result<(), String> {
    let grant = match import {
        "jackfield:host/counters" => HostGrant::Counters,
        "jackfield:host/sign" => HostGrant::Sign,
        HTTP => HostGrant::Http,
        "jackfield:host/links" if door == ADAPTER => HostGrant::Links,
        "jackfield:host/cluster" | PEERS if door == ADAPTER => return Ok(()),
        "jackfield:host/handshake" | "jackfield:host/body" if door == AUTH => return Ok(()),
        _ if ALWAYS.contains(&import) => return Ok(()),
        _ => {
            return Err(format!(
                "it imports `{import}`, which this host does not offer to this kind of plugin"
            ));
        }
    };
    if operator.grants.contains(&grant) {
        return Ok(());
    }
    let word = import.rsplit('/').next().unwrap_or(import);
    Err(format!(
        "it imports `{import}`, which is not granted; to grant it, write grants = [\"{word}\"] into plugins/{plugin}.toml"
    ))
}

fn link_all(engine: &Engine, operator: &OperatorFile, door: &str, mode: Mode) -> wasmtime::Result<Linker<Context>> {
    type Own = HasSelf<Context>;
    let mut linker = Linker::<Context>::new(engine);
    types::types::add_to_linker::<_, Own>(&mut linker, |context| context)?;
    auth::claims::add_to_linker::<_, Own>(&mut linker, |context| context)?;
    rate_limit::counts::add_to_linker::<_, Own>(&mut linker, |context| context)?;
    webhook::calls::add_to_linker::<_, Own>(&mut linker, |context| context)?;
    host::log::add_to_linker::<_, Own>(&mut linker, |context| context)?;
    host::clock::add_to_linker::<_, Own>(&mut linker, |context| context)?;
    host::random::add_to_linker::<_, Own>(&mut linker, |context| context)?;
    hashing::link_digest(&mut linker)?;
    if operator.grants.contains(&HostGrant::Sign) {
        hashing::link_sign(&mut linker)?;
    }
    if operator.grants.contains(&HostGrant::Counters) {
        host::counters::add_to_linker::<_, Own>(&mut linker, |context| context)?;
    }
    if door == AUTH {
        host::handshake::add_to_linker::<_, Own>(&mut linker, |context| context)?;
        hashing::link_body(&mut linker)?;
    }
    if door == ADAPTER {
        adapter::arrivals::add_to_linker::<_, Own>(&mut linker, |context| context)?;
        host::cluster::add_to_linker::<_, Own>(&mut linker, |context| context)?;
        host::peers::add_to_linker::<_, Own>(&mut linker, |context| context)?;
        if operator.grants.contains(&HostGrant::Links) {
            host::links::add_to_linker::<_, Own>(&mut linker, |context| context)?;
        }
    }
    if mode == Mode::Io {
        // By hand, because it waits.
        linker.instance(&format!("{WAIT}@0.1.0"))?.func_wrap_async(
            "sleep",
            |store: StoreContextMut<'_, Context>, (ms,): (u32,)| {
                let asker = Arc::clone(&store.data().asker);
                Box::new(async move { imports::sleep(ms, &asker).await })
            },
        )?;
        if operator.grants.contains(&HostGrant::Http) {
            http::add_to_linker(&mut linker)?;
        }
    }
    Ok(linker)
}

/// The name of an import or export without its version.
pub(crate) fn interface(name: &str) -> &str {
    name.split('@').next().unwrap_or(name)
}

/// What an adapter imports that reaches other instances.
pub(crate) const PEERS: &str = "jackfield:host/peers";

const WAIT: &str = "jackfield:host/wait";

const ALWAYS: [&str; 10] = [
    WAIT,
    "jackfield:host/log",
    "jackfield:host/clock",
    "jackfield:host/random",
    "jackfield:host/digest",
    "jackfield:types/types",
    "jackfield:adapter/arrivals",
    "jackfield:auth/claims",
    "jackfield:rate-limit/counts",
    "jackfield:webhook/calls",
];
