//! What a plugin of Jackfield is written with: a trait and a macro per kind of plugin, the host's functions, and a
//! double of the host for tests.
//!
//! A plugin is a type that implements one of [`Adapter`], [`Auth`], [`RateLimit`] and [`Webhook`], named to the macro
//! of its kind. Compiled for `wasm32-unknown-unknown` and wrapped as a component it is dropped into `plugins/`;
//! compiled for the machine at hand it is an ordinary library, whose tests run under `cargo test` against [`double`].
//!
//! ```
//! use jackfield_sdk::{Auth, Connection, SubscribeRequest, Verdict};
//!
//! /// Closes one channel to everybody and has no opinion on all else.
//! struct Closed;
//!
//! impl Auth for Closed {
//!     fn new(_config: &str) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn subscribe(&mut self, _client: &Connection, request: &SubscribeRequest) -> Verdict {
//!         match request.channel.as_str() {
//!             "closed" => Verdict::refuse(403, "this channel is closed"),
//!             _ => Verdict::Pass,
//!         }
//!     }
//! }
//!
//! jackfield_sdk::export_auth!(Closed);
//! # fn main() {}
//! ```
//!
//! The pages for authors are in `host/docs/plugin-authors.md`.
#![warn(missing_docs)]

// The generated bindings name this crate as a plugin would.
extern crate self as jackfield_sdk;

mod adapter;
mod auth;
#[doc(hidden)]
pub mod bindings;
#[cfg(not(target_arch = "wasm32"))]
pub mod double;
pub mod host;
pub mod linked;
#[doc(hidden)]
pub mod plugin;
mod rate_limit;
mod webhook;

pub use adapter::{Adapter, Envelope, Event, Message};
pub use auth::{
    ApiRequest, App, Auth, ClientEvent, Connection, Grant, Header, Member, Refusal, SigninRequest, SubscribeRequest,
    Verdict,
};
pub use plugin::no_settings;
pub use rate_limit::{Decision, Question, RateLimit, Rule};
pub use webhook::{Call, Notice, Webhook};

#[doc(hidden)]
pub use wit_bindgen;
