//! Secrets in the configuration of an adapter: the guest gets marks in their place, and the host puts the real ones back when
//! the guest opens a link with them.
//!
//! What is a secret is told by its place: the value of a key that speaks of a password or a token, and the password in a URL.

use serde_json::Value;

/// The secrets of one configuration.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// The configuration as the guest gets it, and what was taken out of it. What is no JSON stays as it is.
    pub fn hide(config: &str) -> (String, Self) {
        let mut secrets = Self::default();
        let Ok(mut value) = serde_json::from_str::<Value>(config) else {
            return (config.to_owned(), secrets);
        };
        secrets.walk(&mut value, false);
        (value.to_string(), secrets)
    }

    /// Options as the link gets them.
    pub fn reveal(&self, options: &str) -> String {
        let Ok(mut value) = serde_json::from_str::<Value>(options) else {
            return options.to_owned();
        };
        self.fill_in(&mut value);
        value.to_string()
    }

    fn walk(&mut self, value: &mut Value, secret: bool) {
        match value {
            Value::String(text) if text.is_empty() => {}
            Value::String(text) if secret => *text = self.keep(text),
            Value::String(text) => {
                if let Some((start, end)) = password_in(text) {
                    let mark = self.keep(&text[start..end]);
                    text.replace_range(start..end, &mark);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.walk(value, secret)),
            Value::Object(entries) => {
                for (key, value) in entries {
                    let speaks = key.to_ascii_lowercase();
                    let secret = secret || SECRET_WORDS.iter().any(|word| speaks.contains(word));
                    self.walk(value, secret);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn keep(&mut self, secret: &str) -> String {
        self.0.push(secret.to_owned());
        mark(self.0.len() - 1)
    }

    fn fill_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                // From the last one down: the mark of 1 is the beginning of the mark of 10.
                for (number, secret) in self.0.iter().enumerate().rev() {
                    if text.contains(&mark(number)) {
                        *text = text.replace(&mark(number), secret);
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.fill_in(value)),
            Value::Object(entries) => entries.iter_mut().for_each(|(_, value)| self.fill_in(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Legal in a URL as it stands.
fn mark(number: usize) -> String {
    format!("jackfield-secret-{number}")
}

/// Where the password stands in `scheme://user:password@host`; without a colon, all that stands before the `@` is one (NATS).
fn password_in(text: &str) -> Option<(usize, usize)> {
    let start = text.find("://")? + 3;
    let authority = text[start..].find('/').map_or(text.len(), |slash| start + slash);
    let end = start + text[start..authority].rfind('@')?;
    let password = text[start..end].find(':').map_or(start, |colon| start + colon + 1);
    (password < end).then_some((password, end))
}

/// What keys of secrets speak of.
const SECRET_WORDS: [&str; 4] = ["password", "token", "secret", "passphrase"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_sees_no_secret_and_the_link_all() {
        let config = r#"{"url":"redis://ann:p%40ss@host:1/0","nodes":["redis://:two@h","redis://h"],
            "password":"three","sub":{"token":"four","prefix":"a:b@c"},"servers":["nats://five@h"],"empty_password":""}"#;
        let (hidden, secrets) = Secrets::hide(config);
        for secret in ["p%40ss", "two", "three", "four", "five"] {
            assert!(!hidden.contains(secret), "{hidden}");
        }
        assert!(
            hidden.contains("redis://ann:jackfield-secret-") && hidden.contains("a:b@c"),
            "{hidden}"
        );
        let (revealed, whole) = (secrets.reveal(&hidden), serde_json::from_str::<Value>(config));
        assert_eq!(serde_json::from_str::<Value>(&revealed).ok(), whole.ok());
    }

    #[test]
    fn more_than_ten_secrets_are_told_apart() {
        let words: Vec<String> = (0..12).map(|number| format!("s{number}x")).collect();
        let config = serde_json::json!({ "passwords": words }).to_string();
        let (hidden, secrets) = Secrets::hide(&config);
        assert_eq!(secrets.reveal(&hidden), config);
    }
}
