//! A Rust file as far as the rules need it: no parser, only words, braces and lines.
//!
//! Comments become blanks and literals become quotation marks, each of the same length, so that offsets and lines of
//! the masked text are those of the file and a brace or a keyword in it is a real one.

use std::ops::Range;

/// One Rust file. `masked` has as many bytes as `text`.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) masked: String,
}

/// Something with a name and a body in braces. `whole` reaches from its keyword to the closing brace.
pub(super) struct Item<'a> {
    pub(super) name: &'a str,
    pub(super) whole: Range<usize>,
}

impl Source {
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            path: path.into(),
            masked: mask(&text),
            text,
        }
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// Names that follow `keyword`, with the keyword's offset.
    pub(super) fn named(&self, keyword: &str) -> Vec<(usize, &str)> {
        let words: Vec<(usize, &str)> = words(&self.masked).collect();
        let adjacent = |pair: &[(usize, &str)]| self.masked[pair[0].0 + pair[0].1.len()..pair[1].0].trim().is_empty();
        let pairs = words.windows(2).filter(|pair| pair[0].1 == keyword && adjacent(pair));
        pairs.map(|pair| (pair[0].0, pair[1].1)).collect()
    }

    /// Items with a body that `keyword` introduces.
    pub(super) fn items(&self, keyword: &str) -> Vec<Item<'_>> {
        let bodies = self.named(keyword).into_iter().filter_map(|(start, name)| {
            let end = body_end(&self.masked[start..])?;
            Some(Item {
                name,
                whole: start..start + end,
            })
        });
        bodies.collect()
    }

    /// The masked text with modules under `#[cfg(test)]` blanked out; a file of tests is all blank.
    pub(super) fn without_tests(&self) -> String {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.starts_with("tests/") {
            return blank(&self.masked, ' ');
        }
        let mut left = self.masked.clone();
        for module in self.items("mod") {
            if self.masked[..module.whole.start].trim_end().ends_with("#[cfg(test)]") {
                left.replace_range(module.whole.clone(), &blank(&self.masked[module.whole], ' '));
            }
        }
        left
    }
}

/// Lines of masked text that hold more than blanks.
pub(super) fn code_lines(masked: &str) -> usize {
    masked.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Identifiers and numbers, with their offsets.
pub(super) fn words(masked: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts = masked.char_indices().scan(' ', |previous, (offset, letter)| {
        let starts = in_word(letter) && !in_word(*previous);
        *previous = letter;
        Some(starts.then_some(offset))
    });
    starts
        .flatten()
        .map(|offset| (offset, &masked[offset..offset + word_length(&masked[offset..])]))
}

/// The end of the first body in braces; none if a semicolon comes before it.
fn body_end(masked: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (offset, letter) in masked.char_indices() {
        match letter {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            '{' => braces += 1,
            '}' if braces <= 1 => return Some(offset + 1),
            '}' => braces -= 1,
            ';' if braces == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (length, filler) = token(rest);
        let (this, after) = rest.split_at(length);
        match filler {
            Some(filler) => masked.push_str(&blank(this, filler)),
            None => masked.push_str(this),
        }
        rest = after;
    }
    masked
}

/// `text` with every byte but line ends replaced.
fn blank(text: &str, filler: char) -> String {
    text.bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { filler })
        .collect()
}

/// The length of the first token, and what masks it if it is a comment or a literal.
fn token(rest: &str) -> (usize, Option<char>) {
    let first = rest.chars().next().map_or(0, char::len_utf8);
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Some(' '));
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), Some(' '));
    }
    if let Some(length) = string(rest).or_else(|| character(rest)) {
        return (length, Some('"'));
    }
    (word_length(rest).max(first), None)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let step = match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (1, 2),
            [b'*', b'/', ..] => (-1, 2),
            _ => (0, 1),
        };
        depth += step.0;
        at += step.1;
        if depth == 0 {
            break;
        }
    }
    at
}

/// `"…"`, `b"…"`, `r#"…"#` and the like.
fn string(rest: &str) -> Option<usize> {
    let prefix = word_length(rest);
    if !["", "b", "c", "r", "br", "cr"].contains(&&rest[..prefix]) {
        return None;
    }
    let raw = rest[..prefix].ends_with('r');
    let hashes = if raw {
        rest[prefix..].bytes().take_while(|byte| *byte == b'#').count()
    } else {
        0
    };
    let inside = rest[prefix + hashes..].strip_prefix('"')?;
    let before = rest.len() - inside.len();
    if raw {
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(inside.find(&close).map_or(rest.len(), |end| before + end + close.len()));
    }
    Some(before + until(inside, b'"'))
}

/// `'x'`, `'\n'` or `b'x'`, but no lifetime.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix("b'").or_else(|| rest.strip_prefix('\''))?;
    let before = rest.len() - inside.len();
    let first = inside.chars().next()?;
    let closed = inside[first.len_utf8()..].starts_with('\'');
    (first == '\\' || closed).then(|| before + until(inside, b'\''))
}

/// The length up to and including an unescaped `close`.
fn until(inside: &str, close: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in inside.bytes().enumerate() {
        if !escaped && byte == close {
            return at + 1;
        }
        escaped = byte == b'\\' && !escaped;
    }
    inside.len()
}

fn word_length(rest: &str) -> usize {
    rest.find(|letter| !in_word(letter)).unwrap_or(rest.len())
}

fn in_word(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_become_blanks_and_literals_quotation_marks() {
        let cases = [
            ("a // {\nb", "a     \nb"),
            ("a /* { /* } */ { */ b", "a                   b"),
            (r#"f("{ \" }")"#, r#"f("""""""")"#),
            ("r#\"a\"{\"# b", "\"\"\"\"\"\"\"\" b"),
            (
                "let x: &'a str = y('{', '\\'');",
                "let x: &'a str = y(\"\"\", \"\"\"\");",
            ),
            ("b\"{\" b'{' r#type \u{e4}", "\"\"\"\" \"\"\"\" r#type \u{e4}"),
            ("\"one\n\n two\"", "\"\"\"\"\n\n\"\"\"\"\""),
        ];
        for (text, masked) in cases {
            assert_eq!(mask(text), masked, "{text}");
            assert_eq!(mask(text).len(), text.len(), "{text}");
        }
    }

    #[test]
    fn functions_are_found_with_their_bodies() {
        let text = "fn a(x: [u8; 2]) -> fn(u8) {\n  if x { \"}\" }\n}\ntrait T { fn b(); }\nfn c() {}\n";
        let source = Source::new("x.rs", text);
        let found: Vec<_> = source
            .items("fn")
            .into_iter()
            .map(|item| (item.name, source.line(item.whole.end)))
            .collect();
        assert_eq!(found, [("a", 3), ("c", 5)]);
    }

    #[test]
    fn blank_lines_and_comments_are_no_code() {
        let source = Source::new(
            "x.rs",
            "//! Header.\n\n/* a\n b */\nfn a() {\n    // why\n    b(); // what\n}\n",
        );
        assert_eq!(code_lines(&source.masked), 3);
    }

    #[test]
    fn test_modules_can_be_left_out() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nmod c {\n}\n";
        assert_eq!(code_lines(&Source::new("host/x.rs", text).without_tests()), 4);
        assert_eq!(code_lines(&Source::new("host/x/tests.rs", text).without_tests()), 0);
    }
}
