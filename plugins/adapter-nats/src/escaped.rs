//! Topics as subjects of NATS.
//!
//! The rule: `PREFIX` and the topic, with every byte that NATS gives a meaning (blank, `.`, `*`, `>`), every control character, every byte
//! that is not ASCII and `%` itself written as `%` and two hexadecimal digits.

use jackfield_sdk::linked::Subjects;

/// With this prefix.
#[derive(Debug)]
pub struct Escaped(pub String);

impl Subjects for Escaped {
    fn subject(&self, topic: &str) -> String {
        let mut subject = String::with_capacity(self.0.len() + topic.len());
        subject.push_str(&self.0);
        for byte in topic.bytes() {
            if byte.is_ascii_graphic() && !matches!(byte, b'.' | b'*' | b'>' | b'%') {
                subject.push(char::from(byte));
            } else {
                subject.push('%');
                subject.push(digit(byte >> 4));
                subject.push(digit(byte & 15));
            }
        }
        subject
    }

    fn topic(&self, subject: &str) -> Option<String> {
        let mut topic = Vec::with_capacity(subject.len());
        let mut bytes = subject.strip_prefix(&self.0)?.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b'%' {
                let (high, low) = (value(bytes.next()?)?, value(bytes.next()?)?);
                topic.push(high << 4 | low);
            } else {
                topic.push(byte);
            }
        }
        String::from_utf8(topic).ok()
    }
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16)
        .unwrap_or('0')
        .to_ascii_uppercase()
}

fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| value.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_comes_back() {
        let names = Escaped("p:".to_owned());
        for (topic, subject) in [
            ("1001/room", "p:1001/room"),
            ("/node/00ff", "p:/node/00ff"),
            ("1001/.a..b.", "p:1001/%2Ea%2E%2Eb%2E"),
            ("1001/#server-to-user-a b*>%", "p:1001/#server-to-user-a%20b%2A%3E%25"),
            ("1001/#server-to-user-\u{e9}\n", "p:1001/#server-to-user-%C3%A9%0A"),
        ] {
            assert_eq!(names.subject(topic), subject);
            assert_eq!(names.topic(subject).as_deref(), Some(topic));
        }
    }

    #[test]
    fn what_is_not_ours_is_no_topic() {
        let names = Escaped("p:".to_owned());
        for subject in ["q:1001/room", "p:%", "p:%4", "p:%zz", "p:%FF"] {
            assert_eq!(names.topic(subject), None);
        }
    }
}
