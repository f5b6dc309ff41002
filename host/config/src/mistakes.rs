//! Reads a configuration file and tells what is wrong with it: the file, the line, the whole key, and for a key that
//! there is not the one that was probably meant. A mistake that shows only later is told in the same way.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use serde::Deserializer;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::Track;

/// The configuration file: what it holds, and where in it something is.
pub(super) struct Source {
    file: String,
    text: String,
    language: Language,
}

enum Language {
    Toml,
    /// With comments.
    Json,
}

/// A mistake that only shows when the whole is read: one value does not fit the others, or to what it is used for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Where it is, from the outside in.
    path: Vec<Step>,
    what: String,
}

/// One step from a value to one that it holds.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

impl Source {
    /// Takes a file; its ending says which language it is in.
    ///
    /// # Errors
    /// A text with the file.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
        let language = match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => Language::Toml,
            Some("json" | "jsonc") => Language::Json,
            _ => return Err(format!("{file}: the file must end in .toml, .json or .jsonc")),
        };
        Ok(Self { file, text, language })
    }

    /// Reads what `seed` says.
    ///
    /// # Errors
    /// A text that begins with `FILE:LINE` and names the key.
    pub(super) fn read<'de, S: DeserializeSeed<'de>>(&'de self, seed: S) -> Result<S::Value, String> {
        let found = match self.language {
            Language::Toml => self.read_toml(seed),
            Language::Json => self.read_json(seed),
        };
        found.map_err(|Found { line, path, message }| told(&self.place(line), &path, &message))
    }

    /// Words a mistake like one that was found while reading: reads the file once more, up to the place.
    pub(super) fn tell(&self, mistake: &Mistake) -> String {
        let seek = Seek(&mistake.path);
        let found = match self.language {
            Language::Toml => self.read_toml(seek),
            Language::Json => self.read_json(seek),
        };
        let line = found.err().and_then(|found| found.line);
        format!("{}: {mistake}", self.place(line))
    }

    fn place(&self, line: Option<usize>) -> String {
        match line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.clone(),
        }
    }

    fn read_toml<'de, S: DeserializeSeed<'de>>(&'de self, seed: S) -> Result<S::Value, Found> {
        let found = |path: String, error: &toml::de::Error| Found {
            line: error.span().map(|span| line(&self.text, span.start)),
            path,
            message: error.message().to_owned(),
        };
        let tree = toml::Deserializer::parse(&self.text).map_err(|error| found(NOWHERE.to_owned(), &error))?;
        tracked(tree, seed).map_err(|(path, error)| found(path, &error))
    }

    fn read_json<'de, S: DeserializeSeed<'de>>(&'de self, seed: S) -> Result<S::Value, Found> {
        // Comments become blanks, the ends of their lines included: those are put back, so that lines stay right.
        let mut plain = Vec::new();
        let mut stripped = json_comments::StripComments::new(self.text.as_bytes());
        stripped.read_to_end(&mut plain).map_err(|error| Found {
            line: None,
            path: NOWHERE.to_owned(),
            message: error.to_string(),
        })?;
        let ends = self.text.bytes().zip(&mut plain).filter(|(byte, _)| *byte == b'\n');
        ends.for_each(|(end, blank)| *blank = end);
        let found = |path: String, error: &serde_json::Error| {
            let message = error.to_string();
            let position = format!(" at line {} column {}", error.line(), error.column());
            Found {
                line: Some(error.line()),
                path: if error.is_data() { path } else { NOWHERE.to_owned() },
                message: message.strip_suffix(&position).unwrap_or(&message).to_owned(),
            }
        };
        // From a reader, because what is read is not borrowed from the text without comments.
        let mut reader = serde_json::Deserializer::from_reader(plain.as_slice());
        let value = tracked(&mut reader, seed).map_err(|(path, error)| found(path, &error))?;
        reader.end().map_err(|error| found(NOWHERE.to_owned(), &error))?;
        Ok(value)
    }
}

impl Mistake {
    /// A mistake in the value at hand.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            what: what.into(),
        }
    }

    /// The value at hand is what this key holds.
    pub(super) fn at(mut self, key: &str) -> Self {
        self.path.insert(0, Step::Key(key.to_owned()));
        self
    }

    /// The value at hand is this item of the list that this key holds.
    pub(super) fn in_item(mut self, key: &str, index: usize) -> Self {
        self.path.insert(0, Step::Item(index));
        self.at(key)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for (index, step) in self.path.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        write!(f, "`: {}", self.what)
    }
}

/// Goes along a path and fails at its end, with an error that knows its line.
struct Seek<'a>(&'a [Step]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A text, a number and whatever else holds no other value is refused by default.
impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing: this is the place")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.0.split_first() else {
            return Err(de::Error::custom("this is the place"));
        };
        while let Some(key) = map.next_key::<String>()? {
            if key == *wanted {
                map.next_value_seed(Seek(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((Step::Item(wanted), rest)) = self.0.split_first() else {
            return Err(de::Error::custom("this is the place"));
        };
        for _ in 0..*wanted {
            list.next_element::<IgnoredAny>()?;
        }
        list.next_element_seed(Seek(rest)).map(drop)
    }
}

/// What a reader says of a mistake.
struct Found {
    line: Option<usize>,
    path: String,
    message: String,
}

/// Reads, and knows the path of an error.
fn tracked<'de, D: Deserializer<'de>, S: DeserializeSeed<'de>>(
    reader: D,
    seed: S,
) -> Result<S::Value, (String, D::Error)> {
    let mut track = Track::new();
    let value = seed.deserialize(serde_path_to_error::Deserializer::new(reader, &mut track));
    value.map_err(|error| (track.path().to_string(), error))
}

/// The word among `known` that was probably meant: one or two letters away, and fewer in a short word.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known
        .into_iter()
        .map(|known| (strsim::osa_distance(word, known), known));
    let far = (word.chars().count() / 3).clamp(1, 2);
    distances
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map(|(_, known)| known)
}

/// Serde's words in ours.
fn told(place: &str, path: &str, message: &str) -> String {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        // "KEY`, expected one of `A`, `B`": every second part is a name.
        let mut names = rest.split('`').step_by(2);
        let unknown = names.next().unwrap_or_default();
        let known: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        let hint = match nearest(unknown, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("accepted are `{}`", known.join("`, `")),
        };
        return format!("{place}: unknown key `{path}`; {hint}");
    }
    let missing = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'));
    let message = if is_secret(path) {
        without_value(message)
    } else {
        message.to_owned()
    };
    match missing {
        Some(key) if path == NOWHERE => format!("{place}: the key `{key}` is missing"),
        Some(key) => format!("{place}: the key `{path}.{key}` is missing"),
        None if path == NOWHERE => format!("{place}: {message}"),
        None => format!("{place}: `{path}`: {message}"),
    }
}

/// Whether what this key holds is nobody's business.
fn is_secret(path: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or_default();
    path.contains(".headers.") || SECRETS.iter().any(|secret| key.contains(secret))
}

/// "invalid type: integer `123`, expected a string" without the number. Our own words show no value.
fn without_value(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let kind = found.split(['`', '"']).next().unwrap_or_default().trim_end();
    format!("{kind}, expected {expected}")
}

/// The line of a byte, from 1.
fn line(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// What the keys of secrets are called.
const SECRETS: [&str; 5] = ["secret", "token", "key", "password", "seed"];

/// How a path without keys is written.
const NOWHERE: &str = ".";
