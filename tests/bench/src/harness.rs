//! Brokers as the scenarios start them, out of the same files.

#[path = "../../it/harness/brokers.rs"]
#[expect(dead_code, reason = "the scenarios use all of it")]
pub(crate) mod brokers;
#[path = "../../it/harness/certificates.rs"]
#[expect(dead_code, reason = "the scenarios use all of it")]
mod certificates;
#[path = "../../it/harness/folder.rs"]
pub(crate) mod folder;
#[path = "../../it/harness/redis_cluster.rs"]
#[expect(dead_code, reason = "the scenarios use all of it")]
mod redis_cluster;
#[path = "../../it/harness/wait.rs"]
#[expect(dead_code, reason = "the scenarios use all of it")]
mod wait;
