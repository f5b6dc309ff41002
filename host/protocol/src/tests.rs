//! What holds for any input: random ones, and the corpus of the fuzz targets.
//!
//! `bodies` is shared with `fuzz/`, which is a crate of its own: it uses the public API alone, so that nothing has to be
//! made public for the fuzzer's sake.

#[allow(unreachable_pub, dead_code, reason = "fuzz/ is another crate and uses the same file")]
mod bodies;
mod corpus;
mod properties;
