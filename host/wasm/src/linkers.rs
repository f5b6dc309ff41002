//! Which imports a plugin gets: what its kind needs and its operator granted, and nothing else.
//!
//! An import that is not granted is not linked, so no later check can be forgotten. A linker is made per load: that
//! costs microseconds and happens once per version.

use std::cmp::Ordering;
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

/// Whether a component was made for the contract that this host has. Versions below 1.0 are alike if their second number is.
///
/// # Errors
/// A text for the operator: which side is too old.
pub(crate) fn check_contract(engine: &Engine, component: &Component) -> Result<(), String> {
    let component = component.component_type();
    let names = component.imports(engine).map(|(name, _)| name);
    for name in names.chain(component.exports(engine).map(|(name, _)| name)) {
        let Some((interface, version)) = name.split_once('@') else {
            continue;
        };
        let package = interface.split('/').next().unwrap_or(interface);
        let Some(made_for) = generation(version).filter(|_| package.starts_with("jackfield:")) else {
            continue;
        };
        match made_for.cmp(&generation(CONTRACT).unwrap_or_default()) {
            Ordering::Equal => {}
            Ordering::Greater => {
                return Err(format!(
                    "it needs a host with {package} {version} or newer; this one has {CONTRACT}"
                ));
            }
            Ordering::Less => {
                return Err(format!(
                    "it was made for {package} {version}; this host has {CONTRACT}, for which it has to be built anew"
                ));
            }
        }
    }
    Ok(())
}

/// What a version shares with all that are compatible with it.
fn generation(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next()?.ok()?, numbers.next()?.ok()?) {
        (0, minor) => Some((0, minor)),
        (major, _) => Some((major, 0)),
    }
}

fn refuse_ungranted(import: &str, operator: &OperatorFile, plugin: &str, door: &str) -> Result<(), String> {
    let grant = match import {
        "jackfield:host/counters" => HostGrant::Counters,
        "jackfield:host/sign" => HostGrant::Sign,
        HTTP => HostGrant::Http,
        "jackfield:host/links" if door == ADAPTER => HostGrant::Links,
        "jackfield:host/cluster" | PEERS if door == ADAPTER => return Ok(()),
        "jackfield:host/handshake" | "jackfield:host/request" if door == AUTH => return Ok(()),
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
        hashing::link_request(&mut linker)?;
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
        linker.instance(&format!("{WAIT}@{CONTRACT}"))?.func_wrap_async(
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

/// The version of every package in `wit/`.
const CONTRACT: &str = "0.1.0";

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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_contract_has_the_version_that_stands_in_its_files() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let packages = fs::read_dir(root.join("deps")).expect("wit/deps is there");
        let packages = packages.map(|package| package.expect("it can be read").path());
        let mut seen = 0;
        for package in packages.chain([root]) {
            for file in fs::read_dir(package).expect("a package is a folder") {
                let path = file.expect("it can be read").path();
                if path.extension().is_none_or(|ending| ending != "wit") {
                    continue;
                }
                let text = fs::read_to_string(&path).expect("it is a text");
                let line = text.lines().find(|line| line.starts_with("package "));
                let wanted = format!("@{CONTRACT};");
                assert!(line.is_none_or(|line| line.ends_with(&wanted)), "{}", path.display());
                seen += usize::from(line.is_some());
            }
        }
        assert!(seen >= 6, "only {seen} packages were found");
    }

    #[test]
    fn compatible_versions_are_of_one_generation() {
        for (version, wanted) in [
            ("0.1.0", Some((0, 1))),
            ("0.1.9", Some((0, 1))),
            ("0.2.0-rc.1", Some((0, 2))),
            ("1.2.3", Some((1, 0))),
            ("x", None),
            ("1", None),
        ] {
            assert_eq!(generation(version), wanted, "{version}");
        }
    }
}
