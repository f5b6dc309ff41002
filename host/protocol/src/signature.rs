//! Signatures and digests, as the Pusher documents define them.
//!
//! Two directions: verifying what clients, publishers and webhooks claim, in constant time, and signing API requests
//! for the command line client. Strings are signed byte for byte as they came; nothing is re-serialised.
//!
//! Only lower-case hex of exact length passes as a signature, so that one claim has one spelling.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

/// A secret, made ready to sign and verify with HMAC-SHA256. Making it costs as much as a signature, so keep it. Never shown.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// The key of a secret of any length.
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// HMAC-SHA256 of `message`, as 64 lower-case hex digits.
    pub fn sign_hex(&self, message: &[u8]) -> String {
        hex(&self.over(message).finalize().into_bytes())
    }

    /// Whether `signature_hex` is the HMAC-SHA256 of `message`. Takes the same time wherever a wrong one differs.
    pub fn verify(&self, message: &[u8], signature_hex: &str) -> bool {
        unhex::<32>(signature_hex).is_some_and(|signature| self.over(message).verify_slice(&signature).is_ok())
    }

    fn over(&self, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(message);
        mac
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[secret]")
    }
}

/// MD5 of `bytes`, as 32 lower-case hex digits. For `body_md5` alone: it guards against mistakes, not attackers.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// Whether `digest_hex` is the MD5 of `bytes`, as 32 lower-case hex digits.
pub fn is_md5(bytes: &[u8], digest_hex: &str) -> bool {
    unhex(digest_hex).is_some_and(|digest| digest == <[u8; 16]>::from(Md5::digest(bytes)))
}

/// SHA-256 of `bytes`, as 64 lower-case hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The string that an API request signs: method, path and query, joined by line breaks.
///
/// Keys are lower-cased and sorted, values stay as they are (not URL-escaped), `auth_signature` is left out. Give the
/// pairs unescaped.
///
/// Rule: Pusher HTTP API, "Generating authentication signatures".
pub fn api_string_to_sign<K: AsRef<str>, V: AsRef<str>>(method: &str, path: &str, query_pairs: &[(K, V)]) -> String {
    let mut pairs: Vec<(String, &str)> = query_pairs
        .iter()
        .map(|(key, value)| (key.as_ref().to_lowercase(), value.as_ref()))
        .collect();
    pairs.retain(|(key, _)| key != "auth_signature");
    pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
    let query: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{}\n{path}\n{}", method.to_uppercase(), query.join("&"))
}

/// An app's key and the secret that belongs to it.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// Public, sent along. Goes into the query as it is, so it must need no URL escaping.
    pub key: &'a str,
    /// Never leaves this process.
    pub secret: &'a [u8],
}

/// The query string, signature included, of an API request made at `unix_seconds`.
///
/// `path` starts with `/apps/`; `body` is empty for a GET, and then `body_md5` is left out.
pub fn sign_api_request(app: Credentials<'_>, method: &str, path: &str, body: &[u8], unix_seconds: u64) -> String {
    let mut pairs = vec![
        ("auth_key", app.key.to_owned()),
        ("auth_timestamp", unix_seconds.to_string()),
        ("auth_version", "1.0".to_owned()),
    ];
    if !body.is_empty() {
        pairs.push(("body_md5", md5_hex(body)));
    }
    let signature = SigningKey::new(app.secret).sign_hex(api_string_to_sign(method, path, &pairs).as_bytes());
    pairs.push(("auth_signature", signature));
    let query: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    query.join("&")
}

fn hex(bytes: &[u8]) -> String {
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(digits).map(char::from).collect()
}

/// The bytes that twice as many lower-case hex digits spell, if they are that.
fn unhex<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let mut bytes = [0; BYTES];
    if pairs.len() != bytes.len() {
        return None;
    }
    let mut seen = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen < 16).then_some(bytes)
}

/// What each byte is worth as a digit; more than 15: it is none.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Lower case, as every Pusher library writes them.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::{Credentials, SigningKey, api_string_to_sign, is_md5, md5_hex, sha256_hex, sign_api_request};

    const KEY: &str = "278d425bdf160c739803";
    const SECRET: &[u8] = b"7ad3773142a6692b25b8";
    const PRIVATE: &str = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";
    const BODY: &[u8] = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;

    // Pusher documents, "Authentication signatures": the golden vectors.
    #[test]
    fn signatures_match_the_documents() {
        for (message, signature) in [
            ("1234.1234:private-foobar", PRIVATE),
            (
                r#"1234.1234:presence-foobar:{"user_id":10,"user_info":{"name":"Mr. Channels"}}"#,
                "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
            ),
            (
                r#"1234.1234:presence-foobar:{"user_id":10,"user_info":{"name":"Mr. Pusher"}}"#,
                "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c",
            ),
            (
                r#"1234.1234::user::{"id":"12345"}"#,
                "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
            ),
        ] {
            let key = SigningKey::new(SECRET);
            assert_eq!(key.sign_hex(message.as_bytes()), signature, "{message}");
            assert!(key.verify(message.as_bytes(), signature), "{message}");
        }
    }

    #[test]
    fn anything_but_the_exact_signature_is_refused() {
        let message = b"1234.1234:private-foobar";
        let mut last_digit_wrong = PRIVATE[..63].to_owned();
        last_digit_wrong.push('5');
        for wrong in [
            "",
            &PRIVATE[..62],
            &PRIVATE[..63],
            &PRIVATE.to_uppercase(),
            &format!("{PRIVATE}00"),
            &format!(" {PRIVATE}"),
            &"é".repeat(32),
            &last_digit_wrong,
        ] {
            assert!(!SigningKey::new(SECRET).verify(message, wrong), "{wrong}");
        }
        assert!(!SigningKey::new(b"another secret").verify(message, PRIVATE));
        assert!(!SigningKey::new(SECRET).verify(b"1234.1235:private-foobar", PRIVATE));
        assert_eq!(format!("{:?}", SigningKey::new(SECRET)), "[secret]");
    }

    #[test]
    fn digests_match_their_standards() {
        assert_eq!(md5_hex(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5_hex(BODY), "ec365a775a4cd0599faeb73354201b6f");
        assert!(is_md5(BODY, "ec365a775a4cd0599faeb73354201b6f"));
        for wrong in [
            "",
            "ec365a775a4cd0599faeb73354201b6",
            "EC365A775A4CD0599FAEB73354201B6F",
            "dc365a775a4cd0599faeb73354201b6f",
        ] {
            assert!(!is_md5(BODY, wrong), "{wrong}");
        }
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    // Pusher HTTP API, "Worked authentication example".
    #[test]
    fn an_api_request_is_signed_as_in_the_documents() {
        let app = Credentials {
            key: KEY,
            secret: SECRET,
        };
        assert_eq!(
            sign_api_request(app, "POST", "/apps/3/events", BODY, 1_353_088_179),
            "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
             &body_md5=ec365a775a4cd0599faeb73354201b6f\
             &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
        );
        assert!(!sign_api_request(app, "GET", "/apps/3/channels", b"", 0).contains("body_md5"));
    }

    #[test]
    fn the_string_to_sign_is_sorted_lower_cased_and_unescaped() {
        let query = [
            ("b", "2 %20&"),
            ("AUTH_signature", "x"),
            ("auth_signature", "y"),
            ("A", "1"),
            ("c", ""),
        ];
        assert_eq!(
            api_string_to_sign("get", "/apps/3/channels", &query),
            "GET\n/apps/3/channels\na=1&b=2 %20&&c="
        );
    }
}
