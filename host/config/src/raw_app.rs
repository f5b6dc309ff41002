//! One app in the configuration file, with the keys that Sockudo's users know.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use jackfield_hub::{App, ClientRule, Endpoint, Policy, Rules, Secret, per_second, per_seconds};
use jackfield_links::http::{Address, check_headers};
use jackfield_protocol::pusher::api::PublishLimits;
use jackfield_protocol::pusher::session::{Features, Limits};
use serde::{Deserialize, Serialize};

use super::mistakes::Mistake;
use super::token::hidden;

/// One app as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApp {
    pub(super) id: String,
    pub(super) key: String,
    #[serde(serialize_with = "hidden")]
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
    /// Client events per connection in `decay_seconds`, which is one unless said otherwise.
    #[serde(default = "amount::<10>")]
    max_client_events_per_second: u32,
    /// The window in which client events are counted.
    #[serde(default = "one")]
    decay_seconds: NonZeroU32,
    /// Whether a client over that limit is closed instead of told.
    #[serde(default)]
    terminate_on_limit: bool,
    /// Messages of one connection, client events or not.
    #[serde(default)]
    message_rate_limit: Option<RawMessages>,
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

/// How many messages a client may send, with Sockudo's keys.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawMessages {
    /// So that it can be switched off without forgetting the numbers.
    #[serde(default = "yes")]
    enabled: bool,
    max_attempts: NonZeroU32,
    #[serde(default = "one")]
    decay_seconds: NonZeroU32,
    /// Whether a client over the limit is closed instead of told.
    #[serde(default)]
    terminate_on_limit: bool,
}

#[derive(Debug, Deserialize, Serialize)]
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
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct RawFilter {
    channel_name_starts_with: String,
    channel_name_ends_with: String,
}

impl RawApp {
    /// The app that is meant.
    ///
    /// # Errors
    /// A mistake in one of its keys.
    pub(super) fn meant(&self) -> Result<App, Mistake> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        for (key, value) in [("id", &self.id), ("key", &self.key)] {
            if value.is_empty() || value.len() > NAME_BYTES || !value.bytes().all(good) {
                let text = format!("`{value}` must be 1 to {NAME_BYTES} letters, digits, `_` or `-`");
                return Err(Mistake::new(text).at(key));
            }
        }
        if self.secret.is_empty() {
            return Err(Mistake::new(format!("app `{}` needs one that is not empty", self.id)).at("secret"));
        }
        let many = |origin: &String| origin.matches('*').count() > 1;
        if let Some(index) = self.allowed_origins.iter().position(many) {
            let text = format!("`{}` has more than one `*`", self.allowed_origins[index]);
            return Err(Mistake::new(text).in_item("allowed_origins", index));
        }
        Ok(App::new(&self.id, &self.key, Secret::new(&self.secret), self.policy()?))
    }

    fn policy(&self) -> Result<Policy, Mistake> {
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
                client_event: ClientRule {
                    rule: per_seconds(self.max_client_events_per_second, self.decay_seconds.get()),
                    closes: self.terminate_on_limit,
                },
                message: self.message_rate_limit.and_then(RawMessages::meant),
                publish: per_second(self.max_backend_events_per_second),
                read: per_second(self.max_read_requests_per_second),
            },
            webhooks: self.endpoints()?,
        })
    }

    fn endpoints(&self) -> Result<Vec<Endpoint>, Mistake> {
        let hooks = self.webhooks.iter().enumerate();
        hooks
            .map(|(index, hook)| hook.meant().map_err(|mistake| mistake.in_item("webhooks", index)))
            .collect()
    }
}

impl RawMessages {
    fn meant(self) -> Option<ClientRule> {
        self.enabled.then(|| ClientRule {
            rule: per_seconds(self.max_attempts.get(), self.decay_seconds.get()),
            closes: self.terminate_on_limit,
        })
    }
}

impl RawWebhook {
    /// Says nothing of what an address or a header holds: many hooks have a token in their path.
    fn meant(&self) -> Result<Endpoint, Mistake> {
        Address::parse(&self.url).map_err(|error| Mistake::new(error.to_string()).at("url"))?;
        let unknown = |name: &String| !NOTICES.contains(&name.as_str());
        if let Some(index) = self.event_types.iter().position(unknown) {
            let text = format!("`{}` is none of {}", self.event_types[index], NOTICES.join(", "));
            return Err(Mistake::new(text).in_item("event_types", index));
        }
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            headers.push((name.to_ascii_lowercase(), value.clone()));
            // Each time all of them, because there may be too many as well.
            check_headers(&headers).map_err(|error| Mistake::new(error.to_string()).at(name).at("headers"))?;
        }
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

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
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
