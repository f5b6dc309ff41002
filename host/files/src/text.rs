//! A plugin's words in the log.

/// A plugin's text as it may stand in a log: no control characters, no more than a line's length.
pub fn cleaned(text: &str) -> String {
    text[..text.floor_char_boundary(LINE_BYTES)]
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Bytes of a line that are kept.
pub(crate) const LINE_BYTES: usize = 2_048;
