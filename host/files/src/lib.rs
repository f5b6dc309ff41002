//! What lies in the plugins folder: the two files of a plugin, and the limits that the operator may write into one of them.
//!
//! Invariant: a file is read once, and nothing that is in it is run here. Invariant: limits are numbers and words, and nothing that
//! knows how they are kept to.

#![warn(missing_docs)]

mod files;
mod limits;
mod text;

pub use files::{Files, print};
pub use limits::{Limits, MEMORY_CEILING, RawLimits, TABLE_CEILING, WAITING};
pub use text::{LINE_BYTES, cleaned};
