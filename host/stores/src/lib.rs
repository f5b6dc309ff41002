//! What the host keeps: the table of apps, and the queue in which notices wait for the webhook door.
//!
//! Both are in memory so far; SQL tables and durable queues take their places behind the same traits.

mod apps;
mod notices;

pub use apps::{AppTable, DuplicateApp};
pub use notices::NoticeStore;
