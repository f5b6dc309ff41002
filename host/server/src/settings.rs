//! What of the configuration may change while the program runs, in one value: whoever needs it looks it up each time.

use std::num::NonZeroU64;
use std::time::Duration;

use jackfield_config::{Batching, Config, Token};
use jackfield_hub::doors::Rule;
use jackfield_wasm::Wanted;

use crate::proxies::Proxies;

/// The settings in use. Apps and plugins are not among them: they are changed where they are kept.
pub(crate) struct Settings {
    pub(crate) batching: Batching,
    /// Whether webhooks may go to addresses that are not public.
    pub(crate) private_webhooks: bool,
    /// What a proxy has taken away in front of the path.
    pub(crate) external_path_prefix: String,
    pub(crate) proxies: Proxies,
    /// Connections of all apps; none: no limit.
    pub(crate) max_connections: Option<NonZeroU64>,
    /// Headers that auth plugins see, in lower case.
    pub(crate) seen_headers: Vec<String>,
    /// Whether live subscriptions are asked for again when whoever decides has changed.
    pub(crate) recheck: bool,
    pub(crate) activity_timeout: Duration,
    /// The largest message of a client.
    pub(crate) max_message_bytes: usize,
    /// How many connections one address may open; none: no limit.
    pub(crate) connect_rule: Option<Rule>,
    /// Over which time connections are closed when the program ends.
    pub(crate) shutdown_grace: Duration,
    /// What operators show.
    pub(crate) admin_token: Option<Token>,
}

impl Settings {
    /// Those of a configuration, which has no use for them afterwards.
    pub(crate) fn of(config: &mut Config) -> Self {
        Self {
            batching: config.batching,
            private_webhooks: config.private_webhooks,
            external_path_prefix: std::mem::take(&mut config.external_path_prefix),
            proxies: Proxies::new(std::mem::take(&mut config.trusted_proxies)),
            max_connections: config.max_connections,
            seen_headers: std::mem::take(&mut config.seen_headers),
            recheck: config.recheck,
            activity_timeout: config.activity_timeout,
            max_message_bytes: config.max_message_bytes,
            connect_rule: config.connect_rule,
            shutdown_grace: config.shutdown_grace,
            admin_token: config.admin_token.take(),
        }
    }
}

/// The plugins that a configuration wants.
pub(crate) fn wanted(config: &Config) -> Wanted {
    Wanted {
        folder: config.plugins.clone(),
        adapter: config.doors.adapter.clone(),
        auth: config.doors.auth.clone(),
        rate_limit: config.doors.rate_limit.clone(),
        webhook: config.doors.webhook.clone(),
        configs: config.doors.configs.clone(),
        node: config.node.clone(),
        compiled: config.compiled.clone(),
    }
}
