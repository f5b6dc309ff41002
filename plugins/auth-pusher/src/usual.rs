//! The query that nearly every server sends: in the order in which most of Pusher's libraries write it, nothing encoded and
//! nothing else in it. It is read without a list of parameters, which is most of what a request costs here.

use std::borrow::Cow;

use crate::request::Claimed;

/// What a query says, if it is of that kind and for the app with this key. `Query` reads all others, and reads this one alike.
pub(crate) fn read<'a>(query: &'a str, key: &str) -> Option<Claimed<'a>> {
    let rest = query.strip_prefix("auth_key=")?.strip_prefix(key)?;
    let (timestamp, rest) = digits::<10>(rest.strip_prefix("&auth_timestamp=")?)?;
    let rest = rest.strip_prefix("&auth_version=1.0")?;
    let (digest, rest) = match rest.strip_prefix("&body_md5=") {
        Some(rest) => digits::<32>(rest).map(|(digest, rest)| (Some(digest), rest))?,
        None => (None, rest),
    };
    let (signature, after) = digits::<64>(rest.strip_prefix("&auth_signature=")?)?;
    after.is_empty().then(|| Claimed {
        timestamp,
        digest,
        signature,
        signed: Cow::Borrowed(&query[..query.len() - rest.len()]),
    })
}

/// The first so many bytes and what is behind them, if they are lower-case hexadecimal digits: no parameter can hide in them, and
/// nothing that is encoded. Looks at all of them, sixteen at a time, which takes less time than stopping at one that is none.
fn digits<const COUNT: usize>(text: &str) -> Option<(&str, &str)> {
    let first: &[u8; COUNT] = text.as_bytes().first_chunk()?;
    let is_other = |byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let bears_other = first.iter().fold(false, |found, byte| found | is_other(*byte));
    (!bears_other).then(|| text.split_at(COUNT))
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::query::Query;
    use crate::request::claimed;

    const KEY: &str = "278d425bdf160c739803";
    const PARAMETERS: [&str; 5] = [
        "auth_key=278d425bdf160c739803",
        "auth_timestamp=1353088179",
        "auth_version=1.0",
        "body_md5=ec365a775a4cd0599faeb73354201b6f",
        "auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
    ];

    /// Numbers that are the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % most
        }
    }

    /// The usual query with a few changes: parameters away, twice, elsewhere or in addition, and bytes that are others.
    fn changed(dice: &mut Dice) -> String {
        let mut parameters = PARAMETERS.to_vec();
        for _ in 0..dice.below(3) {
            let (one, other) = (dice.below(parameters.len()), dice.below(parameters.len()));
            match dice.below(4) {
                0 if parameters.len() > 1 => drop(parameters.remove(one)),
                1 => parameters.insert(other, parameters[one]),
                2 => parameters.swap(one, other),
                _ => parameters.insert(one, ["info=user_count", "b=", "a", "", "Z=%2C"][dice.below(5)]),
            }
        }
        let mut bytes = parameters.join("&").into_bytes();
        for _ in 0..dice.below(3) {
            let at = dice.below(bytes.len());
            bytes[at] = b"0123456789abcdefxyzAZ&=%+_."[dice.below(27)];
        }
        String::from_utf8(bytes).expect("all of it is ASCII")
    }

    #[test]
    fn what_is_read_at_a_glance_is_what_the_list_of_parameters_says() {
        let mut dice = Dice(2_026);
        let (mut usual, mut refused) = (0, 0);
        for _ in 0..200_000 {
            let raw = changed(&mut dice);
            let query = Query::parse(&raw);
            let wanted = query
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|query| claimed(query, KEY));
            match read(&raw, KEY) {
                Some(claimed) => {
                    assert_eq!(Ok(claimed), wanted, "{raw}");
                    usual += 1;
                }
                None => refused += usize::from(wanted.is_err()),
            }
        }
        assert!(usual > 20_000 && refused > 20_000, "{usual} {refused}");
    }

    #[test]
    fn the_usual_query_is_read_with_a_digest_and_without() {
        assert!(read(&PARAMETERS.join("&"), KEY).is_some_and(|claimed| claimed.digest.is_some()));
        let bare: Vec<_> = PARAMETERS
            .into_iter()
            .filter(|pair| !pair.starts_with("body"))
            .collect();
        assert!(read(&bare.join("&"), KEY).is_some_and(|claimed| claimed.digest.is_none()));
        assert_eq!(read(&PARAMETERS.join("&"), "other-key"), None);
    }
}
