//! The bodies of the fuzz targets: the very file that the tests of the crate replay the corpus through.

#[path = "../../src/tests/bodies.rs"]
pub mod bodies;
