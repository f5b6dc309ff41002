//! All scenarios in one binary: the real server, real plugins, real clients, over sockets of this machine.
//!
//! Each test starts a server of its own, with its own folder of plugins, and ends exactly the processes it started. None
//! sleeps to wait for something: conditions are awaited, within a limit.

mod harness;

mod api;
mod autobahn;
mod cache;
mod clients;
mod counts;
mod doors;
mod echo;
mod end;
mod first_plugin;
mod gate;
mod hostile;
mod limits;
mod misbehave;
mod notices;
mod operator;
mod presence;
mod python;
mod questions;
mod slow;
mod tidy;
mod users;
mod webhooks;
mod wire;
