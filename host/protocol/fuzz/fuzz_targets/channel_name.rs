//! Names of channels, events, users and sockets.

#![no_main]

use jackfield_protocol_fuzz::bodies;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bodies::channel_name(bytes));
