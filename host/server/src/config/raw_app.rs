//! One app in the configuration file, with the keys that Sockudo's users know.

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use jackfield_hub::{App, Endpoint, Policy, Rules, Secret, per_second};
use jackfield_links::http::{Address, check_headers};
use jackfield_protocol::pusher::api::PublishLimits;
use jackfield_protocol::pusher::session::{Features, Limits};
use serde::Deserialize;

/// One app as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApp {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) secret: String,
    #[serde(default = "yes")]
    enabled: bool,
    /// Whether clients have to come over TLS.
    #[serde(default)]
    force_tls: bool,
    /// Connections at a time.
    #[serde(default)]
    max_connections: Option<NonZeroU64>,
    /// Pages that may connect, each with at most one `*`; empty: all.
    #[serde(default)]
    allowed_origins: Vec<String>,
    /// Whether clients may send `client-…` events.
    #[serde(default)]
    enable_client_messages: bool,
    /// Whether clients may sign in.
    #[serde(default)]
    enable_user_authentication: bool,
    /// Whether signed-in users hear of those on their watchlist.
    #[serde(default)]
    enable_watchlist_events: bool,
    /// Whether subscribers are told how many they are.
    #[serde(default)]
    enable_subscription_count: bool,
    /// Seconds after which a client without signin or authorised subscription is closed.
    #[serde(default)]
    user_authentication_timeout: Option<NonZeroU64>,
    /// Client events a second, per connection.
    #[serde(default = "amount::<10>")]
    max_client_events_per_second: u32,
    /// Events a second from the app's server.
    #[serde(default = "amount::<1_000_000>")]
    max_backend_events_per_second: u32,
    /// Questions a second from the app's server.
    #[serde(default = "amount::<1_000_000>")]
    max_read_requests_per_second: u32,
    /// Channels of one connection.
    #[serde(default = "count::<100>")]
    max_channels_per_connection: NonZeroUsize,
    #[serde(default = "count::<100>")]
    max_presence_members_per_channel: NonZeroUsize,
    /// `user_info` of one member.
    #[serde(default = "count::<1>")]
    max_presence_member_size_in_kb: NonZeroUsize,
    #[serde(default = "count::<200>")]
    max_channel_name_length: NonZeroUsize,
    #[serde(default = "count::<200>")]
    max_event_name_length: NonZeroUsize,
    /// Channels of one publish.
    #[serde(default = "count::<100>")]
    max_event_channels_at_once: NonZeroUsize,
    /// `data` of one event.
    #[serde(default = "count::<10>")]
    max_event_payload_in_kb: NonZeroUsize,
    /// Events of one batch.
    #[serde(default = "count::<10>")]
    max_event_batch_size: NonZeroUsize,
    #[serde(default)]
    webhooks: Vec<RawWebhook>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    url: String,
    /// Empty: all.
    #[serde(default)]
    event_types: Vec<String>,
    #[serde(default)]
    filter: RawFilter,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Which channels a webhook is about; empty: all.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawFilter {
    channel_name_starts_with: String,
    channel_name_ends_with: String,
}

