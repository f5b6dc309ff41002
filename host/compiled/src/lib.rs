//! From a component's bytes to code: compiled behind those who serve, and kept for the next start.
//!
//! Compiled code that was kept is run as it is. So it is taken from nowhere but a folder that is this user's alone ([`shelf`]), and under
//! a name that is made of the component's bytes and of all that has a say in how this program compiles.
//!
//! **Invariant:** what an operator or an author brings is compiled, whatever it claims to be. **Invariant:** there is one
//! `unsafe` in here: taking kept code.

mod shelf;

use std::hash::{Hash as _, Hasher};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use jackfield_protocol::signature::sha256_hex;
use jackfield_threads::{ThreadId, stand_back, take_turns, thread_native_id};
use parking_lot::Mutex;
use shelf::Shelf;
use wasmtime::Engine;
use wasmtime::component::Component;

/// What compiles components, and keeps the code.
#[derive(Debug)]
pub struct Compiler {
    shelf: Option<Shelf>,
    /// Had by whoever compiles: the first by small components, the second by large ones.
    turns: [Mutex<()>; 2],
}

/// What is to be compiled.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The plugin's name, for the log.
    pub plugin: &'a str,
    /// A component, as far as anybody knows.
    pub wasm: &'a [u8],
    /// SHA-256 of that.
    pub digest: &'a str,
    /// Whether there are others to be served meanwhile.
    pub nice: bool,
}

impl Compiler {
    /// With a folder in which code is kept. Without one, or if it is not this user's alone, every start compiles anew; the log says why.
    pub fn new(folder: Option<&Path>) -> Self {
        let shelf = folder.and_then(|folder| {
            let opened = Shelf::open(folder);
            let folder = folder.display();
            opened
                .inspect_err(|error| tracing::warn!(%folder, error, "compiled code is not kept"))
                .ok()
        });
        Self {
            shelf,
            turns: Default::default(),
        }
    }

    /// The component's code: what was kept of it, else compiled now, which takes seconds if it is large.
    ///
    /// # Errors
    /// A text that says why it does not compile.
    pub fn component(&self, engine: &Engine, source: Source<'_>) -> Result<Component, String> {
        let kept = self.shelf.as_ref().map(|shelf| (shelf, name_of(engine, source.digest)));
        let found = kept.as_ref().and_then(|(shelf, name)| taken(engine, shelf, name));
        if let Some(component) = found {
            return Ok(component);
        }
        let compile = || {
            // One after the other, because each takes memory, and large ones much. Small ones do not wait for those.
            let _turn = self.turns[usize::from(source.wasm.len() > LARGE)].lock();
            let component = Component::from_binary(engine, source.wasm);
            let component = component.map_err(|error| format!("it does not compile: {error:#}"))?;
            if let Some((shelf, name)) = &kept {
                put_away(&component, shelf, name);
            }
            Ok(component)
        };
        behind_others(source, compile)
    }
}

/// Runs this on a thread that stands back behind those who serve, and says so if it takes long. Nobody can stop a compilation.
fn behind_others<R: Send>(source: Source<'_>, run: impl FnOnce() -> Result<R, String> + Send) -> Result<R, String> {
    thread::scope(|scope| {
        let (begun, end) = sync_channel(1);
        let compiler = thread::Builder::new().name("compiler".to_owned());
        let compiling = compiler.spawn_scoped(scope, move || {
            let thread = thread_native_id();
            if source.nice {
                stand_back(thread);
            }
            // It is heard: the other end waits for this one to be gone.
            let _ = begun.send(thread);
            run()
        });
        let compiling = compiling.map_err(|error| format!("no thread to compile it: {error}"))?;
        accompany(source, &end);
        compiling
            .join()
            .map_err(|_| "its compilation panicked".to_owned())
            .flatten()
    })
}

/// Waits for the end of a compilation. One that has stood back for a while takes its turn like everybody else: on a machine that is busy with
/// something else it would take a minute, and it may be the mend that everybody waits for.
fn accompany(source: Source<'_>, end: &Receiver<ThreadId>) {
    let Ok(thread) = end.recv() else { return };
    let begun = Instant::now();
    if source.nice && end.recv_timeout(COURTESY) == Err(RecvTimeoutError::Timeout) {
        take_turns(thread);
    }
    while end.recv_timeout(LONG) == Err(RecvTimeoutError::Timeout) {
        let seconds = begun.elapsed().as_secs();
        tracing::warn!(source.plugin, seconds, "a plugin is still being compiled");
    }
}

/// Under what code is kept: what it was made of, and all that had a say in it.
fn name_of(engine: &Engine, digest: &str) -> String {
    let mut gathered = Gathered(digest.as_bytes().to_vec());
    engine.precompile_compatibility_hash().hash(&mut gathered);
    sha256_hex(&gathered.0)
}

/// All that is to be hashed, for a hash that is longer than the standard library's.
struct Gathered(Vec<u8>);

impl Hasher for Gathered {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.len() as u64
    }
}

fn taken(engine: &Engine, shelf: &Shelf, name: &str) -> Option<Component> {
    let code = shelf.take(name)?;
    #[expect(
        unsafe_code,
        reason = "what is kept was written by `put_away` of a program that compiles alike (its name says so), is whole (the shelf has \
                  compared its sum), and lies where nobody but this user can have put it; wasmtime asks for no more"
    )]
    let component = unsafe { Component::deserialize(engine, code) };
    let given_up = |error: &wasmtime::Error| {
        tracing::warn!(name, error = %format!("{error:#}"), "compiled code that was kept is of no use");
        shelf.discard(name);
    };
    component.inspect_err(given_up).ok()
}

fn put_away(component: &Component, shelf: &Shelf, name: &str) {
    let put = component
        .serialize()
        .map_err(|error| format!("{error:#}"))
        .and_then(|code| shelf.put(name, &code));
    if let Err(error) = put {
        tracing::warn!(error, "compiled code could not be kept");
    }
}

/// Bytes of a component beyond which its compilation takes seconds and a few hundred megabytes: twenty times a plugin in Rust.
const LARGE: usize = 1 << 20;

/// How long a compilation stands back: several times as long as one of a plugin in Rust takes.
const COURTESY: Duration = Duration::from_secs(2);

/// A compilation that takes longer is told of, again and again: longer than any plugin in Rust takes on a busy machine.
const LONG: Duration = Duration::from_secs(10);
