//! Which IP addresses are public: those that mean the same machine to everybody on the internet.
//!
//! From IANA's registries of special-purpose addresses (RFC 6890 and what came after it). What is not known to be public is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is that of a machine on the internet. An IPv6 address that stands for an IPv4 address is what that is.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match inside(ip) {
            Some(inside) => is_public_v4(inside),
            None => is_public_v6(ip),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4.iter().any(|(network, bits)| {
        let shift = 32 - bits;
        u32::from(ip) >> shift == u32::from(Ipv4Addr::from(*network)) >> shift
    })
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let holds = |(network, bits): &([u16; 2], u32)| {
        let network = u32::from(network[0]) << 16 | u32::from(network[1]);
        (u128::from(ip) >> 96) as u32 >> (32 - bits) == network >> (32 - bits)
    };
    holds(&UNICAST_V6) && !NOT_PUBLIC_V6.iter().any(holds)
}

/// The IPv4 address that an IPv6 address is about, which is where the packets end up.
fn inside(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let at = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match ip.segments() {
        // Mapped (RFC 4291, 2.5.5.2), compatible (2.5.5.1; `::` and `::1` are in 0.0.0.0/8), NAT64 (RFC 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(at(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] => Some(at(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(at(high, low)),
        [0x2002, high, low, ..] => Some(at(high, low)),
        _ => None,
    }
}

/// Networks, and how many bits they are told by.
const NOT_PUBLIC_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),       // this network
    ([10, 0, 0, 0], 8),      // RFC 1918
    ([100, 64, 0, 0], 10),   // carriers' NAT
    ([127, 0, 0, 0], 8),     // loopback
    ([169, 254, 0, 0], 16),  // link-local, and where clouds hand out credentials
    ([172, 16, 0, 0], 12),   // RFC 1918
    ([192, 0, 0, 0], 24),    // IETF assignments
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 88, 99, 0], 24),  // 6to4 relays
    ([192, 168, 0, 0], 16),  // RFC 1918
    ([198, 18, 0, 0], 15),   // benchmarks
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 4),     // multicast
    ([240, 0, 0, 0], 4),     // reserved, and broadcast
];

/// All that is given out on the internet so far. Loopback, fc00::/7, fe80::/10, fec0::/10, ff00::/8 and local NAT64 are outside.
const UNICAST_V6: ([u16; 2], u32) = ([0x2000, 0], 3);

/// What is in there and yet not public.
const NOT_PUBLIC_V6: [([u16; 2], u32); 3] = [
    ([0x2001, 0], 23),     // IETF assignments: Teredo, ORCHID, benchmarks
    ([0x2001, 0xdb8], 32), // documentation
    ([0x3fff, 0], 20),     // documentation
];
