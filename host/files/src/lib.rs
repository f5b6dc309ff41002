//! A plugin as words and bytes: its two files, the limits that the operator may write into one of them, its configuration without
//! the secrets that it must not see, and what it prints.
//!
//! Invariant: a file is read once, and nothing that is in it is run here. Invariant: limits are numbers and words, and nothing that
//! knows how they are kept to.

#![warn(missing_docs)]

mod files;
mod limits;
mod lines;
mod secrets;
mod text;

pub use files::{Files, print};
pub use limits::{Limits, MEMORY_CEILING, RawLimits, TABLE_CEILING, WAITING};
pub use lines::Lines;
pub use secrets::Secrets;
pub use text::cleaned;
