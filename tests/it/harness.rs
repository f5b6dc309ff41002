//! What the scenarios share: a server of one's own, and ways to talk to it.

pub(crate) mod balancer;
pub(crate) mod brokers;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod fault_proxy;
pub(crate) mod fleet;
pub(crate) mod folder;
pub(crate) mod heard;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod node;
pub(crate) mod python;
pub(crate) mod redis_cluster;
pub(crate) mod scene;
pub(crate) mod server;
pub(crate) mod stand;
pub(crate) mod wait;
