//! All that a guest can ask of the host. Each function is short, waits for nothing and bounds what it is given; the
//! contract of each stands in `wit/deps/host/host.wit`.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jackfield_files::cleaned;
use wasmtime::{Result, bail};

use crate::asker::Asker;
use crate::bindings::hot::jackfield::host::{clock, cluster, counters, handshake, log, random};
use crate::bindings::hot::jackfield::{adapter, auth, rate_limit, types, webhook};
use crate::context::{Context, Identity, Told};
use crate::lend::given_headers;

impl log::Host for Context {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        write_line(&self.identity, level, &message);
        Ok(())
    }
}

impl clock::Host for Context {
    fn monotonic_us(&mut self) -> Result<u64> {
        Ok(self.host.started.elapsed().as_micros() as u64)
    }

    fn unix_ms(&mut self) -> Result<u64> {
        Ok(unix_ms())
    }
}

impl random::Host for Context {
    fn bytes(&mut self, length: u32) -> Result<Vec<u8>> {
        if length > RANDOM_BYTES {
            bail!("random.bytes was asked for {length} bytes; {RANDOM_BYTES} is the most");
        }
        let mut bytes = vec![0; length as usize];
        if let Err(error) = getrandom::fill(&mut bytes) {
            bail!("the system's random source failed: {error}");
        }
        Ok(bytes)
    }
}

impl handshake::Host for Context {
    fn get(&mut self) -> Result<Option<handshake::Details>> {
        Ok(self.subject.client().map(|client| handshake::Details {
            origin: client.origin.clone(),
            path: client.path.clone(),
            query: client.query.clone(),
            headers: given_headers(client.headers.iter().cloned()),
        }))
    }
}

impl counters::Host for Context {
    fn add(&mut self, name: String, by: u64) -> Result<()> {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if name.is_empty() || name.len() > COUNTER_NAME_BYTES || !name.bytes().all(good) {
            return Ok(());
        }
        let mut counters = self.identity.counters.lock();
        if counters.len() < COUNTERS || counters.contains_key(&name) {
            let counter = counters.entry(name).or_default();
            *counter = counter.saturating_add(by);
        }
        Ok(())
    }
}

impl cluster::Host for Context {
    fn confirmed(&mut self, tickets: Vec<u64>) -> Result<()> {
        self.tell(Told::Confirmed(tickets))
    }

    fn following(&mut self, topics: Vec<String>) -> Result<()> {
        self.tell(Told::Following(topics))
    }

    fn state(&mut self, status: cluster::Status) -> Result<()> {
        self.tell(Told::State(match status {
            cluster::Status::Up => None,
            cluster::Status::Degraded(reason) => Some(cleaned(&reason)),
        }))
    }
}

// These interfaces hold records and no functions.
impl types::types::Host for Context {}
impl adapter::arrivals::Host for Context {}
impl auth::claims::Host for Context {}
impl rate_limit::counts::Host for Context {}
impl webhook::calls::Host for Context {}

impl Context {
    pub(crate) fn tell(&mut self, told: Told) -> Result<()> {
        if self.told.len() >= TOLD {
            bail!("an adapter told more than {TOLD} things in one call");
        }
        self.told.push(told);
        Ok(())
    }
}

/// `wait.sleep`, for the linker of plugins that wait. It ends early when nobody waits for the answer any more.
pub(crate) async fn sleep(ms: u32, asker: &Asker) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(u64::from(ms.min(SLEEP_MS)))) => Ok(()),
        () = asker.gone() => bail!("nobody waits for the answer any more"),
    }
}

/// Writes a guest's line to the log, cleaned, if there is one left of this second's allowance.
pub(crate) fn write_line(identity: &Identity, level: log::Level, line: &str) {
    if !may_log(identity) {
        return;
    }
    let (plugin, line) = (identity.name.as_str(), cleaned(line));
    match level {
        log::Level::Trace => tracing::trace!(plugin, "{line}"),
        log::Level::Debug => tracing::debug!(plugin, "{line}"),
        log::Level::Info => tracing::info!(plugin, "{line}"),
        log::Level::Warn => tracing::warn!(plugin, "{line}"),
        log::Level::Error => tracing::error!(plugin, "{line}"),
    }
}

/// Spends one line of this second's allowance; says in the next second how many were lost.
pub(crate) fn may_log(identity: &Identity) -> bool {
    let most = identity.limits.log_lines;
    let mut allowance = identity.log_lines.lock();
    let now = Instant::now();
    if now.duration_since(allowance.since) >= Duration::from_secs(1) {
        let dropped = std::mem::take(&mut allowance.dropped);
        (allowance.since, allowance.written) = (now, 0);
        if dropped > 0 {
            tracing::warn!(
                plugin = identity.name,
                dropped,
                "log lines over {most} a second were dropped"
            );
        }
    }
    if allowance.written >= most {
        allowance.dropped += 1;
        return false;
    }
    allowance.written += 1;
    true
}

/// Milliseconds since 1970 by the wall clock; 0 on one that is before that.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}

/// Counts a trap where metrics find it.
pub(crate) fn count_trap(identity: &Identity) {
    identity.figures.traps.fetch_add(1, Ordering::Relaxed);
}

/// Bytes that one call may draw from the random source.
const RANDOM_BYTES: u32 = 4_096;
/// Counters of one plugin: each is a time series for whoever collects the metrics.
const COUNTERS: usize = 32;
/// Bytes of a counter's name.
const COUNTER_NAME_BYTES: usize = 48;
/// Things an adapter may tell in one call: a batch's worth, told one by one.
const TOLD: usize = 4_096;
/// The longest sleep.
const SLEEP_MS: u32 = 5_000;
