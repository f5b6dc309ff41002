//! What `wit-bindgen` makes of the contract in `wit/`.
//!
//! `wit/plugin.wit` has one world per kind of plugin, each with `lifecycle` in it. Generated as they stand, four of
//! them in one crate would define the macro that exports `lifecycle` four times; so the worlds are cut here along
//! their seams: what the host offers, the lifecycle, and each door alone. A component's linker puts those together
//! that a plugin uses.
//!
//! Nothing but the rest of this crate and its macros names these modules; a plugin uses the types under the names that
//! the crate's root gives them.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all
)]

/// What a plugin may import. A built component imports only what it calls.
pub mod host {
    wit_bindgen::generate!({
        inline: "package jackfield:sdk-host;
            world host {
                include jackfield:plugin/imports@0.1.0;
                import jackfield:host/handshake@0.1.0;
                import jackfield:host/request@0.1.0;
                import jackfield:host/cluster@0.1.0;
                import jackfield:host/peers@0.1.0;
                import jackfield:host/links@0.1.0;
            }",
        path: "../wit",
        runtime_path: "::jackfield_sdk::wit_bindgen::rt",
        additional_derives: [PartialEq, Eq],
        with: { "jackfield:types/types@0.1.0": jackfield_sdk::bindings::auth::jackfield::types::types },
        generate_all,
    });
}

pub mod lifecycle {
    wit_bindgen::generate!({
        inline: "package jackfield:sdk-lifecycle;
            world lifecycle {
                export jackfield:plugin/lifecycle@0.1.0;
            }",
        path: "../wit",
        pub_export_macro: true,
        default_bindings_module: "jackfield_sdk::bindings::lifecycle",
        runtime_path: "::jackfield_sdk::wit_bindgen::rt",
    });
}

pub mod adapter {
    wit_bindgen::generate!({
        inline: "package jackfield:sdk-adapter;
            world adapter {
                export jackfield:adapter/bus@0.1.0;
                export jackfield:adapter/inbox@0.1.0;
            }",
        path: "../wit",
        pub_export_macro: true,
        default_bindings_module: "jackfield_sdk::bindings::adapter",
        runtime_path: "::jackfield_sdk::wit_bindgen::rt",
        additional_derives: [PartialEq, Eq],
        generate_all,
    });
}

/// The records that several doors share are taken from here.
pub mod auth {
    wit_bindgen::generate!({
        inline: "package jackfield:sdk-auth;
            world auth {
                export jackfield:auth/connect@0.1.0;
                export jackfield:auth/subscribe@0.1.0;
                export jackfield:auth/signin@0.1.0;
                export jackfield:auth/client-event@0.1.0;
                export jackfield:auth/api-request@0.1.0;
            }",
        path: "../wit",
        pub_export_macro: true,
        default_bindings_module: "jackfield_sdk::bindings::auth",
        runtime_path: "::jackfield_sdk::wit_bindgen::rt",
        additional_derives: [PartialEq, Eq],
        generate_all,
    });
}

pub mod rate_limit {
    wit_bindgen::generate!({
        inline: "package jackfield:sdk-rate-limit;
            world rate-limit {
                export jackfield:rate-limit/limiter@0.1.0;
                export jackfield:rate-limit/state@0.1.0;
            }",
        path: "../wit",
        pub_export_macro: true,
        default_bindings_module: "jackfield_sdk::bindings::rate_limit",
        runtime_path: "::jackfield_sdk::wit_bindgen::rt",
        generate_all,
        additional_derives: [PartialEq, Eq],
    });
}

pub mod webhook {
    wit_bindgen::generate!({
        inline: "package jackfield:sdk-webhook;
            world webhook {
                export jackfield:webhook/sink@0.1.0;
            }",
        path: "../wit",
        pub_export_macro: true,
        default_bindings_module: "jackfield_sdk::bindings::webhook",
        runtime_path: "::jackfield_sdk::wit_bindgen::rt",
        additional_derives: [PartialEq, Eq],
        with: { "jackfield:types/types@0.1.0": jackfield_sdk::bindings::auth::jackfield::types::types },
        generate_all,
    });
}
