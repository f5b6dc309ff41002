//! jackfield-wasm
