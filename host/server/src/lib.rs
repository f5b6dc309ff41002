//! The host program: listeners, event loops, sockets, the HTTP API, metrics and an orderly end.
//!
//! Start at [`assemble`]: the one place that names every room. A connection's life is `acceptor` → `event_loop` →
//! `http` → `upgrade` → `connection`; a publish is `http` → `api` → gate → hub → `event_loop` → sockets.

mod acceptor;
mod admin;
mod api;
mod assemble;
mod change_adapter;
mod connection;
mod development;
mod event_loop;
mod http;
mod metrics;
pub mod operator_command;
pub mod plugins_command;
mod proxies;
pub mod publish_command;
mod recheck;
mod reload;
pub mod reload_command;
mod settings;
mod shared;
mod socket;
mod upgrade;
mod webhooks;

pub use assemble::{Server, StartError, assemble};
