//! Where a server is, and who we are there.

use std::fmt::{Display, Formatter};

use percent_encoding::percent_decode_str;
use url::Url;

use super::options::Secret;

/// A server. Two are the same place if host, port and TLS are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) login: Login,
}

/// Who we are there. An empty text is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: Secret,
}

/// The two schemes of a kind of server, without and with TLS, and its usual port.
pub(super) struct Schemes {
    pub(super) plain: &'static str,
    pub(super) tls: &'static str,
    pub(super) port: u16,
}

pub(super) const REDIS: Schemes = Schemes {
    plain: "redis",
    tls: "rediss",
    port: 6379,
};
pub(super) const SENTINEL: Schemes = Schemes { port: 26379, ..REDIS };
pub(super) const NATS: Schemes = Schemes {
    plain: "nats",
    tls: "tls",
    port: 4222,
};

impl Place {
    /// Reads a URL, or a bare `host:port`. What the URL says of a user goes before `login`. A path (Redis: the number
    /// of a database) means nothing to Pub/Sub and is passed over.
    ///
    /// # Errors
    /// Never shows the URL itself: a password may stand in it.
    pub(super) fn parse(text: &str, schemes: &Schemes, login: &Login) -> Result<Self, String> {
        let Schemes { plain, tls, port } = schemes;
        let wrong = || format!("not a URL of the form {plain}://host:port or {tls}://host:port");
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("{plain}://{text}")
        };
        let url = Url::parse(&whole).map_err(|error| format!("{}: {error}", wrong()))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        if url.scheme() != *plain && url.scheme() != *tls {
            return Err(wrong());
        }
        let own = Login {
            username: decoded(url.username()),
            password: Secret::new(decoded(url.password().unwrap_or_default())),
        };
        let named = !own.username.is_empty() || !own.password.is_empty();
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(*port),
            tls: url.scheme() == *tls,
            login: if named { own } else { login.clone() },
        })
    }

    /// Another server of the same kind, where we are the same.
    pub(super) fn beside(&self, host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            ..self.clone()
        }
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        (&self.host, self.port, self.tls) == (&other.host, other.port, other.tls)
    }
}

/// Host and port alone.
impl Display for Place {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Place, String> {
        Place::parse(text, &REDIS, &Login::default())
    }

    #[test]
    fn urls_name_host_port_user_and_tls() {
        let place = parse("rediss://me:p%40ss@cache.example:6380/0").unwrap();
        assert_eq!(
            (place.host.as_str(), place.port, place.tls),
            ("cache.example", 6380, true)
        );
        assert_eq!(
            (place.login.username.as_str(), place.login.password.expose()),
            ("me", "p@ss")
        );
        assert_eq!(parse("redis://:only@h").unwrap().login.password.expose(), "only");
        assert_eq!(parse("h:1").unwrap().to_string(), "h:1");
        assert_eq!(parse("redis://[::1]").unwrap().to_string(), "[::1]:6379");
    }

    #[test]
    fn what_stands_beside_the_url_counts_when_the_url_names_nobody() {
        let login = Login {
            username: "me".to_owned(),
            password: Secret::new("p".to_owned()),
        };
        let place = |text| Place::parse(text, &REDIS, &login).unwrap().login.username;
        assert_eq!(place("redis://h"), "me");
        assert_eq!(place("redis://you:q@h"), "you");
    }

    #[test]
    fn other_schemes_are_refused_and_passwords_never_shown() {
        for wrong in ["http://u:topsecret@h", "redis://u:topsecret@h:99999", "redis://"] {
            let error = parse(wrong).unwrap_err();
            assert!(
                error.contains("redis://host:port") && !error.contains("topsecret"),
                "{error}"
            );
        }
        let place = parse("redis://u:topsecret@h").unwrap();
        assert!(!format!("{place:?} {place}").contains("topsecret"));
    }
}
