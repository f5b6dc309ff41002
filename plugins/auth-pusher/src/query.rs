//! The query of an HTTP request as the signature sees it: decoded, keys in lower case, sorted, each key once.

use std::borrow::Cow;

/// A query's parameters.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    /// Sorted by key, and without the signature, which is not signed.
    parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    signature: Option<Cow<'a, str>>,
    /// What stands before the signature and what behind it, if that is written just as it is signed: as most libraries do.
    verbatim: Option<(&'a str, &'a str)>,
}

impl<'a> Query<'a> {
    /// Reads a query as it came. An error is for the caller's developer.
    pub(crate) fn parse(raw: &'a str) -> Result<Self, String> {
        // One look at all of it: hardly any query has something to decode or to make lower-case.
        let plain = is_plain(raw);
        let mut query = Self {
            // Room for the `auth_` parameters and a few others, so that the list does not grow by steps.
            parameters: Vec::with_capacity(8),
            signature: None,
            verbatim: (plain && !raw.ends_with('&')).then_some((raw, "")),
        };
        let mut rest = raw;
        while !rest.is_empty() {
            let (pair, key, value, after) = first_pair(rest);
            if key.len() == pair.len() {
                // Signed is an `=` that is not there, or nothing at all.
                query.verbatim = None;
            }
            let (key, value) = match plain {
                true => (Cow::Borrowed(key), Cow::Borrowed(value)),
                false => (lower(decode(key)?), decode(value)?),
            };
            if key == SIGNATURE {
                query.sign(value, &raw[..raw.len() - rest.len()], after)?;
            } else if !pair.is_empty() {
                query.add(key, value)?;
            }
            rest = after;
        }
        Ok(query)
    }

    /// Keeps the signature, which stands between `before` and `behind`.
    fn sign(&mut self, value: Cow<'a, str>, before: &'a str, behind: &'a str) -> Result<(), String> {
        let before = match behind {
            "" => before.trim_end_matches('&'),
            _ => before,
        };
        self.verbatim = self.verbatim.map(|_| (before, behind));
        match self.signature.replace(value) {
            None => Ok(()),
            Some(_) => Err(twice(SIGNATURE)),
        }
    }

    /// Puts a parameter into its place.
    fn add(&mut self, key: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), String> {
        if self.parameters.len() == PARAMETERS {
            return Err(format!("more than {PARAMETERS} parameters"));
        }
        // Libraries send them sorted, so that most find their place at the end.
        let place = match self.parameters.last() {
            Some((last, _)) if *last >= key => {
                self.verbatim = None;
                self.parameters.partition_point(|(known, _)| *known < key)
            }
            _ => self.parameters.len(),
        };
        if self.parameters.get(place).is_some_and(|(known, _)| *known == key) {
            return Err(twice(&key));
        }
        self.parameters.insert(place, (key, value));
        Ok(())
    }

    /// The value of `key`, if it is there and signed.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        // They are few and of different lengths: looking at each is faster than halving.
        let found = self.parameters.iter().find(|(candidate, _)| candidate == key);
        found.map(|(_, value)| value.as_ref())
    }

    /// The value of a parameter that has to be there.
    pub(crate) fn required(&self, key: &str) -> Result<&str, String> {
        self.value(key).ok_or_else(|| missing(key))
    }

    /// The signature, which has to be there.
    pub(crate) fn signature(&self) -> Result<&str, String> {
        self.signature.as_deref().ok_or_else(|| missing(SIGNATURE))
    }

    /// What is signed: the parameters in the order of their keys.
    pub(crate) fn signed(&self) -> Cow<'_, str> {
        match self.verbatim {
            Some((before, "")) => Cow::Borrowed(before),
            Some((before, behind)) => Cow::Owned([before, behind].concat()),
            None => Cow::Owned(self.rewritten()),
        }
    }

    fn rewritten(&self) -> String {
        let mut text = String::new();
        for (index, (key, value)) in self.parameters.iter().enumerate() {
            if index > 0 {
                text.push('&');
            }
            text.push_str(key);
            text.push('=');
            text.push_str(value);
        }
        text
    }
}

/// Of two values one would be signed and the other one used.
fn twice(key: &str) -> String {
    format!("the parameter {key} is there twice")
}

fn missing(key: &str) -> String {
    format!("the parameter {key} is missing")
}

// The three loops below are functions of their own for good: within a large one they would have no registers in a guest.

/// Whether the signature sees each byte as the query has it.
#[inline(never)]
fn is_plain(query: &str) -> bool {
    let is_changed = |byte| matches!(byte, b'%' | b'+' | b'A'..=b'Z');
    !query.bytes().fold(false, |found, byte| found | is_changed(byte))
}

/// The first pair of a query, its key, its value, and what follows the pair.
fn first_pair(query: &str) -> (&str, &str, &str, &str) {
    let key = end_of_key(query.as_bytes());
    let end = key + end_of_value(&query.as_bytes()[key..]);
    let value = if key == end { key } else { key + 1 };
    let after = if end == query.len() { end } else { end + 1 };
    (&query[..end], &query[..key], &query[value..end], &query[after..])
}

/// Where the first `=` or `&` is, or the end.
#[inline(never)]
fn end_of_key(bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|byte| matches!(byte, b'=' | b'&'));
    end.unwrap_or(bytes.len())
}

