//! Sockets that the host owns for its guests. A guest has none: it asks, and a link goes where it may and nowhere else.
//!
//! [`http`] is a client for requests that somebody else thought up: a plugin, or an operator who typed a webhook's address.
//! [`broker`] keeps connections to Redis, Redis Cluster and NATS, through which instances reach each other.
//!
//! Invariants: knows nothing of apps, plugins or channels; every link is told where it may go when it is made; nothing that
//! an error says holds a path, a query or a header, because secrets stand there, nor a user's name or password.

pub mod broker;
pub mod http;
mod tls;
