//! What a plugin may use, per instance and per call: the defaults, and what the operator may write in their place.

use std::time::Duration;

use serde::Deserialize;

/// The limits of one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time of one call, counted from the first tick of a millisecond that finds it running, to the nearest tick.
    pub cpu: Duration,
    /// Memory of one instance.
    pub memory_bytes: usize,
    /// Elements of all its tables.
    pub table_elements: usize,
    /// What a guest may hand to the host in one call.
    pub host_call_bytes: usize,
    /// Lines that it may log in a second.
    pub log_lines: u32,
    /// How long anybody waits for the answer of a plugin that waits.
    pub deadline: Duration,
    /// Calls of a plugin that waits which run at the same time; others wait for their turn, within the deadline.
    pub concurrency: usize,
    /// Traps within ten seconds after which it is paused; a time-out weighs as much as three and a third. 0: never.
    pub pause_after: u32,
}

/// `[limits]` in `plugins/NAME.toml`. What is left out is as in [`Limits::default`].
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawLimits {
    cpu_ms: Option<u64>,
    memory_mb: Option<u64>,
    table_elements: Option<u64>,
    host_call_kb: Option<u64>,
    log_lines_per_second: Option<u64>,
    deadline_ms: Option<u64>,
    concurrency: Option<u64>,
    pause_after: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(2),
            // Every default plugin needs less than 2 MiB.
            memory_bytes: 16 << 20,
            // Function pointers of a large program.
            table_elements: 10_000,
            // The largest HTTP body with room to spare.
            host_call_bytes: 1 << 20,
            // A flood must not hide other lines.
            log_lines: 100,
            deadline: Duration::from_secs(5),
            concurrency: 16,
            pause_after: 10,
        }
    }
}

impl RawLimits {
    /// The limits that are meant.
    ///
    /// # Errors
    /// A text that names the key and what is accepted.
    pub fn meant(&self) -> Result<Limits, String> {
        let ordinary = Limits::default();
        let within = |key: &str, value: Option<u64>, most: u64, ordinary: u64| match value {
            None => Ok(ordinary),
            Some(value) if (1..=most).contains(&value) => Ok(value),
            Some(value) => Err(format!("`limits.{key}` must be 1 to {most}, not {value}")),
        };
        let ms = |duration: Duration| duration.as_millis() as u64;
        let memory = within(
            "memory_mb",
            self.memory_mb,
            MEMORY_CEILING as u64 >> 20,
            ordinary.memory_bytes as u64 >> 20,
        )?;
        let elements = ordinary.table_elements as u64;
        let elements = within("table_elements", self.table_elements, TABLE_CEILING as u64, elements)?;
        let handed = ordinary.host_call_bytes as u64 >> 10;
        let handed = within("host_call_kb", self.host_call_kb, HOST_CALL_CEILING_KB, handed)?;
        let lines = u64::from(ordinary.log_lines);
        let lines = within(
            "log_lines_per_second",
            self.log_lines_per_second,
            LOG_LINES_CEILING,
            lines,
        )?;
        let concurrency = within(
            "concurrency",
            self.concurrency,
            u64::from(WAITING),
            ordinary.concurrency as u64,
        )?;
        Ok(Limits {
            cpu: Duration::from_millis(within("cpu_ms", self.cpu_ms, CPU_CEILING_MS, ms(ordinary.cpu))?),
            memory_bytes: (memory as usize) << 20,
            table_elements: elements as usize,
            host_call_bytes: (handed as usize) << 10,
            log_lines: lines as u32,
            deadline: Duration::from_millis(within(
                "deadline_ms",
                self.deadline_ms,
                DEADLINE_CEILING_MS,
                ms(ordinary.deadline),
            )?),
            concurrency: concurrency as usize,
            pause_after: self.pause_after.unwrap_or(ordinary.pause_after),
        })
    }
}

/// The most memory that an operator may give to an instance: what a Python interpreter needs, twice.
pub const MEMORY_CEILING: usize = 128 << 20;

/// The most table elements; a Python interpreter has about 10,000.
pub const TABLE_CEILING: usize = 50_000;

/// Guests that may wait at the same time, over all plugins.
pub const WAITING: u32 = 64;

/// A call that takes longer holds up a whole event loop for longer than people wait gladly.
const CPU_CEILING_MS: u64 = 1_000;

/// More than any body that the host takes.
const HOST_CALL_CEILING_KB: u64 = 64 << 10;

/// What a disk can take from one plugin.
const LOG_LINES_CEILING: u64 = 10_000;

/// Clients give up after this time themselves.
const DEADLINE_CEILING_MS: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Limits, String> {
        let raw: RawLimits = toml::from_str(text).map_err(|error| error.to_string())?;
        raw.meant()
    }

    #[test]
    fn what_is_left_out_is_ordinary() {
        assert_eq!(read(""), Ok(Limits::default()));
        let limits = read("cpu_ms = 20\nmemory_mb = 64").expect("good");
        assert_eq!((limits.cpu, limits.memory_bytes), (Duration::from_millis(20), 64 << 20));
        assert_eq!(limits.log_lines, Limits::default().log_lines);
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_its_key() {
        for (text, wanted) in [
            ("cpu_ms = 0", "`limits.cpu_ms` must be 1 to 1000, not 0"),
            ("memory_mb = 129", "`limits.memory_mb` must be 1 to 128, not 129"),
            ("concurrency = 65", "`limits.concurrency` must be 1 to 64, not 65"),
            ("cpu = 1", "unknown field `cpu`"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(wanted), "{error}");
        }
    }
}
