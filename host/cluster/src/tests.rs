//! The seeded simulation: whole clusters with their brokers, clocks and faults, in one thread and one virtual time.
//!
//! A run is a profile and a seed, and always the same. `JACKFIELD_SIM=PROFILE:SEED` runs one and tells what happens;
//! `JACKFIELD_SEEDS=10000` runs so many over all profiles.

mod broker;
mod checks;
mod directed;
mod effects;
mod faults;
mod members;
mod profile;
mod random;
mod runs;
mod without;
mod workload;
mod world;