impl RawApp {
    /// The app that is meant.
    ///
    /// # Errors
    /// A text that names the app and the key.
    pub(super) fn meant(&self) -> Result<App, String> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        for (key, value) in [("id", &self.id), ("key", &self.key)] {
            if value.is_empty() || value.len() > NAME_BYTES || !value.bytes().all(good) {
                return Err(format!(
                    "apps: the {key} `{value}` must be 1 to {NAME_BYTES} letters, digits, `_` or `-`"
                ));
            }
        }
        if self.secret.is_empty() {
            return Err(format!("apps: the app `{}` has an empty secret", self.id));
        }
        if let Some(origin) = self
            .allowed_origins
            .iter()
            .find(|origin| origin.matches('*').count() > 1)
        {
            return Err(format!(
                "apps: `allowed_origins` of app `{}` has `{origin}`; one `*` is the most",
                self.id
            ));
        }
        Ok(App::new(&self.id, &self.key, Secret::new(&self.secret), self.policy()?))
    }

    fn policy(&self) -> Result<Policy, String> {
        Ok(Policy {
            enabled: self.enabled,
            force_tls: self.force_tls,
            max_connections: self.max_connections,
            allowed_origins: self.allowed_origins.clone(),
            features: Features {
                client_events: self.enable_client_messages,
                user_authentication: self.enable_user_authentication,
                watchlist: self.enable_watchlist_events,
            },
            subscription_count: self.enable_subscription_count,
            user_authentication_timeout: self.user_authentication_timeout.map(|s| Duration::from_secs(s.get())),
            limits: Limits {
                max_channels: self.max_channels_per_connection.get(),
                max_event_bytes: self.max_event_payload_in_kb.get() * KB,
                max_channel_name_bytes: self.max_channel_name_length.get(),
                max_event_name_bytes: self.max_event_name_length.get(),
                max_presence_member_bytes: self.max_presence_member_size_in_kb.get() * KB,
            },
            publish_limits: PublishLimits {
                max_event_bytes: self.max_event_payload_in_kb.get() * KB,
                max_channels: self.max_event_channels_at_once.get(),
                max_channel_name_bytes: self.max_channel_name_length.get(),
                max_event_name_bytes: self.max_event_name_length.get(),
                max_batch: self.max_event_batch_size.get(),
            },
            max_presence_members: self.max_presence_members_per_channel.get(),
            rules: Rules {
                client_event: per_second(self.max_client_events_per_second),
                publish: per_second(self.max_backend_events_per_second),
                read: per_second(self.max_read_requests_per_second),
            },
            webhooks: self
                .webhooks
                .iter()
                .map(|hook| hook.meant(&self.id))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl RawWebhook {
    fn meant(&self, app: &str) -> Result<Endpoint, String> {
        // Messages show scheme, host and port alone: many hooks have a token in their path.
        let address = Address::parse(&self.url)
            .map_err(|error| format!("apps: a webhook of app `{app}` has a `url` that cannot be used: {error}"))?;
        let wrong = |what: String| format!("apps: webhook {address} of app `{app}` {what}");
        if let Some(name) = self.event_types.iter().find(|name| !NOTICES.contains(&name.as_str())) {
            let known = NOTICES.join(", ");
            return Err(wrong(format!("wants `{name}`; there are {known}")));
        }
        let headers = self.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        check_headers(&headers).map_err(|error| wrong(format!("has `headers` that cannot be sent: {error}")))?;
        Ok(Endpoint {
            url: self.url.clone(),
            events: self.event_types.clone(),
            channel_starts_with: self.filter.channel_name_starts_with.clone(),
            channel_ends_with: self.filter.channel_name_ends_with.clone(),
            headers,
        })
    }
}

// The defaults, Pusher's own. A test compares them with `Policy::default()`.

fn yes() -> bool {
    true
}

fn amount<const N: u32>() -> u32 {
    N
}

fn count<const N: usize>() -> NonZeroUsize {
    const { NonZeroUsize::new(N).expect("the defaults are not zero") }
}

/// What there is to be told (Pusher documents, "Webhooks").
const NOTICES: [&str; 7] = [
    "channel_occupied",
    "channel_vacated",
    "member_added",
    "member_removed",
    "client_event",
    "cache_miss",
    "subscription_count",
];

/// Bytes of an app's id or key: both stand in paths and topics.
const NAME_BYTES: usize = 64;

const KB: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_without_settings_has_the_ordinary_policy() {
        let raw: RawApp = toml::from_str("id = \"1\"\nkey = \"k\"\nsecret = \"s\"").expect("all that is needed");
        let policy = raw.policy().expect("good");
        assert_eq!(format!("{policy:?}"), format!("{:?}", Policy::default()));
    }
}
