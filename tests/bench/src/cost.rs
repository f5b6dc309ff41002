//! What work costs: CPU time of the processes that do it, as the kernel accounts for it, and that of the bench beside it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::task::LocalSet;

use crate::process::{Server, cpu};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// Runs of a row; floor and host take turns.
    pub(crate) runs: usize,
    /// CPU time of the server with which a run ends. The kernel tells it in ticks of 10 ms.
    pub(crate) cpu: Duration,
    /// When a run ends that leaves the server idle for most of the time.
    pub(crate) wall: Duration,
    /// Whether the rows that take long by their nature are cut short.
    pub(crate) smoke: bool,
    /// Whether rows that could share one core do not: see [`OneCore`].
    pub(crate) all_cores: bool,
}

impl Effort {
    /// The whole table within ten minutes.
    pub(crate) const FULL: Self = Self {
        runs: 5,
        cpu: Duration::from_millis(1_500),
        wall: Duration::from_secs(4),
        smoke: false,
        all_cores: false,
    };
    /// Within one.
    pub(crate) const SMOKE: Self = Self {
        runs: 1,
        cpu: Duration::from_millis(150),
        wall: Duration::from_millis(400),
        smoke: true,
        all_cores: false,
    };
}

/// What one run cost.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    /// CPU seconds of each process per million units.
    pub(crate) cpu: Vec<f64>,
    /// Units per second of the clock.
    pub(crate) per_second: f64,
    /// How busy the bench itself was, which is one thread: 1 is a whole core.
    pub(crate) generator: f64,
}

impl Cost {
    /// Of all processes.
    pub(crate) fn total(&self) -> f64 {
        self.cpu.iter().sum()
    }
}

/// Has `work` do so many rounds, again and again, until the processes have used enough CPU time. A round is `units` units of
/// what is counted. What it takes to find out how many rounds to ask for is the warming up.
pub(crate) async fn measure(
    effort: Effort,
    processes: &[u32],
    units: usize,
    mut work: impl AsyncFnMut(usize) -> Result<()>,
) -> Result<Cost> {
    let mut rounds = 1;
    loop {
        let begun = Instant::now();
        work(rounds).await?;
        if begun.elapsed() > PORTION {
            break;
        }
        rounds *= 2;
    }
    let (before, own) = (used(processes)?, cpu(std::process::id())?);
    let begun = Instant::now();
    let mut done = 0;
    let after = loop {
        work(rounds).await?;
        done += rounds;
        let now = used(processes)?;
        let all: Duration = now.iter().zip(&before).map(|(now, before)| *now - *before).sum();
        if all >= effort.cpu || begun.elapsed() >= effort.wall {
            break now;
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    let units = (done * units) as f64;
    let per_million = |(after, before): (&Duration, &Duration)| (*after - *before).as_secs_f64() / units * 1e6;
    Ok(Cost {
        cpu: after.iter().zip(&before).map(per_million).collect(),
        per_second: units / seconds,
        generator: (cpu(std::process::id())? - own).as_secs_f64() / seconds,
    })
}

/// While it lives, the bench and a server share one core.
///
/// Where messages go back and forth with pauses between them, most of the time is that of a core that was idle and has to be woken.
/// That costs both floor and host several times what is measured, in some runs and not in others, as the kernel's scheduler
/// happens to place threads. One core is never idle, as those of a busy server are not.
pub(crate) struct OneCore(CpuSet);

impl OneCore {
    /// The server has started its threads: as many event loops as there are cores. Nothing happens if all cores are wanted.
    pub(crate) fn share(server: &Server, effort: Effort) -> Result<Option<Self>> {
        if effort.all_cores {
            return Ok(None);
        }
        let all = sched_getaffinity(None)?;
        let mut one = CpuSet::new();
        let core = (0..CpuSet::MAX_CPU).rev().find(|&core| all.is_set(core));
        one.set(core.context("there is a core")?);
        server.pin(&one)?;
        sched_setaffinity(None, &one)?;
        Ok(Some(Self(all)))
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        // What was possible before is possible again.
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// Runs a future on one thread: a second one would take a core from the server, and one is idle half of the time.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, future)
}

fn used(processes: &[u32]) -> Result<Vec<Duration>> {
    processes.iter().map(|&pid| cpu(pid)).collect()
}

/// What rounds are asked for at once takes at least so long.
const PORTION: Duration = Duration::from_millis(50);
