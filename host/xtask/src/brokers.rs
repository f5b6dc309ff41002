//! The real programs that tests talk through: Redis, NATS and two balancers, as programs of this machine.

use std::process::Command;

use anyhow::{Context, Result};

use crate::debian;
use crate::step::{self, Steps};

/// Looks for the programs, and installs them where that is possible.
pub(crate) fn install(steps: &mut Steps) -> Result<()> {
    steps.run(
        "look for redis-server, redis-cli, nats-server, nginx and haproxy",
        || {
            present(&PROGRAMS)
                .or_else(|_| debian::install(&PACKAGES).and_then(|()| present(&PROGRAMS)))
                .context(MISSING)
        },
    )
}

fn present(programs: &[&str]) -> Result<()> {
    programs
        .iter()
        .try_for_each(|program| step::output(Command::new(program).arg("-v")).map(drop))
}

const PROGRAMS: [&str; 5] = ["redis-server", "redis-cli", "nats-server", "nginx", "haproxy"];
/// Debian keeps redis-cli in redis-tools, which redis-server needs.
const PACKAGES: [&str; 4] = ["redis-server", "nats-server", "nginx-light", "haproxy"];
const MISSING: &str = "the tests start real brokers and balancers: install Redis 7 with redis-cli, nats-server 2, nginx and \
    haproxy (on Debian: apt-get install redis-server nats-server nginx-light haproxy)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_noticed_among_others() {
        assert!(present(&["true"]).is_ok());
        assert!(present(&["true", "no-such-broker-here"]).is_err());
    }
}
