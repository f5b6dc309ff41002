//! Rust types and traits for the contract in `wit/`, generated. No generated type leaves this crate.
//!
//! Two sets over the same records: [`hot`] calls a guest on the caller's thread, [`io`] on a fiber that may wait.

/// Calls that return at once, the host imports and all records.
pub(crate) mod hot {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package jackfield:all@0.1.0;
            world all {
                include jackfield:plugin/adapter@0.1.0;
                include jackfield:plugin/auth@0.1.0;
                include jackfield:plugin/rate-limit@0.1.0;
                include jackfield:plugin/webhook@0.1.0;
            }
        ",
        world: "jackfield:all/all",
        imports: { default: trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// Calls that may wait: at every door but the adapter's.
pub(crate) mod io {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package jackfield:waiting@0.1.0;
            world waiting {
                include jackfield:plugin/auth@0.1.0;
                include jackfield:plugin/rate-limit@0.1.0;
                include jackfield:plugin/webhook@0.1.0;
            }
        ",
        world: "jackfield:waiting/waiting",
        imports: { default: trappable },
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: {
            "jackfield:types/types": crate::bindings::hot::jackfield::types::types,
            "jackfield:auth/claims": crate::bindings::hot::jackfield::auth::claims,
            "jackfield:rate-limit/counts": crate::bindings::hot::jackfield::rate_limit::counts,
            "jackfield:webhook/calls": crate::bindings::hot::jackfield::webhook::calls,
            "jackfield:host/log": crate::bindings::hot::jackfield::host::log,
            "jackfield:host/clock": crate::bindings::hot::jackfield::host::clock,
            "jackfield:host/random": crate::bindings::hot::jackfield::host::random,
            "jackfield:host/digest": crate::bindings::hot::jackfield::host::digest,
            "jackfield:host/handshake": crate::bindings::hot::jackfield::host::handshake,
            "jackfield:host/request": crate::bindings::hot::jackfield::host::request,
            "jackfield:host/sign": crate::bindings::hot::jackfield::host::sign,
            "jackfield:host/counters": crate::bindings::hot::jackfield::host::counters,
            "jackfield:host/http": crate::bindings::hot::jackfield::host::http,
            "jackfield:host/wait": crate::bindings::hot::jackfield::host::wait,
        },
    });
}
