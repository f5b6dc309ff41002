//! All scenarios in one binary: the real server, real plugins, real clients, over sockets of this machine.
//!
//! Each test starts a server of its own, with its own folder of plugins, and ends exactly the processes it started. None
//! sleeps to wait for something: conditions are awaited, within a limit.

mod harness;

mod api;
mod apps;
mod auth_http;
mod autobahn;
mod cache;
mod clients;
mod contract;
mod counts;
mod data;
mod doors;
mod echo;
mod encrypted;
mod end;
mod first_plugin;
mod front;
mod gate;
mod hostile;
mod house;
mod instances;
mod keys;
mod languages;
mod limits;
mod links;
mod misbehave;
mod names;
mod notices;
mod operator;
mod presence;
mod python;
mod questions;
mod rates;
mod reconnect;
mod reload;
mod signatures;
mod slow;
mod soak;
mod tidy;
mod users;
mod watchlists;
mod webhooks;
mod wire;
