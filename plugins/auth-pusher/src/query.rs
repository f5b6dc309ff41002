//! The query of an HTTP request as the signature sees it: decoded, keys in lower case, sorted, each key once.

use std::borrow::Cow;

/// A query's parameters.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    /// Sorted by key, and without the signature, which is not signed.
    signed: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    signature: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    /// Reads a query as it came. An error is for the caller's developer.
    pub(crate) fn parse(raw: &'a str) -> Result<Self, String> {
        let mut query = Self {
            // Room for the `auth_` parameters and a few others, so that the list does not grow by steps.
            signed: Vec::with_capacity(8),
            signature: None,
        };
        // One look at all of it: hardly any query has something to decode or to make lower-case.
        let plain = !raw.bytes().fold(false, |found, byte| found | is_changed(byte));
        let mut rest = raw;
        while !rest.is_empty() {
            let (pair, after) = cut(rest, b'&');
            if !pair.is_empty() {
                let (key, value) = cut(pair, b'=');
                match plain {
                    true => query.add(Cow::Borrowed(key), Cow::Borrowed(value))?,
                    false => query.add(lower(decode(key)?), decode(value)?)?,
                }
            }
            rest = after;
        }
        Ok(query)
    }

    /// Puts a parameter into its place.
    fn add(&mut self, key: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), String> {
        // Of two values one would be signed and the other one used.
        let twice = |key: &str| Err(format!("the parameter {key} is there twice"));
        if key == SIGNATURE {
            return match self.signature.replace(value) {
                None => Ok(()),
                Some(_) => twice(SIGNATURE),
            };
        }
        if self.signed.len() == PARAMETERS {
            return Err(format!("more than {PARAMETERS} parameters"));
        }
        // Libraries send them sorted, so that most find their place at the end.
        let place = match self.signed.last() {
            Some((last, _)) if *last >= key => self.signed.partition_point(|(known, _)| *known < key),
            _ => self.signed.len(),
        };
        if self.signed.get(place).is_some_and(|(known, _)| *known == key) {
            return twice(&key);
        }
        self.signed.insert(place, (key, value));
        Ok(())
    }

    /// The value of `key`, if it is there and signed.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        // They are few and of different lengths: looking at each is faster than halving.
        let found = self.signed.iter().find(|(candidate, _)| candidate == key);
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

    /// The signed parameters in the order of their keys.
    pub(crate) fn signed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.signed.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }
}

fn missing(key: &str) -> String {
    format!("the parameter {key} is missing")
}

/// Whether the signature sees another byte than the query has.
const fn is_changed(byte: u8) -> bool {
    matches!(byte, b'%' | b'+' | b'A'..=b'Z')
}

/// What stands before the first `mark`, which is ASCII, and what stands behind it: nothing, if there is none.
fn cut(text: &str, mark: u8) -> (&str, &str) {
    match text.bytes().position(|byte| byte == mark) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    }
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
        query
            .signed()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
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
