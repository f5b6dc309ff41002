//! What plugins cost before they are called: the time to load one, and the memory of an instance.

use std::fs;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use jackfield_hub::doors::{Answer, Claim, Verdict};
use jackfield_wasm::Registry;

use crate::doors::{claims, client, wanted};

/// Threads that call the auth plugin, each an instance of its own.
const INSTANCES: usize = 60;

/// Loads to time.
const LOADS: usize = 5;

/// Prints the time to load the four default plugins, compilation included, and what an instance of `auth-pusher` adds to
/// the resident memory when it has answered a question.
#[expect(clippy::print_stdout, reason = "the figures are what the bench is for")]
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (apps, client) = client()?;
    let load =
        || Registry::load(&wanted()?, Arc::clone(&apps), runtime.handle().clone()).map_err(|error| anyhow!(error));
    let mut times = Vec::new();
    for _ in 0..LOADS {
        let begun = Instant::now();
        drop(load()?);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let median: Duration = times[LOADS / 2];
    println!(
        "loading the four default plugins, compiled anew: {} ms",
        median.as_millis()
    );

    let (registry, _adapter) = load()?;
    let authorizer = registry.authorizer();
    let claims: Vec<(&str, Claim)> = claims(&client)?;
    let (_, claim) = &claims[2];
    let (bare, with_instances) = thread::scope(|scope| {
        let [ready, called, go, end] = [(); 4].map(|()| Arc::new(Barrier::new(INSTANCES + 1)));
        for _ in 0..INSTANCES {
            let (ready, called, go, end) = (
                Arc::clone(&ready),
                Arc::clone(&called),
                Arc::clone(&go),
                Arc::clone(&end),
            );
            let authorizer = Arc::clone(&authorizer);
            scope.spawn(move || {
                ready.wait();
                go.wait();
                assert!(matches!(authorizer.check(claim), Answer::Ready(Ok(Verdict::Allow(_)))));
                called.wait();
                end.wait();
            });
        }
        ready.wait();
        let bare = resident();
        go.wait();
        called.wait();
        let with_instances = resident();
        end.wait();
        (bare, with_instances)
    });
    let bytes = (with_instances? - bare?) / INSTANCES as u64;
    let per_mib = (1_u64 << 20) as f64 / bytes as f64;
    println!(
        "an instance of auth-pusher: {} KiB resident, {per_mib:.1} instances a MiB",
        bytes >> 10
    );
    Ok(())
}

/// Resident memory of this process in bytes.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .context("the kernel tells VmRSS")?;
    Ok(kib.parse::<u64>()? << 10)
}
