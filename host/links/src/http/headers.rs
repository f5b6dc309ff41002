//! Headers on their way out and in: a caller sets what is said, the host what is about the connection.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::HttpError;

/// Whether a request could have these headers.
///
/// # Errors
/// As [`super::HttpClient::send`] would give them.
pub fn check_headers(headers: &[(String, String)]) -> Result<(), HttpError> {
    checked(headers).map(drop)
}

/// The headers as they will be sent.
///
/// # Errors
/// [`HttpError::Malformed`] with the name of the first that cannot be; never with its value.
pub(super) fn checked(headers: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    if headers.len() > MAX_HEADERS {
        return Err(HttpError::TooLarge);
    }
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let wrong = |why: &str| HttpError::Malformed(format!("the header `{}` {why}", name.escape_default()));
        let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("has a name that is none"))?;
        if OURS.contains(&known.as_str()) {
            return Err(wrong("is about the connection and set by the host"));
        }
        let value = HeaderValue::from_str(value).map_err(|_| wrong("has a value that cannot be sent"))?;
        map.append(known, value);
    }
    Ok(map)
}

/// The headers of an answer.
pub(super) fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

/// Those that say whom the request is for, how long it is and what becomes of the connection (RFC 9110, 7.6.1). A second
/// opinion on any of them is how requests are smuggled.
const OURS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of one request, as many as common servers take.
const MAX_HEADERS: usize = 100;
