//! How one version of a plugin is doing: what is counted while it is used, and when it fails too often to be called.
//!
//! **Invariant:** nothing here knows what a plugin is, waits, or does I/O. **Invariant:** while all goes well, a call costs some relaxed
//! atomics and no lock.

mod breaker;
mod figures;

pub use breaker::{Breaker, Failure};
pub use figures::{CallTimes, Figures, Times};
