//! An address that a request could be sent to: http or https, a host, nothing in it that belongs into a header.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use super::HttpError;

/// A parsed address. Shown as scheme, host and port: what comes after them may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Reads an address as browsers do (the URL standard), so that each spelling of a host becomes the one that is checked,
    /// and the one that is connected to.
    ///
    /// # Errors
    /// [`HttpError::Malformed`], without the text.
    pub fn parse(text: &str) -> Result<Self, HttpError> {
        let wrong = |why: &str| HttpError::Malformed(why.to_owned());
        // The standard would leave line ends and tabs out silently, wherever they are.
        if text.chars().any(char::is_control) {
            return Err(wrong("the address has control characters"));
        }
        let url = Url::parse(text).map_err(|error| wrong(&format!("the address cannot be read: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("the address must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("the address has a user name or password: use a header instead"));
        }
        Ok(Self(url))
    }

    /// Whether it has a name, whose meaning may change, instead of an IP address.
    pub fn is_name(&self) -> bool {
        self.ip().is_none()
    }

    pub(super) fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// In lower case, international names in ASCII, IPv6 in brackets, without the dot that may end a name.
    pub(super) fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        host.strip_suffix('.').unwrap_or(host)
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host().trim_matches(['[', ']']).parse().ok()
    }

    /// Without `.` and `..`, escaped or not: they are resolved.
    pub(super) fn path(&self) -> &str {
        self.0.path()
    }

    /// Whether anything follows the path.
    pub(super) fn has_more_than_path(&self) -> bool {
        self.0.query().is_some() || self.0.fragment().is_some()
    }

    pub(super) fn into_url(self) -> Url {
        self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme(), self.host(), self.port())
    }
}
