//! Metrics in the OpenMetrics text format, read from where they are counted when somebody asks.
//!
//! Names follow soketi and Sockudo where both count the same, so that dashboards carry over.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jackfield_cluster::Stats;
use jackfield_wasm::{CallTimes, PluginReport, VersionReport};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::reload::Reloads;
use crate::shared::{Counts, Shared};

/// All metrics of this instance.
pub(crate) struct Metrics {
    registry: Registry,
}

struct Reader(Arc<Shared>);

impl Metrics {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let mut registry = Registry::with_prefix("jackfield");
        let instance = vec![
            ("process_id", shared.node.clone()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        registry.register("instance", "Who this is", Info::new(instance));
        registry.register_collector(Box::new(Reader(shared)));
        Self { registry }
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl Collector for Reader {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shared = &self.0;
        for (name, help, of) in GAUGES {
            gauge(&mut encoder, name, help, sum(shared, *of))?;
        }
        gauge(
            &mut encoder,
            "active_channels",
            "Channels that have or lately had subscribers",
            shared.hub.channel_count() as u64,
        )?;
        gauge(
            &mut encoder,
            "open_tickets",
            "Publishes that wait for the adapter",
            shared.hub.open_tickets() as u64,
        )?;
        gauge(
            &mut encoder,
            "ready",
            "1 when this instance should get traffic",
            u64::from(shared.unready().is_empty()),
        )?;
        for (name, help, of) in COUNTERS {
            counter(&mut encoder, name, help, sum(shared, *of))?;
        }
        let help = "Other instances that this one knows to be alive";
        gauge(&mut encoder, "cluster_peers", help, shared.cluster.peers() as u64)?;
        let help = "Those of them that have other apps: another deployment, or apps that are being changed";
        gauge(
            &mut encoder,
            "cluster_neighbours",
            help,
            shared.cluster.neighbours() as u64,
        )?;
        let help = "1 while what is published here may not reach every other instance";
        let degraded = shared.hub.health().degraded.is_some();
        gauge(&mut encoder, "cluster_degraded", help, u64::from(degraded))?;
        let stats = shared.cluster.stats();
        for (name, help, of) in CLUSTER {
            counter(&mut encoder, name, help, of(&stats))?;
        }
        cluster_received(&mut encoder, &shared.registry.plugins())?;
        let requests = shared.api_requests.load(Ordering::Relaxed);
        counter(
            &mut encoder,
            "http_calls_received",
            "Requests of the HTTP API",
            requests,
        )?;
        counter(
            &mut encoder,
            "notices_dropped",
            "Notices that found their queue full",
            shared.notices.dropped(),
        )?;
        counter(
            &mut encoder,
            "webhooks_given_up",
            "Webhooks that came to nothing in the end",
            shared.webhooks_given_up.load(Ordering::Relaxed),
        )?;
        configuration(&mut encoder, &shared.reloads)?;
        plugins(&mut encoder, &shared.registry.plugins())
    }
}

/// A count of an event loop.
type Of = fn(&Counts) -> &AtomicU64;

const GAUGES: &[(&str, &str, Of)] = &[
    ("connected", "WebSocket connections", |counts| &counts.connections),
    ("subscriptions", "Subscriptions to channels", |counts| {
        &counts.subscriptions
    }),
];

const COUNTERS: &[(&str, &str, Of)] = &[
    ("new_connections", "Connections since the start", |counts| {
        &counts.connected
    }),
    ("new_disconnections", "Connections that ended", |counts| {
        &counts.disconnected
    }),
    ("ws_messages_received", "Messages from clients", |counts| {
        &counts.received
    }),
    ("ws_messages_sent", "Events put into outboxes", |counts| {
        &counts.delivered
    }),
    (
        "slow_consumers_cut",
        "Connections closed because their outbox was full",
        |counts| &counts.cut,
    ),
    ("socket_received_bytes", "Bytes read from sockets", |counts| {
        &counts.read_bytes
    }),
    ("socket_transmitted_bytes", "Bytes written to sockets", |counts| {
        &counts.written_bytes
    }),
];

/// What the cluster counts: name, help, value.
type OfCluster = (&'static str, &'static str, fn(&Stats) -> u64);

const CLUSTER: &[OfCluster] = &[
    (
        "cluster_gaps",
        "Times when an event of another instance was missing",
        |stats| stats.gaps,
    ),
    ("cluster_repaired", "Events that came by asking for them", |stats| {
        stats.repaired
    }),
    ("cluster_duplicates", "Events that had come before", |stats| {
        stats.duplicates
    }),
    (
        "cluster_closes",
        "Channels whose subscribers were told to connect anew because something was lost",
        |stats| stats.closes,
    ),
    (
        "cluster_peers_expired",
        "Instances that were silent for too long",
        |stats| stats.expired,
    ),
    (
        "cluster_debts",
        "Instances that left without a known last word",
        |stats| stats.debts,
    ),
    (
        "cluster_malformed",
        "Messages that could not be read or came where they do not belong",
        |stats| stats.malformed,
    ),
    (
        "cluster_unknown_kinds",
        "Messages of kinds that this version does not know",
        |stats| stats.unknown_kinds,
    ),
];

/// A channel without subscribers here counts nothing here.
fn cluster_received(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginReport]) -> fmt::Result {
    let help = "Messages that came over the adapter, by what their topic is: a channel's, or the cluster's own";
    let mut family = encoder.encode_descriptor("cluster_received", help, None, MetricType::Counter)?;
    let live = || plugins.iter().filter_map(|plugin| plugin.live.as_ref());
    let sum = |of: fn(&VersionReport) -> u64| live().map(of).sum::<u64>();
    for (kind, count) in [
        ("channel", sum(|version| version.channel_messages)),
        ("cluster", sum(|version| version.cluster_messages)),
    ] {
        ConstCounter::new(count).encode(family.encode_family(&[("kind", kind)])?)?;
    }
    Ok(())
}

fn configuration(encoder: &mut DescriptorEncoder<'_>, reloads: &Reloads) -> fmt::Result {
    let help = "Which configuration is in use, counted from the start";
    gauge(encoder, "config_generation", help, reloads.generation())?;
    let help = "Times that the configuration was read again, by what came of it";
    let mut family = encoder.encode_descriptor("config_reloads", help, None, MetricType::Counter)?;
    for (outcome, count) in reloads.counts() {
        ConstCounter::new(count).encode(family.encode_family(&[("outcome", outcome)])?)?;
    }
    Ok(())
}

fn plugins(encoder: &mut DescriptorEncoder<'_>, plugins: &[PluginReport]) -> fmt::Result {
    let versions = || {
        plugins
            .iter()
            .filter_map(|plugin| Some((plugin, plugin.live.as_ref()?)))
    };
    let mut family = |name: &str, help: &str, of: fn(&VersionReport) -> u64| {
        let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (plugin, version) in versions() {
            let labels = [("plugin", plugin.name.as_str()), ("door", plugin.door)];
            ConstCounter::new(of(version)).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    };
    family("plugin_calls", "Guest calls", |version| version.calls)?;
    family(
        "plugin_traps",
        "Guest calls that trapped or ran out of time",
        |version| version.traps,
    )?;
    family(
        "plugin_pauses",
        "Times that a plugin was paused because it failed too often",
        |version| version.pauses,
    )?;
    let help = "Whether a plugin is paused";
    let mut paused = encoder.encode_descriptor("plugin_paused", help, None, MetricType::Gauge)?;
    for (plugin, version) in versions() {
        let labels = [("plugin", plugin.name.as_str()), ("door", plugin.door)];
        ConstGauge::new(i64::from(version.paused)).encode(paused.encode_family(&labels)?)?;
    }
    let help = "Which version of a plugin is live, counted from the start";
    let mut generation = encoder.encode_descriptor("plugin_generation", help, None, MetricType::Gauge)?;
    for (plugin, version) in versions() {
        let labels = [("plugin", plugin.name.as_str()), ("door", plugin.door)];
        ConstGauge::new(version.generation as i64).encode(generation.encode_family(&labels)?)?;
    }
    let help = "What the linear memories of a plugin's instances hold";
    let mut memory = encoder.encode_descriptor("plugin_memory_bytes", help, None, MetricType::Gauge)?;
    for (plugin, version) in versions() {
        let labels = [("plugin", plugin.name.as_str()), ("door", plugin.door)];
        ConstGauge::new(version.memory_bytes).encode(memory.encode_family(&labels)?)?;
    }
    let help = "How long guest calls took, of those that were timed: all at first, later one of 16";
    let mut times = encoder.encode_descriptor("plugin_call_seconds", help, None, MetricType::Histogram)?;
    for (plugin, version) in versions() {
        let labels = [("plugin", plugin.name.as_str()), ("door", plugin.door)];
        call_seconds(times.encode_family(&labels)?, &version.times)?;
    }
    let help = "Counters of plugins' own";
    let mut encoder = encoder.encode_descriptor("plugin_counter", help, None, MetricType::Counter)?;
    for (plugin, version) in versions() {
        for (counter, value) in &version.counters {
            let labels = [("plugin", plugin.name.as_str()), ("counter", counter)];
            ConstCounter::new(*value).encode(encoder.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// In steps of four, from half a microsecond to half a minute.
fn call_seconds(mut encoder: MetricEncoder<'_>, times: &CallTimes) -> fmt::Result {
    let (mut buckets, mut told) = (Vec::new(), 0);
    for power in (9..=35).step_by(2) {
        let below = times.below(power);
        buckets.push((Duration::from_nanos(1 << power).as_secs_f64(), below - told));
        told = below;
    }
    let count = times.count();
    buckets.push((f64::INFINITY, count - told));
    encoder.encode_histogram::<NoLabelSet>(times.sum().as_secs_f64(), count, &buckets, None)
}

fn sum(shared: &Shared, of: Of) -> u64 {
    shared
        .counts
        .iter()
        .map(|counts| of(counts).load(Ordering::Relaxed))
        .sum()
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}
