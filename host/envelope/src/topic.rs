//! Names: of nodes, of topics, of users.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Microseconds of one monotonic clock. Clocks of two nodes are never compared.
pub type Micros = u64;

/// A node, as the 64 random bits that were drawn when its process started.
///
/// The configured name is for people and for the check that nobody uses it twice; two processes of one name are two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The address of messages on a bus: `APP/CHANNEL` for a channel. Cheap to clone.
///
/// The cluster's own topics begin with a slash, which no app's id does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<str>);

impl Topic {
    /// A topic with this text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole text, shared.
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }

    /// The topic that every node follows.
    pub fn all() -> Self {
        Self::new("/all")
    }

    /// The topic that this node alone follows.
    pub fn of(node: NodeId) -> Self {
        Self::new(&format!("/node/{node}"))
    }
}

impl From<Arc<str>> for Topic {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user's id within the app that the topic names. Cheap to clone.
pub type User = Arc<str>;
