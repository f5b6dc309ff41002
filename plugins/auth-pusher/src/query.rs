//! The query of an HTTP request as the signature sees it: decoded, keys in lower case, sorted, each key once.

use std::borrow::Cow;

/// A query's parameters, sorted by key.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Reads a query as it came. An error is for the caller's developer.
    pub(crate) fn parse(raw: &'a str) -> Result<Self, String> {
        // Room for the five `auth_` parameters and a few others, so that the list does not grow by steps.
        let pairs = Vec::with_capacity(8);
        let mut query = Self { pairs };
        // Each byte is looked at once: this is the longest loop of a request's authorisation.
        let (mut begin, mut equals, mut plain) = (0, None, true);
        for (at, byte) in raw.bytes().chain([b'&']).enumerate() {
            match byte {
                b'&' => {
                    if begin < at {
                        let split = equals.unwrap_or(at);
                        query.add(&raw[begin..split], &raw[at.min(split + 1)..at], plain)?;
                    }
                    (begin, equals, plain) = (at + 1, None, true);
                }
                b'=' if equals.is_none() => equals = Some(at),
                b'%' | b'+' | b'A'..=b'Z' => plain = false,
                _ => {}
            }
        }
        Ok(query)
    }

    /// Puts a parameter into its place. `plain`: there is nothing in it to decode or to make lower-case.
    fn add(&mut self, key: &'a str, value: &'a str, plain: bool) -> Result<(), String> {
        if self.pairs.len() == PARAMETERS {
            return Err(format!("more than {PARAMETERS} parameters"));
        }
        let (key, value) = match plain {
            true => (Cow::Borrowed(key), Cow::Borrowed(value)),
            false => (lower(decode(key)?), decode(value)?),
        };
        // Libraries send them sorted but for one, so that most find their place at the end.
        let place = match self.pairs.last() {
            Some((last, _)) if *last >= key => self.pairs.partition_point(|(known, _)| *known < key),
            _ => self.pairs.len(),
        };
        // Of two values one would be signed and the other one used.
        if self.pairs.get(place).is_some_and(|(known, _)| *known == key) {
            return Err(format!("the parameter {key} is there twice"));
        }
        self.pairs.insert(place, (key, value));
        Ok(())
    }

    /// The value of `key`, if there is one.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let found = self
            .pairs
            .binary_search_by(|(candidate, _)| candidate.as_ref().cmp(key));
        found.ok().map(|index| self.pairs[index].1.as_ref())
    }

    /// The value of a parameter that has to be there.
    pub(crate) fn required(&self, key: &str) -> Result<&str, String> {
        self.value(key).ok_or_else(|| format!("the parameter {key} is missing"))
    }

    /// All parameters in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{Query, decode};

    fn pairs(raw: &str) -> Vec<(String, String)> {
        let query = Query::parse(raw).expect(raw);
        query
            .iter()
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
