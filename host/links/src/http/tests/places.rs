//! Where requests may go, spelling by spelling.

use super::super::public::is_public;
use super::super::{Address, HttpError, Places};
use super::{client, error, get};

/// Hosts that stand for an address that is not public, in every spelling that ends up there.
const PRIVATE: &[&str] = &[
    // Loopback, and spellings of it.
    "127.0.0.1",
    "127.0.0.1.",
    "127.255.255.255",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0X7F.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "0177.0x0.0.01",
    "%31%32%37.0.0.1",
    "１２７.0.0.1",
    "127。0。0。1",
    "①②⑦.0.0.1",
    // This network, which Linux takes for loopback.
    "0.0.0.0",
    "0",
    "0x0",
    "0.255.255.255",
    // Networks of one's own.
    "10.0.0.1",
    "10.255.255.255",
    "0xa000001",
    "012.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.65535",
    "100.64.0.1",
    "100.127.255.255",
    // Link-local: clouds hand out credentials there.
    "169.254.169.254",
    "169.254.0.1",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.16689662",
    // Set apart by IANA.
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "4294967295",
    // IPv6.
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::0001]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[febf::1]",
    "[FEC0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[100::1]",
    "[5f00::1]",
    "[4000::1]",
    // IPv4 inside of IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo.
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:169.254.169.254]",
    "[::ffff:10.0.0.1]",
    "[::127.0.0.1]",
    "[::10.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::8.8.8.8]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2002:c0a8:1::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[2001:2::1]",
    "[2001:10::1]",
];

// RFC 6890, special-purpose addresses: what is not globally reachable is not reached, however it is spelled.
#[tokio::test]
async fn no_private_place_is_reached() {
    let client = client(Places::anywhere(false));
    for host in PRIVATE {
        for url in [
            format!("http://{host}/"),
            format!("https://{host}:8443/latest/meta-data"),
        ] {
            let error = error(client.send(get(&url)).await);
            assert!(matches!(error, HttpError::Denied(_)), "{url}: {error:?}");
        }
    }
}

// Neighbours of what is set apart are ordinary addresses.
#[test]
fn public_addresses_are_public() {
    for ip in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "203.0.114.0",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "::8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2001:db7::1",
        "2001:db9::1",
        "2000::1",
        "2606:4700::1111",
        "3ffe::1",
        "3fff:1000::1",
    ] {
        let ip = ip.parse().expect("an address");
        assert!(is_public(ip), "{ip}");
    }
}

/// Whether these places allow this address.
fn allows(allow: &[&str], url: &str) -> bool {
    let allow: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
    let places = Places::parse(&allow, true).expect("places");
    places.check(&Address::parse(url).expect("an address")).is_ok()
}

#[test]
fn a_place_is_scheme_host_and_port() {
    let allow = ["https://auth.example.org", "http://10.0.0.5:8080", "http://[::1]:80"];
    for url in [
        "https://auth.example.org",
        "https://auth.example.org/any/path?query#part",
        "https://AUTH.Example.ORG:443/",
        "HTTPS://auth.example.org./",
        "https:\\\\auth.example.org\\x",
        "http://10.0.0.5:8080/",
        "http://0xa.5:8080/",
        "http://[0:0::1]/",
    ] {
        assert!(allows(&allow, url), "{url}");
    }
    for url in [
        "http://auth.example.org/",
        "https://auth.example.org:8443/",
        "https://auth.example.org.evil.example/",
        "https://evil-auth.example.org/",
        "https://example.org/",
        "https://auth.example.org../",
        "https://evil.example/auth.example.org",
        "https://evil.example\\@auth.example.org/",
        "https://evil.example#@auth.example.org/",
        "http://10.0.0.5/",
        "https://10.0.0.5:8080/",
        "http://[::ffff:10.0.0.5]:8080/",
        "http://127.0.0.1/",
    ] {
        assert!(!allows(&allow, url), "{url}");
    }
    assert!(
        !allows(&[], "https://auth.example.org/"),
        "an empty list allows nothing"
    );
}

#[test]
fn a_path_allows_what_is_below_it() {
    for allow in ["https://x.example/hooks/a", "https://x.example/hooks/a/"] {
        for path in [
            "/hooks/a",
            "/hooks/a/",
            "/hooks/a/b",
            "/hooks/a?b",
            "/hooks//../a",
            "/./hooks/a",
            "/x/../hooks/a/%7e",
        ] {
            assert!(allows(&[allow], &format!("https://x.example{path}")), "{path}");
        }
        for path in [
            "/",
            "/hooks",
            "/hooks/ab",
            "/hooks/A",
            "/hooks/b",
            "//hooks/a",
            "/x/hooks/a",
            "/hooks/a/..",
            "/hooks/a/../b",
            "/hooks/a/%2e%2e/b",
            "/hooks/a/.%2E/b",
            "/hooks/a/..%2fb",
            "/hooks/a/..%2F..%2Fb",
            "/hooks/a/..%5cb",
            "/hooks/a/..\\b",
            "/hooks/a/%252e%252e/b",
            "/hooks/a/..;/b",
            "/hooks/a/..;x=y/b",
            "/hooks/a/%2e%2e%3b/b",
            "/hooks%2fa",
            "/hooks/a%2f..",
        ] {
            assert!(!allows(&[allow], &format!("https://x.example{path}")), "{path}");
        }
    }
    assert!(!allows(&["https://x.example//"], "https://x.example/hooks"));
    assert!(allows(&["https://x.example/@ann"], "https://x.example/@ann/b"));
    assert!(
        allows(&["https://x.example"], "https://x.example/a%2fb"),
        "all paths are all paths"
    );
}

#[test]
fn a_place_that_is_none_is_named() {
    for (entry, why) in [
        ("auth.example.org", "cannot be read"),
        ("ftp://x.example", "must begin with"),
        ("https://", "cannot be read"),
        ("https://x.example/?a=b", "query"),
        ("https://x.example/#a", "query or fragment"),
        ("https://*.example.org", "`*`"),
        ("https://x.example/hooks/*", "`*`"),
        ("https://x.example/a%2fb", "path"),
        ("https://x.example:99999", "cannot be read"),
        (" https://x.example/\n", "control characters"),
        ("", "cannot be read"),
    ] {
        let message = Places::parse(&["https://good.example".to_owned(), entry.to_owned()], true).expect_err(entry);
        assert!(message.starts_with(&format!("`{entry}`")), "{message}");
        assert!(
            message.contains(why) && message.contains("https://auth.example.org/hooks"),
            "{message}"
        );
    }
    let message = Places::parse(&["https://ann:hidden@x.example".to_owned()], true).expect_err("a password");
    assert!(message.contains('@') && !message.contains("hidden"), "{message}");
}

#[tokio::test]
async fn what_is_not_on_the_list_is_denied_and_private_addresses_with_it() {
    let list = ["http://127.0.0.1:1".to_owned(), "https://x.example/a".to_owned()];
    let narrow = client(Places::parse(&list, false).expect("places"));
    for url in [
        "http://127.0.0.1:1/",
        "http://127.0.0.1:2/",
        "https://x.example/b?token=hidden",
    ] {
        let HttpError::Denied(text) = error(narrow.send(get(url)).await) else {
            panic!("{url} was not denied");
        };
        assert!(!text.contains("hidden"), "{text}");
    }
}
