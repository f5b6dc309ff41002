//! Who a request is from, when a proxy that the operator trusts stands in between.
//!
//! Anybody can write `X-Forwarded-For`. It is read from the right, where the proxy nearest to us has written, and no
//! farther than the first address that is not a trusted proxy's: what stands left of that is hearsay.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue, Request};
use ipnet::IpNet;

/// The proxies whose word is believed.
#[derive(Debug, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

/// Who is at the other end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Never an IPv4 address in IPv6 clothes.
    pub(crate) address: IpAddr,
    /// Whether it came over TLS, as far as that is known.
    pub(crate) tls: bool,
}

impl Proxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Who has sent a request with these headers over a socket of this peer.
    pub(crate) fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> Caller {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return Caller {
                address: peer,
                tls: false,
            };
        }
        let real = || headers.get(REAL_IP).and_then(address).unwrap_or(peer);
        let address = if headers.contains_key(FORWARDED_FOR) {
            self.forwarded(peer, headers)
        } else {
            real()
        };
        Caller {
            address,
            tls: came_over_tls(headers),
        }
    }

    /// The rightmost address that is not a trusted proxy's; the last good one where none is, or where garbage begins.
    fn forwarded(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut last = peer;
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            let Ok(list) = value.to_str() else { return last };
            for part in list.rsplit(',') {
                match parsed(part) {
                    Some(address) => last = address,
                    None => return last,
                }
                if !self.trusts(last) {
                    return last;
                }
            }
        }
        last
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl Caller {
    /// As noted when the request came in.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let noted = request.extensions().get().copied();
        noted.expect("every request is given its caller before it is routed")
    }
}

/// What the nearest proxy says of its own client: the last word.
fn came_over_tls(headers: &HeaderMap) -> bool {
    let last = headers.get_all(FORWARDED_PROTO).iter().next_back();
    let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    last.is_some_and(|scheme| {
        ["https", "wss"]
            .iter()
            .any(|tls| scheme.trim().eq_ignore_ascii_case(tls))
    })
}

fn address(value: &HeaderValue) -> Option<IpAddr> {
    parsed(value.to_str().ok()?)
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]` or `[::1]:5`.
fn parsed(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address: Option<IpAddr> = text.parse().ok();
    address
        .or_else(bracketed)
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const REAL_IP: &str = "x-real-ip";

#[cfg(test)]
mod tests {
    use super::*;

    /// The caller's address for these headers from this peer, behind proxies in 10.0.0.0/8, 127.0.0.1 and fd00::/8.
    fn seen(peer: &str, headers: &[(&'static str, &str)]) -> Caller {
        let networks = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"].map(|text| text.parse().expect(text));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            // As bytes, so that a header may be no text.
            let bytes: Vec<u8> = value.chars().map(|c| c as u8).collect();
            map.append(*name, HeaderValue::from_bytes(&bytes).expect("a header's value"));
        }
        Proxies::new(networks.into()).caller(peer.parse().expect(peer), &map)
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxys_is_the_callers() {
        for (peer, forwarded, expected) in [
            ("127.0.0.1", &["1.1.1.1"][..], "1.1.1.1"),
            ("127.0.0.1", &["9.9.9.9, 1.1.1.1"], "1.1.1.1"),
            ("127.0.0.1", &["9.9.9.9,1.1.1.1 ,10.1.1.1,  10.2.2.2"], "1.1.1.1"),
            // Several headers are one list.
            ("127.0.0.1", &["9.9.9.9", "1.1.1.1, 10.1.1.1", "10.2.2.2"], "1.1.1.1"),
            ("127.0.0.1", &["1.1.1.1", "10.1.1.1"], "1.1.1.1"),
            // Nobody but proxies: the farthest one.
            ("127.0.0.1", &["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            // Ports, brackets, IPv4 in IPv6.
            ("127.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
            ("127.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]:4711, [fd00::7]"], "2001:db8::1"),
            ("127.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
            ("::ffff:127.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("fd00::1", &["1.1.1.1"], "1.1.1.1"),
            // Garbage ends the walk.
            ("127.0.0.1", &["1.1.1.1, unknown, 10.1.1.1"], "10.1.1.1"),
            ("127.0.0.1", &["1.1.1.1, , 10.1.1.1"], "10.1.1.1"),
            ("127.0.0.1", &["1.1.1.1", "\u{ff}", "10.1.1.1"], "10.1.1.1"),
            ("127.0.0.1", &["unknown"], "127.0.0.1"),
            ("127.0.0.1", &[""], "127.0.0.1"),
            ("127.0.0.1", &["[1.1.1.1]"], "127.0.0.1"),
            ("127.0.0.1", &["1.1.1.1:99999"], "127.0.0.1"),
            ("127.0.0.1", &["fe80::1%eth0"], "127.0.0.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            // A stranger's word counts for nothing.
            ("8.8.8.8", &["1.1.1.1"], "8.8.8.8"),
            ("2001:db8::8", &["1.1.1.1"], "2001:db8::8"),
        ] {
            let headers: Vec<_> = forwarded.iter().map(|value| (FORWARDED_FOR, *value)).collect();
            let address = seen(peer, &headers).address.to_string();
            assert_eq!(address, expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn the_real_ip_counts_where_nothing_is_forwarded() {
        for (peer, headers, expected) in [
            ("127.0.0.1", &[(REAL_IP, "1.1.1.1")][..], "1.1.1.1"),
            ("127.0.0.1", &[(REAL_IP, "[2001:db8::1]:80")], "2001:db8::1"),
            ("127.0.0.1", &[(REAL_IP, "10.1.1.1")], "10.1.1.1"),
            ("127.0.0.1", &[(REAL_IP, "nobody")], "127.0.0.1"),
            (
                "127.0.0.1",
                &[(REAL_IP, "1.1.1.1"), (FORWARDED_FOR, "2.2.2.2")],
                "2.2.2.2",
            ),
            (
                "127.0.0.1",
                &[(REAL_IP, "1.1.1.1"), (FORWARDED_FOR, "unknown")],
                "127.0.0.1",
            ),
            ("8.8.8.8", &[(REAL_IP, "1.1.1.1")], "8.8.8.8"),
        ] {
            assert_eq!(seen(peer, headers).address.to_string(), expected, "{peer} {headers:?}");
        }
    }

    #[test]
    fn a_trusted_proxy_says_whether_its_client_came_over_tls() {
        for (peer, schemes, expected) in [
            ("127.0.0.1", &["https"][..], true),
            ("127.0.0.1", &["WSS"], true),
            ("127.0.0.1", &["http"], false),
            ("127.0.0.1", &["http, https"], true),
            ("127.0.0.1", &["https, http"], false),
            ("127.0.0.1", &["https", " http "], false),
            ("127.0.0.1", &["\u{ff}"], false),
            ("127.0.0.1", &[], false),
            ("8.8.8.8", &["https"], false),
        ] {
            let headers: Vec<_> = schemes.iter().map(|value| (FORWARDED_PROTO, *value)).collect();
            assert_eq!(seen(peer, &headers).tls, expected, "{peer} {schemes:?}");
        }
    }
}