/// Where the first `&` is, or the end. Values are long: sixteen bytes at a time, as long as there is none among them.
#[inline(never)]
fn end_of_value(bytes: &[u8]) -> usize {
    let (chunks, _) = bytes.as_chunks::<16>();
    let bears_none = |chunk: &&[u8; 16]| !chunk.iter().fold(false, |found, byte| found | (*byte == b'&'));
    let skipped = chunks.iter().take_while(bears_none).count() * 16;
    let rest = bytes[skipped..].iter().position(|byte| *byte == b'&');
    rest.map_or(bytes.len(), |at| skipped + at)
}

fn lower(key: Cow<'_, str>) -> Cow<'_, str> {
    if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(key.to_ascii_lowercase())
    } else {
        key
    }
}

/// Undoes the encoding of a query: `%20` and `+` are a blank. Copies only what is encoded.
fn decode(raw: &str) -> Result<Cow<'_, str>, String> {
    if !raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(raw));
    }
    let wrong = || format!("{raw} in the query is not percent-encoded UTF-8");
    let mut bytes = raw.bytes();
    let mut decoded = Vec::with_capacity(raw.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => escaped(&mut bytes).ok_or_else(wrong)?,
            b'+' => b' ',
            _ => byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| wrong())
}

/// The byte that the next two hexadecimal digits stand for.
fn escaped(digits: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || char::from(digits.next()?).to_digit(16);
    let byte = digit()? * 16 + digit()?;
    u8::try_from(byte).ok()
}

/// Parameters of a query. The protocol has a dozen; thousands would be work for whoever does not even know the secret.
const PARAMETERS: usize = 64;

/// The one parameter that is not signed.
const SIGNATURE: &str = "auth_signature";

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Query, decode};

    fn pairs(raw: &str) -> Vec<(String, String)> {
        let query = Query::parse(raw).expect(raw);
        let pairs = query.parameters.iter();
        pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    #[test]
    fn sorts_by_lower_case_keys_and_decodes_values() {
        assert_eq!(pairs(""), []);
        assert_eq!(pairs("b=2&a=1"), owned(&[("a", "1"), ("b", "2")]));
        assert_eq!(pairs("B=Two&a=1"), owned(&[("a", "1"), ("b", "Two")]));
        assert_eq!(pairs("a&&b=&c=x=y&"), owned(&[("a", ""), ("b", ""), ("c", "x=y")]));
        assert_eq!(
            pairs("info=a%2Cb%2cc&x=%C3%BC+u"),
            owned(&[("info", "a,b,c"), ("x", "ü u")])
        );
    }

    // Whether a query is written as it is signed or not makes no difference to what is signed.
    #[test]
    fn what_is_signed_is_the_sorted_parameters() {
        let parts = [
            "a=1",
            "b=",
            "b",
            "c=x=y",
            "",
            "auth_signature=s",
            "auth_signature",
            "D=4",
            "e=%2C",
            "0=+",
        ];
        let mut seed: u64 = 2_026;
        let (mut verbatim, mut rewritten) = (0, 0);
        for _ in 0..20_000 {
            let mut raw = Vec::new();
            for _ in 0..seed >> 61 {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                raw.push(parts[(seed >> 33) as usize % parts.len()]);
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            let raw = raw.join("&");
            let Ok(query) = Query::parse(&raw) else { continue };
            let wanted: Vec<String> = pairs(&raw)
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            assert_eq!(query.signed(), wanted.join("&"), "{raw}");
            match query.verbatim {
                Some(_) => verbatim += 1,
                None => rewritten += 1,
            }
        }
        assert!(verbatim > 1_000 && rewritten > 1_000, "{verbatim} {rewritten}");
    }

    #[test]
    fn finds_values() {
        let query = Query::parse("c=3&a=1&B=2").expect("a plain query");
        assert_eq!(query.value("b"), Some("2"));
        assert_eq!(query.value("d"), None);
        assert!(
            query
                .required("d")
                .is_err_and(|message| message.contains("d is missing"))
        );
    }

    #[test]
    fn the_signature_is_not_among_what_is_signed() {
        for raw in ["a=1&auth_signature=x&b=2", "Auth_Signature=x&b=2&a=1"] {
            assert_eq!(pairs(raw), owned(&[("a", "1"), ("b", "2")]), "{raw}");
            assert_eq!(Query::parse(raw).expect(raw).signature(), Ok("x"), "{raw}");
        }
        let query = Query::parse("a=1").expect("a plain query");
        assert!(
            query
                .signature()
                .is_err_and(|message| message.contains("auth_signature is missing"))
        );
        let twice = Query::parse("auth_signature=x&a=1&AUTH_signature=y");
        assert!(twice.is_err_and(|message| message.contains("auth_signature is there twice")));
    }

    #[test]
    fn a_parameter_comes_once() {
        for raw in ["a=1&a=1", "a=1&b=2&A=3", "a&a", "%61=1&a=2"] {
            assert!(
                Query::parse(raw).is_err_and(|message| message.contains("a is there twice")),
                "{raw}"
            );
        }
    }

    #[test]
    fn a_query_has_a_bounded_number_of_parameters() {
        let query = |count: u32| {
            (0..count)
                .rev()
                .map(|number| format!("k{number}=v"))
                .collect::<Vec<_>>()
                .join("&")
        };
        assert!(Query::parse(&query(64)).is_ok());
        assert!(Query::parse(&query(65)).is_err_and(|message| message.contains("more than 64")));
    }

    #[test]
    fn refuses_what_cannot_be_decoded() {
        for raw in ["a=%", "a=%2", "a=%zz", "a=%+1", "a=%ff", "%e4=1", "a=%2ü"] {
            assert!(Query::parse(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn copies_only_what_is_encoded() {
        assert!(matches!(decode("278d425bdf160c739803"), Ok(Cow::Borrowed(_))));
    }
}
