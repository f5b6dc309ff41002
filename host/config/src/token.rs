//! Secrets of the operators.

use std::fmt;

use jackfield_protocol::signature::sha256_hex;
use serde::{Deserialize, Serialize, Serializer};
use subtle::ConstantTimeEq as _;

/// A secret text. It is in no log, and to be compared with others it is written as its digest.
#[derive(Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Token(#[serde(serialize_with = "hidden")] String);

impl Token {
    /// Whether this is it. Takes equally long whatever is shown.
    pub fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }

    /// For what is made with it.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl TryFrom<String> for Token {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() < SHORTEST {
            return Err(format!("this must have at least {SHORTEST} characters"));
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([secret])")
    }
}

/// Tells whether a secret is another one, and no more than that.
pub(super) fn hidden<S: Serializer>(secret: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&sha256_hex(secret.as_bytes()))
}

/// What nobody guesses.
const SHORTEST: usize = 16;
