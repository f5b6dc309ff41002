//! What a client sends after the upgrade, in pieces of the size that the first byte gives.

#![no_main]

use jackfield_protocol_fuzz::bodies;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bodies::client_frames(bytes));
