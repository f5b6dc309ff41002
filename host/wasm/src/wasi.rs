//! WASI 0.2, reduced to what the standard library of a language needs to be content: output becomes lines in the log,
//! clocks and random numbers are the host's, the environment is empty, input is at its end.
//!
//! Everything else that a component imports from WASI (files, sockets, terminals) is linked as a function that traps and
//! says its own name: programs import it without ever calling it. Nothing here waits. A handle is a number that the
//! host keeps nothing for; how many a guest may hold is bounded in `context`.

mod clocks;
mod streams;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceType};
use wasmtime::{Engine, Result, StoreContextMut, bail};

use crate::bindings::hot::jackfield::host::random::Host as _;
use crate::context::Context;
use crate::linkers::interface;

/// Any resource of WASI. What it stands for is in its number.
enum Handle {}

type Own = Resource<Handle>;

/// Whether an import is of the WASI that is offered, in reduced form: `wasi:…@0.2.…`.
pub(crate) fn is_offered(import: &str) -> bool {
    import.starts_with("wasi:")
        && import
            .split('@')
            .nth(1)
            .is_some_and(|version| version.starts_with("0.2."))
}

/// Links what `component` imports from WASI, under the very versions that it names.
pub(crate) fn add_to_linker(linker: &mut Linker<Context>, engine: &Engine, component: &Component) -> Result<()> {
    // Each function that is offered takes the place of one that traps.
    linker.allow_shadowing(true);
    for (name, item) in component.component_type().imports(engine) {
        if !is_offered(name) {
            continue;
        }
        let mut instance = linker.instance(name)?;
        if let ComponentItem::ComponentInstance(imported) = item.ty {
            for (member, item) in imported.exports(engine) {
                add_trap(&mut instance, name, member, &item.ty)?;
            }
        }
        offer(&mut instance, interface(name))?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

fn add_trap(instance: &mut LinkerInstance<'_, Context>, name: &str, member: &str, item: &ComponentItem) -> Result<()> {
    match item {
        ComponentItem::Resource(_) => instance.resource(member, ResourceType::host::<Handle>(), |_, _| Ok(())),
        ComponentItem::ComponentFunc(_) => {
            let text = format!("unknown import: `{name}#{member}` is not offered to plugins");
            instance.func_new(member, move |_, _, _, _| bail!("{text}"))
        }
        _ => Ok(()),
    }
}

fn offer(instance: &mut LinkerInstance<'_, Context>, interface: &str) -> Result<()> {
    match interface {
        "wasi:io/error" => streams::add_error(instance),
        "wasi:io/poll" => clocks::add_poll(instance),
        "wasi:io/streams" => streams::add_streams(instance),
        "wasi:cli/stdin" => streams::add_stdin(instance),
        "wasi:cli/stdout" => streams::add_stdout(instance),
        "wasi:cli/stderr" => streams::add_stderr(instance),
        "wasi:cli/environment" => add_environment(instance),
        "wasi:cli/exit" => add_exit(instance),
        "wasi:clocks/monotonic-clock" => clocks::add_monotonic(instance),
        "wasi:clocks/wall-clock" => clocks::add_wall(instance),
        "wasi:filesystem/preopens" => add_preopens(instance),
        "wasi:random/random" => add_random(instance, "get-random-bytes", "get-random-u64"),
        "wasi:random/insecure" => add_random(instance, "get-insecure-random-bytes", "get-insecure-random-u64"),
        "wasi:random/insecure-seed" => instance.func_wrap("insecure-seed", |mut store: Caller<'_>, ()| {
            let context = store.data_mut();
            Ok(((number(context)?, number(context)?),))
        }),
        _ => Ok(()),
    }
}

fn add_environment(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    instance.func_wrap("get-environment", |_, ()| Ok((Vec::<(String, String)>::new(),)))?;
    instance.func_wrap("get-arguments", |_, ()| Ok((Vec::<String>::new(),)))?;
    instance.func_wrap("initial-cwd", |_, ()| Ok((None::<String>,)))
}

fn add_exit(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    instance.func_wrap("exit", |_, (status,): (Result<(), ()>,)| -> Result<()> {
        let how = if status.is_ok() { "success" } else { "failure" };
        bail!("it called `exit` ({how}); a plugin stays to be called again")
    })?;
    instance.func_wrap("exit-with-code", |_, (code,): (u8,)| -> Result<()> {
        bail!("it called `exit` ({code}); a plugin stays to be called again")
    })
}

/// No folders: whoever opens a file is told that there is none, instead of being trapped.
fn add_preopens(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    instance.func_wrap("get-directories", |_, ()| Ok((Vec::<(Own, String)>::new(),)))
}

fn add_random(instance: &mut LinkerInstance<'_, Context>, bytes: &str, one: &str) -> Result<()> {
    instance.func_wrap(bytes, |mut store: Caller<'_>, (length,): (u64,)| {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        Ok((store.data_mut().bytes(length)?,))
    })?;
    instance.func_wrap(one, |mut store: Caller<'_>, ()| Ok((number(store.data_mut())?,)))
}

fn number(context: &mut Context) -> Result<u64> {
    let bytes = context.bytes(8)?;
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

type Caller<'a> = StoreContextMut<'a, Context>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_version_of_wasi_is_offered() {
        for import in ["wasi:io/poll@0.2.0", "wasi:sockets/tcp@0.2.10"] {
            assert!(is_offered(import), "{import}");
        }
        for import in [
            "wasi:io/poll",
            "wasi:cli/stdout@0.3.0",
            "other:wasi/poll@0.2.0",
            "jackfield:host/log@0.2.0",
        ] {
            assert!(!is_offered(import), "{import}");
        }
    }
}
