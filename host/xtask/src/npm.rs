//! The real clients that tests talk through: npm packages of tests/js.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::{self, Steps};
use crate::workspace::Workspace;

/// Installs what tests/js/package-lock.json names, unless that has been done since it changed.
pub(crate) fn install(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let folder = workspace.root.join("tests/js");
    steps.run("look for node and npm", || {
        ["node", "npm"]
            .into_iter()
            .try_for_each(|program| present(program).context(MISSING))
    })?;
    if is_fresh(&folder) {
        return Ok(());
    }
    let mut command = Command::new("npm");
    command.current_dir(&folder).args(["ci", "--no-audit", "--no-fund"]);
    steps.command("install the JavaScript clients", command)
}

fn present(program: &str) -> Result<()> {
    step::output(Command::new(program).arg("--version")).map(drop)
}

/// npm writes the file inside node_modules last, so it dates the last complete installation.
fn is_fresh(folder: &Path) -> bool {
    let age = |name: &str| fs::metadata(folder.join(name)).and_then(|file| file.modified()).ok();
    match (age("node_modules/.package-lock.json"), age("package-lock.json")) {
        (Some(installed), Some(wanted)) => installed >= wanted,
        _ => false,
    }
}

const MISSING: &str = "the tests use real JavaScript clients: install Node.js 20 or later with npm \
    (on Debian and Ubuntu: apt-get install nodejs npm)";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn touch(file: &Path, age: Duration) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::File::create(file)
            .unwrap()
            .set_modified(SystemTime::now() - age)
            .unwrap();
    }

    #[test]
    fn an_installation_older_than_the_lock_file_is_stale() {
        let folder = std::env::temp_dir().join(format!("xtask-npm-{}", std::process::id()));
        let (lock, installed) = (
            folder.join("package-lock.json"),
            folder.join("node_modules/.package-lock.json"),
        );
        touch(&lock, Duration::from_secs(60));
        assert!(!is_fresh(&folder), "never installed");
        touch(&installed, Duration::from_secs(90));
        assert!(!is_fresh(&folder), "installed before the lock file changed");
        touch(&installed, Duration::from_secs(30));
        assert!(is_fresh(&folder));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_missing_program_is_noticed() {
        assert!(present("no-such-program-here").is_err());
    }
}
