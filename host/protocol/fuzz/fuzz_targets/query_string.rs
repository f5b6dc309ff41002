//! What stands after the question mark of a GET or of an upgrade.

#![no_main]

use jackfield_protocol_fuzz::bodies;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bodies::query_string(bytes));
