//! A core for the server alone, the others for the bench: where what somebody notices is measured, nobody may have to wait until
//! the kernel's scheduler has given the bench its share of the server's core.

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::process::Server;

/// The cores of either side.
pub(crate) struct Cores {
    server: CpuSet,
    bench: CpuSet,
}

impl Cores {
    /// The last core for the server, the others for the calling thread and those that it starts from now on.
    pub(crate) fn divide() -> Result<Self> {
        let mut bench = sched_getaffinity(None)?;
        let last = (0..CpuSet::MAX_CPU).rev().find(|&core| bench.is_set(core));
        let last = last.context("there is a core")?;
        ensure!(bench.count() > 1, "this takes two cores");
        let mut server = CpuSet::new();
        server.set(last);
        bench.unset(last);
        sched_setaffinity(None, &bench)?;
        Ok(Self { server, bench })
    }

    /// Starts a server on its core; it has as many event loops as it sees cores.
    pub(crate) fn start(&self, start: impl FnOnce() -> Result<Server>) -> Result<Server> {
        sched_setaffinity(None, &self.server)?;
        let server = start();
        sched_setaffinity(None, &self.bench)?;
        server
    }
}
