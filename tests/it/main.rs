//! All scenarios in one binary: the real server, real plugins, real clients, over sockets of this machine.
//!
//! Each test starts a server of its own, with its own folder of plugins, and ends exactly the processes it started. None
//! sleeps to wait for something: conditions are awaited, within a limit.

mod harness;

mod api;
mod clients;
mod doors;
mod end;
mod first_plugin;
mod gate;
mod misbehave;
mod operator;
mod slow;
mod tidy;
mod webhooks;
mod wire;
