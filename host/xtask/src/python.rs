//! The Python clients that tests talk through: an environment of its own in cargo's target folder.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian;
use crate::step::{self, Steps};
use crate::workspace::Workspace;

/// Installs what tests/python/requirements.txt names, unless exactly that has been installed before.
pub(crate) fn install(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let wanted = workspace.root.join("tests/python/requirements.txt");
    let (folder, installed) = (workspace.python(), workspace.python().join("requirements.txt"));
    let text = fs::read(&wanted).with_context(|| wanted.display().to_string())?;
    if fs::read(&installed).is_ok_and(|before| before == text) {
        return Ok(());
    }
    let make = || step::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).map(drop);
    steps.run("make a Python environment", || {
        // Debian has the two in packages of their own, and a bare machine has neither.
        make()
            .or_else(|_| debian::install(&["python3", "python3-venv"]).and_then(|()| make()))
            .context(MISSING)
    })?;
    let mut command = Command::new(folder.join("bin/python"));
    command
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(&wanted);
    steps.command("install the Python clients", command)?;
    // Written last: an installation that was cut short is made again.
    fs::write(&installed, text).with_context(|| installed.display().to_string())
}

const MISSING: &str = "the tests use real Python clients: install Python 3 with its venv module \
    (on Debian and Ubuntu: apt-get install python3 python3-venv)";
