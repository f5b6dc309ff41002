//! Reads a configuration file and tells what is wrong with it: the file, the line, the whole key, and for a key that
//! there is not the one that was probably meant.

use std::io::Read as _;
use std::ops::Range;

use serde::de::DeserializeOwned;

/// Reads TOML.
///
/// # Errors
/// A text that begins with `FILE:LINE`.
pub(super) fn from_toml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, String> {
    let place = |span: Option<Range<usize>>| match span {
        Some(span) => format!("{file}:{}", line(text, span.start)),
        None => file.to_owned(),
    };
    let tree = toml::Deserializer::parse(text);
    let tree = tree.map_err(|error| format!("{}: {}", place(error.span()), error.message()))?;
    serde_path_to_error::deserialize(tree).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.into_inner());
        told(&place(error.span()), &path, error.message())
    })
}

/// Reads JSON with comments.
///
/// # Errors
/// As [`from_toml`].
pub(super) fn from_json<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, String> {
    // Comments become blanks, the ends of their lines included: those are put back, so that lines stay right.
    let mut plain = Vec::new();
    let mut stripped = json_comments::StripComments::new(text.as_bytes());
    let read = stripped.read_to_end(&mut plain);
    read.map_err(|error| format!("{file}: {error}"))?;
    let ends = text.bytes().zip(&mut plain).filter(|(byte, _)| *byte == b'\n');
    ends.for_each(|(end, blank)| *blank = end);
    let told = |path: &str, error: &serde_json::Error| {
        let message = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&position).unwrap_or(&message);
        let path = if error.is_data() { path } else { NOWHERE };
        told(&format!("{file}:{}", error.line()), path, message)
    };
    let mut reader = serde_json::Deserializer::from_slice(&plain);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| told(&error.path().to_string(), error.inner()))?;
    reader.end().map_err(|error| told(NOWHERE, &error))?;
    Ok(value)
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
    match missing {
        Some(key) if path == NOWHERE => format!("{place}: the key `{key}` is missing"),
        Some(key) => format!("{place}: the key `{path}.{key}` is missing"),
        None if path == NOWHERE => format!("{place}: {message}"),
        None => format!("{place}: `{path}`: {message}"),
    }
}

/// The line of a byte, from 1.
fn line(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// How a path without keys is written.
const NOWHERE: &str = ".";
