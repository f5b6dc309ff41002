//! Clocks, and waiting for them: a guest may ask whether a time has come, but not wait for it. Waiting is
//! `jackfield:host/wait`, which holds up nobody else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmtime::component::{ComponentType, LinkerInstance, Lower};
use wasmtime::{Result, bail};

use super::{Caller, Own};
use crate::context::Context;

/// `wasi:clocks/wall-clock#datetime`.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

impl From<Duration> for Datetime {
    fn from(duration: Duration) -> Self {
        Self {
            seconds: duration.as_secs(),
            nanoseconds: duration.subsec_nanos(),
        }
    }
}

pub(super) fn add_monotonic(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    instance.func_wrap("now", |store: Caller<'_>, ()| Ok((nanoseconds(store.data()),)))?;
    instance.func_wrap("resolution", |_, ()| Ok((1_u64,)))?;
    instance.func_wrap("subscribe-instant", |store: Caller<'_>, (when,): (u64,)| {
        let now = nanoseconds(store.data());
        Ok((Own::new_own(due(now, when.saturating_sub(now))),))
    })?;
    instance.func_wrap("subscribe-duration", |store: Caller<'_>, (wait,): (u64,)| {
        Ok((Own::new_own(due(nanoseconds(store.data()), wait)),))
    })
}

pub(super) fn add_wall(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    instance.func_wrap("now", |_, ()| {
        Ok((Datetime::from(SystemTime::now().duration_since(UNIX_EPOCH)?),))
    })?;
    instance.func_wrap("resolution", |_, ()| Ok((Datetime::from(Duration::from_nanos(1)),)))
}

pub(super) fn add_poll(instance: &mut LinkerInstance<'_, Context>) -> Result<()> {
    instance.func_wrap("[method]pollable.ready", |store: Caller<'_>, (pollable,): (Own,)| {
        Ok((is_ready(nanoseconds(store.data()), pollable.rep()),))
    })?;
    instance.func_wrap("[method]pollable.block", |store: Caller<'_>, (pollable,): (Own,)| {
        if is_ready(nanoseconds(store.data()), pollable.rep()) {
            return Ok(());
        }
        bail!(NO_WAITING)
    })?;
    instance.func_wrap("poll", |store: Caller<'_>, (pollables,): (Vec<Own>,)| {
        let now = nanoseconds(store.data());
        let ready = (0_u32..).zip(&pollables).filter(|(_, own)| is_ready(now, own.rep()));
        let ready: Vec<u32> = ready.map(|(index, _)| index).collect();
        if ready.is_empty() {
            bail!(NO_WAITING);
        }
        Ok((ready,))
    })
}

fn nanoseconds(context: &Context) -> u64 {
    context.host.started.elapsed().as_nanos() as u64
}

/// The number of a pollable that is ready `wait` nanoseconds from now: the millisecond when it is, on a clock that goes
/// round every 49 days.
fn due(now: u64, wait: u64) -> u32 {
    if wait == 0 {
        return READY;
    }
    let wait = wait.min(LONGEST_NS);
    ((now + wait).div_ceil(NS_PER_MS) as u32).max(READY + 1)
}

fn is_ready(now: u64, number: u32) -> bool {
    // What lies within the half of the circle behind now has come.
    number == READY || ((now / NS_PER_MS) as u32).wrapping_sub(number) < u32::MAX / 2
}

/// The pollable that is always ready.
pub(super) const READY: u32 = 0;

const NS_PER_MS: u64 = 1_000_000;

/// Ten days: well within half of the circle.
const LONGEST_NS: u64 = 10 * 86_400 * 1_000 * NS_PER_MS;

const NO_WAITING: &str = "it waits through WASI, which is not offered; `sleep` of `jackfield:host/wait` is";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pollable_is_ready_when_its_time_has_come() {
        let days_50 = 50 * 86_400 * 1_000 * NS_PER_MS;
        for start in [0, 1, 999_999, days_50 - 1, days_50 + 12_345_678_901] {
            let number = due(start, 2_500_000);
            assert!(!is_ready(start, number), "{start}");
            assert!(!is_ready(start + 2_499_999, number), "{start}");
            assert!(is_ready(start + 3_500_000, number), "{start}");
            assert!(is_ready(start, due(start, 0)));
            assert!(!is_ready(start, due(start, u64::MAX)));
        }
    }
}
