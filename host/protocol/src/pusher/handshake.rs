//! The query of the WebSocket upgrade, `/app/KEY?protocol=7&client=js&version=8.6.0&flash=false`.
//!
//! Only the protocol version matters to the conversation; every other key is ignored, as clients add their own.
//! Refuses versions that would need another encoding of the frames.

use crate::close::Close;

/// Whether a client with this query can be served. `query` comes without its `?`.
///
/// # Errors
/// The close that tells the client what is wrong: [`Close::ProtocolMissing`], [`Close::VersionInvalid`] or
/// [`Close::ProtocolUnsupported`] (Pusher protocol, "WebSocket connection").
pub fn check(query: &str) -> Result<(), Close> {
    let version = query
        .split('&')
        .find_map(|pair| match pair.split_once('=') {
            Some(("protocol", version)) => Some(version),
            _ => None,
        })
        .ok_or(Close::ProtocolMissing)?;
    if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Close::VersionInvalid);
    }
    match version {
        "5" | "6" | "7" => Ok(()),
        _ => Err(Close::ProtocolUnsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::close::Close;

    // Pusher protocol, "WebSocket connection" and the error codes 4006 to 4008.
    #[test]
    fn the_protocol_version_decides() {
        for (query, expected) in [
            ("protocol=7&client=js&version=8.6.0&flash=false", Ok(())),
            ("client=js&protocol=5", Ok(())),
            ("protocol=6", Ok(())),
            ("protocol=7&protocol=x", Ok(())),
            ("", Err(Close::ProtocolMissing)),
            ("client=js&version=7", Err(Close::ProtocolMissing)),
            ("protocol", Err(Close::ProtocolMissing)),
            ("xprotocol=7", Err(Close::ProtocolMissing)),
            ("protocol=", Err(Close::VersionInvalid)),
            ("protocol=seven", Err(Close::VersionInvalid)),
            ("protocol=+7", Err(Close::VersionInvalid)),
            ("protocol=7.0", Err(Close::VersionInvalid)),
            ("protocol=-1", Err(Close::VersionInvalid)),
            ("protocol=0", Err(Close::ProtocolUnsupported)),
            ("protocol=4", Err(Close::ProtocolUnsupported)),
            ("protocol=8", Err(Close::ProtocolUnsupported)),
            ("protocol=99999999999999999999", Err(Close::ProtocolUnsupported)),
        ] {
            assert_eq!(check(query), expected, "{query}");
        }
    }
}
