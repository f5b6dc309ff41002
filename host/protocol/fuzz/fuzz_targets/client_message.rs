//! What a client says: one text a line.

#![no_main]

use jackfield_protocol_fuzz::bodies;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bodies::client_message(bytes));
