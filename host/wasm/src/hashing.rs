//! `jackfield:host/sign`, `digest` and `request`, linked by hand: what is hashed or compared is read where it lies, in the guest's
//! memory. These are asked at every signed subscription and request.

use jackfield_protocol::signature;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList, WasmStr};

use crate::context::{Context, Subject};
use crate::lend::given_headers;

/// Links `sign`. Secrets stay behind the app table.
pub(crate) fn link_sign(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    linker.instance("jackfield:host/sign@0.1.0")?.func_wrap(
        "verify",
        |store: StoreContextMut<'_, Context>, (message, signature): (WasmList<u8>, WasmStr)| {
            let signature = signature.to_str(&store)?;
            let message = bounded(&store, &message)?;
            let Context { subject, host, .. } = store.data();
            let right = match subject {
                Subject::None => false,
                Subject::Request(request) => request.app.verify(message, &signature),
                // It came a while ago: the app may have another secret by now.
                Subject::Client(client) => {
                    let app = host.apps.by_id(&client.app.id);
                    app.is_some_and(|app| app.verify(message, &signature))
                }
            };
            Ok((right,))
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

/// Links `request`.
pub(crate) fn link_request(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    type Store<'a> = StoreContextMut<'a, Context>;
    let mut instance = linker.instance("jackfield:host/request@0.1.0")?;
    instance.func_wrap("remote-address", |store: Store<'_>, (): ()| {
        let request = store.data().subject.request();
        Ok((request.map_or_else(String::new, |request| request.remote_address.clone()),))
    })?;
    instance.func_wrap("headers", |store: Store<'_>, (): ()| {
        let request = store.data().subject.request();
        Ok((given_headers(
            request.into_iter().flat_map(|request| request.headers.iter().cloned()),
        ),))
    })?;
    instance.func_wrap("body", |store: Store<'_>, (): ()| Ok((body(&store).to_vec(),)))?;
    instance.func_wrap("body-md5-is", |mut store: Store<'_>, (digest,): (WasmStr,)| {
        let is_it = signature::is_md5(body(&store), &digest.to_str(&store)?);
        store.data_mut().budget.look_anew();
        Ok((is_it,))
    })
}

fn body<'a>(store: &'a StoreContextMut<'_, Context>) -> &'a [u8] {
    store.data().subject.request().map_or(&[], |request| &request.body)
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
