//! The streams of a program: standard output and error go to the log, standard input is at its end.

use wasmtime::component::{ComponentType, LinkerInstance, Lower, Resource};
use wasmtime::{Result, bail};

use super::{Caller, Own, clocks};
use crate::bindings::hot::jackfield::host::log::Level;
use crate::context::Context;
use crate::imports::write_line;

/// `wasi:io/streams#stream-error`.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[expect(dead_code, reason = "the type needs it; no stream here fails")]
    LastOperationFailed(Own),
    #[component(name = "closed")]
    Closed,
}

type Answer<T> = std::result::Result<T, StreamError>;

pub(super) fn add_stdin(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    instance.func_wrap("get-stdin", |_, ()| Ok((Own::new_own(INPUT),)))
}

pub(super) fn add_stdout(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    instance.func_wrap("get-stdout", |_, ()| Ok((Own::new_own(OUTPUT),)))
}

pub(super) fn add_stderr(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    instance.func_wrap("get-stderr", |_, ()| Ok((Own::new_own(ERRORS),)))
}

pub(super) fn add_error(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    instance.func_wrap("[method]error.to-debug-string", |_, (_,): (Own,)| {
        Ok(("a stream failed".to_owned(),))
    })
}

pub(super) fn add_streams(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    for read in ["[method]input-stream.read", "[method]input-stream.blocking-read"] {
        instance.func_wrap(read, |_, (_, _): (Own, u64)| {
            Ok((Answer::<Vec<u8>>::Err(StreamError::Closed),))
        })?;
    }
    for skip in ["[method]input-stream.skip", "[method]input-stream.blocking-skip"] {
        instance.func_wrap(skip, |_, (_, _): (Own, u64)| {
            Ok((Answer::<u64>::Err(StreamError::Closed),))
        })?;
    }
    for write in [
        "[method]output-stream.write",
        "[method]output-stream.blocking-write-and-flush",
    ] {
        instance.func_wrap(write, |mut store: Caller<'_>, (stream, bytes): (Own, Vec<u8>)| {
            print(store.data_mut(), &stream, &bytes)?;
            Ok((Answer::Ok(()),))
        })?;
    }
    for flush in ["[method]output-stream.flush", "[method]output-stream.blocking-flush"] {
        instance.func_wrap(flush, |_, (_,): (Own,)| Ok((Answer::Ok(()),)))?;
    }
    instance.func_wrap("[method]output-stream.check-write", |_, (_,): (Own,)| {
        Ok((Answer::Ok(WRITE_BYTES),))
    })?;
    for subscribe in ["[method]input-stream.subscribe", "[method]output-stream.subscribe"] {
        instance.func_wrap(subscribe, |_, (_,): (Own,)| Ok((Own::new_own(clocks::READY),)))?;
    }
    Ok(())
}

fn print(context: &mut Context, stream: &Resource<super::Handle>, bytes: &[u8]) -> Result<()> {
    let Context {
        identity,
        stdout,
        stderr,
        ..
    } = context;
    let (lines, level) = match stream.rep() {
        OUTPUT => (stdout, Level::Info),
        ERRORS => (stderr, Level::Warn),
        _ => bail!("it writes to a stream that is none"),
    };
    lines.take(bytes, |line| write_line(identity, level, line));
    Ok(())
}

/// The numbers of the three streams.
const INPUT: u32 = 0;
const OUTPUT: u32 = 1;
const ERRORS: u32 = 2;

/// What a guest is told to write at once. WASI fixes it for writes that flush.
const WRITE_BYTES: u64 = 4_096;
