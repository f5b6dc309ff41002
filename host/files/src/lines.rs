//! What a guest prints, gathered into lines of the log.

use crate::text::LINE_BYTES;

/// What a guest has printed on one stream since its last line ended.
#[derive(Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Takes more bytes, and hands every line that they end to `write`, without its end. A line that does not end is cut:
    /// a guest may print for ever.
    pub fn take(&mut self, bytes: &[u8], mut write: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece {
                [text @ .., b'\n'] => (text, true),
                text => (text, false),
            };
            let mut rest = text;
            while self.0.len() + rest.len() > LINE_BYTES {
                let (fits, beyond) = rest.split_at(LINE_BYTES - self.0.len());
                self.0.extend_from_slice(fits);
                self.end(&mut write);
                rest = beyond;
            }
            self.0.extend_from_slice(rest);
            if ends {
                self.end(&mut write);
            }
        }
    }

    fn end(&mut self, write: &mut impl FnMut(&str)) {
        write(&String::from_utf8_lossy(&self.0));
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&str]) -> Vec<String> {
        let (mut lines, mut written) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.take(piece.as_bytes(), |line| written.push(line.to_owned()));
        }
        written
    }

    #[test]
    fn a_line_is_written_when_it_ends() {
        assert_eq!(lines(&["on", "e\ntwo\n\nthr"]), ["one", "two", ""]);
        assert_eq!(lines(&["", "\n"]), [""]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let long = "x".repeat(LINE_BYTES + 10);
        assert_eq!(lines(&[&long]), ["x".repeat(LINE_BYTES)]);
        assert_eq!(
            lines(&[&long, "y\n"]),
            ["x".repeat(LINE_BYTES), "xxxxxxxxxxy".to_owned()]
        );
        let whole = "x".repeat(LINE_BYTES);
        assert_eq!(lines(&[&whole, "\n"]), [whole]);
        assert_eq!(lines(&["x"; 3 * LINE_BYTES]).len(), 2);
    }

    #[test]
    fn what_is_no_text_is_shown_as_such() {
        let (mut lines, mut written) = (Lines::default(), Vec::new());
        lines.take(b"a\xffb\n", |line| written.push(line.to_owned()));
        assert_eq!(written, ["a\u{fffd}b"]);
    }
}
