//! Hashes. Those that nodes compare are the same in every build; those of tables are keyed, because clients choose names.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher as _};

use jackfield_envelope::{NodeId, Topic};

/// A table by topic. Its order depends on the seed alone, so that a simulated run can be repeated.
pub(crate) type Table<T> = HashMap<Topic, T, Keyed>;

/// SipHash with a secret in front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed(pub(crate) u64);

impl BuildHasher for Keyed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

/// FNV-1a over all parts, each with its length, and mixed.
pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |byte: u8| state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for part in parts {
        part.iter().copied().for_each(&mut eat);
        (part.len() as u32).to_le_bytes().into_iter().for_each(&mut eat);
    }
    mix(state)
}

/// The finaliser of splitmix64: every bit of the input reaches every bit of the output.
pub(crate) const fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// How much nodes want a topic (rendezvous hashing): the highest has it.
pub(crate) fn weights(topic: &str) -> impl Fn(NodeId) -> u64 + use<> {
    let name = hash(&[topic.as_bytes()]);
    move |node| mix(name ^ mix(node.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_compare_never_changes() {
        assert_eq!(hash(&[b"a", b"b"]), 0xdeb1_387b_33cf_b931);
        assert_ne!(hash(&[b"ab", b""]), hash(&[b"a", b"b"]));
    }

    #[test]
    fn topics_are_spread_over_nodes() {
        let nodes = [NodeId(1), NodeId(2), NodeId(3)];
        let mut counts = [0; 3];
        for i in 0..3000 {
            let topic = format!("1/channel-{i}");
            let weight = weights(&topic);
            let best = (0..3).max_by_key(|&at| weight(nodes[at])).unwrap();
            counts[best] += 1;
        }
        assert!(counts.iter().all(|&count| (900..1100).contains(&count)), "{counts:?}");
    }
}
