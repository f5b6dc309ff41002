//! Where requests may go: the places on a list, or anywhere; and whether that includes addresses that are not public.

use super::public::is_public;
use super::{Address, HttpError};

/// Where requests may go.
#[derive(Clone, Debug)]
pub struct Places {
    /// None: anywhere.
    allow: Option<Vec<Place>>,
    private: bool,
}

/// What a request's address must begin with, scheme, host and port exactly.
#[derive(Clone, Debug)]
struct Place {
    address: Address,
    /// Segments that the path must begin with.
    path: Vec<String>,
}

impl Places {
    /// The places in `allow`: scheme, host, perhaps a port and a path, such as `https://auth.example.org` or
    /// `http://10.0.0.5:8080/hooks`. A path allows itself and what is below it, by whole segments. `private` also allows
    /// addresses that are not public; it adds none to the list.
    ///
    /// # Errors
    /// A text that names the entry and what is accepted.
    pub fn parse(allow: &[String], private: bool) -> Result<Self, String> {
        let allow = allow
            .iter()
            .map(|entry| Place::parse(entry))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            allow: Some(allow),
            private,
        })
    }

    /// Any http or https address; those that are not public only if `private`.
    pub fn anywhere(private: bool) -> Self {
        Self { allow: None, private }
    }

    pub(super) fn private(&self) -> bool {
        self.private
    }

    /// Whether a request may be sent, as far as its address tells: what a name means is looked at when it is resolved.
    ///
    /// # Errors
    /// [`HttpError::Denied`], which names the place.
    pub(super) fn check(&self, address: &Address) -> Result<(), HttpError> {
        if let Some(allow) = &self.allow
            && !allow.iter().any(|place| place.covers(address))
        {
            return Err(HttpError::Denied(format!(
                "{address} with this path is not among the places that are allowed"
            )));
        }
        match address.ip() {
            Some(ip) if !self.private && !is_public(ip) => {
                Err(HttpError::Denied(format!("{address} is not a public address")))
            }
            _ => Ok(()),
        }
    }
}

impl Place {
    fn parse(entry: &str) -> Result<Self, String> {
        let wrong = |shown: &str, why: &str| {
            format!(
                "`{shown}`: {why}; a place is http:// or https://, a host, perhaps a port and a path, \
                 such as https://auth.example.org/hooks"
            )
        };
        let address = Address::parse(entry).map_err(|error| {
            // There may be a password in it.
            let shown = if entry.contains('@') { "an entry with @" } else { entry };
            wrong(shown, &error.to_string())
        })?;
        let wrong = |why: &str| wrong(entry, why);
        if address.has_more_than_path() {
            return Err(wrong("it has a query or fragment"));
        }
        if address.host().contains('*') || address.path().contains('*') {
            return Err(wrong("it has a `*`, which stands for nothing here"));
        }
        if !is_plain(address.path()) {
            return Err(wrong("it has a path that servers read in different ways"));
        }
        let path = match address.path().strip_prefix('/').unwrap_or_default() {
            "" => Vec::new(),
            path => path
                .strip_suffix('/')
                .unwrap_or(path)
                .split('/')
                .map(str::to_owned)
                .collect(),
        };
        Ok(Self { address, path })
    }

    fn covers(&self, address: &Address) -> bool {
        let mut segments = address.path().split('/').skip(1);
        self.address.scheme() == address.scheme()
            && self.address.host() == address.host()
            && self.address.port() == address.port()
            && (self.path.is_empty() || is_plain(address.path()))
            && self.path.iter().all(|wanted| segments.next() == Some(wanted))
    }
}

/// Whether every server finds the same segments in a path. Some unescape slashes, or twice, before they resolve `..`; some
/// leave out what follows a semicolon.
fn is_plain(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let ambiguous = ["%2f", "%5c", "%25"].iter().any(|escape| path.contains(escape));
    let unescaped = path.replace("%2e", ".").replace("%3b", ";");
    let climbs = unescaped
        .split('/')
        .any(|segment| matches!(segment.split(';').next(), Some("." | "..")));
    !ambiguous && !climbs
}
