//! What a publisher posts.

#![no_main]

use jackfield_protocol_fuzz::bodies;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bodies::http_body(bytes));
