//! What the configuration says about the network: an address to listen on, a path's prefix, a trusted network.
//!
//! All are read from texts, in the file and in environment variables alike.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// What stands in front of every path: nothing, or `/a/b`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct PathPrefix(pub(super) String);

/// The IP address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Host(pub(super) IpAddr);

/// Addresses: one of them, or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network(pub(super) IpNet);

impl FromStr for PathPrefix {
    type Err = String;

    /// A slash at either end may be there or not. What would have to be escaped is refused: it could be spelled in two
    /// ways, and signatures hold for one.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text == "/" {
            return Ok(Self::default());
        }
        let inner = text.strip_prefix('/').unwrap_or(text);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let good = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain);
        if inner.split('/').all(good) {
            return Ok(Self(format!("/{inner}")));
        }
        Err(format!(
            "`{text}` must be a path such as /realtime, of letters, digits and - . _ ~"
        ))
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse().map(Self);
        address.map_err(|_| format!("`{text}` must be an IP address such as 0.0.0.0 or ::1"))
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse().or_else(|_| address());
        network.map(Self).map_err(|_| {
            format!("`{text}` must be an IP address such as 127.0.0.1 or ::1, or a network such as 10.0.0.0/8")
        })
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PathPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed(PhantomData))
    }
}

/// Parses a text in the moment in which it is read: later, nobody would know its line.
struct Parsed<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_one_spelling() {
        for (text, expected) in [
            ("", ""),
            ("/", ""),
            ("/realtime", "/realtime"),
            ("realtime", "/realtime"),
            ("realtime/", "/realtime"),
            ("/realtime/", "/realtime"),
            ("/a/b-c._~1", "/a/b-c._~1"),
        ] {
            assert_eq!(text.parse(), Ok(PathPrefix(expected.to_owned())), "{text}");
        }
        for text in [
            "//", "/a//b", "//a", "a//", "/a/../b", "/./a", "/a b", "/{a}", "/%61", "/é", "/a?b",
        ] {
            let error = text.parse::<PathPrefix>().expect_err(text);
            assert!(error.starts_with(&format!("`{text}` must be a path")), "{error}");
        }
    }

    #[test]
    fn a_network_is_one_address_or_many() {
        for (text, expected) in [
            ("127.0.0.1", "127.0.0.1/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(
                text.parse::<Network>().map(|network| network.0.to_string()),
                Ok(expected.to_owned())
            );
        }
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0", "[::1]", "127.0.0.1:80"] {
            text.parse::<Network>().expect_err(text);
        }
    }
}
