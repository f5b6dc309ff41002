//! `jackfield:host/sign`, `digest` and `body`, linked by hand: what is hashed or compared is read where it lies, in the guest's
//! memory. These are asked at every signed subscription and request.

use jackfield_protocol::signature;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList, WasmStr};

use crate::context::Context;

/// Links `sign`. Secrets stay behind the app table.
pub(crate) fn link_sign(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    linker.instance("jackfield:host/sign@0.1.0")?.func_wrap(
        "verify",
        |store: StoreContextMut<'_, Context>, (app, message, signature): (WasmStr, WasmList<u8>, WasmStr)| {
            let known = store.data().host.apps.by_id(&app.to_str(&store)?);
            let signature = signature.to_str(&store)?;
            let message = bounded(&store, &message)?;
            Ok((known.is_some_and(|app| app.verify(message, &signature)),))
        },
    )
}

/// Links `digest`.
pub(crate) fn link_digest(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("jackfield:host/digest@0.1.0")?;
    for (name, digest) in [("sha256", signature::sha256_hex as Digest), ("md5", signature::md5_hex)] {
        instance.func_wrap(
            name,
            move |store: StoreContextMut<'_, Context>, (data,): (WasmList<u8>,)| Ok((digest(bounded(&store, &data)?),)),
        )?;
    }
    Ok(())
}

/// Links `body`.
pub(crate) fn link_body(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("jackfield:host/body@0.1.0")?;
    instance.func_wrap(
        "md5-is",
        |store: StoreContextMut<'_, Context>, (digest,): (WasmStr,)| {
            let right = signature::md5_hex(&store.data().body);
            Ok((digest.to_str(&store)? == right,))
        },
    )?;
    instance.func_wrap("read", |store: StoreContextMut<'_, Context>, (): ()| {
        Ok((store.data().body.to_vec(),))
    })
}

/// The bytes, unless they are more than a guest may hand over in one call: hashing them would take longer than the call may.
fn bounded<'a>(store: &'a StoreContextMut<'_, Context>, data: &WasmList<u8>) -> wasmtime::Result<&'a [u8]> {
    let most = store.data().identity.limits.host_call_bytes;
    if data.len() > most {
        wasmtime::bail!("{} bytes were handed over; {most} are the most", data.len());
    }
    Ok(data.as_le_slice(store))
}

/// From bytes to hexadecimal digits.
type Digest = fn(&[u8]) -> String;
