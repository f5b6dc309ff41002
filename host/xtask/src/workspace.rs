//! Where things are: the checkout, cargo's target folder, the cargo that called us.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The packages of every host command. It is always the same selection, because cargo unites features over what is
/// selected: another one would build parts of wasmtime a second time.
pub(crate) const HOST: [&str; 3] = ["--workspace", "--exclude", "xtask"];

/// How the names of variables begin that describe one package.
const OF_ONE_PACKAGE: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// The checkout that xtask was built from.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
    cargo: PathBuf,
    /// Variables with which `cargo run` describes xtask. Build scripts of others look at them, and would run again for each cargo that is
    /// called in the other way.
    of_this_package: Vec<OsString>,
}

impl Workspace {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo's own variables; this is the one place that reads them"
    )]
    pub(crate) fn locate() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("xtask is not in host/xtask")?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self {
            root: root.to_owned(),
            target: std::path::absolute(target)?,
            cargo: std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from),
            of_this_package: std::env::vars_os()
                .map(|(name, _)| name)
                .filter(|name| {
                    OF_ONE_PACKAGE
                        .iter()
                        .any(|prefix| name.to_string_lossy().starts_with(prefix))
                })
                .collect(),
        })
    }

    /// The calling cargo, at the root of the checkout.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(&self.root).args(arguments);
        for name in &self.of_this_package {
            command.env_remove(name);
        }
        command
    }

    /// As [`Self::cargo`], for all packages that make or test the host.
    pub(crate) fn host_cargo(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = self.cargo(&[verb]);
        command.args(HOST).args(arguments);
        command
    }

    pub(crate) fn host_binary(&self) -> PathBuf {
        self.target.join("release/jackfield")
    }

    pub(crate) fn bench_binary(&self) -> PathBuf {
        self.target.join("release/jackfield-bench")
    }

    /// Where the default plugins are written, and where operators drop theirs.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// The Python environment of the tests.
    pub(crate) fn python(&self) -> PathBuf {
        self.target.join("python")
    }

    /// Where the plugins that only tests load are written.
    pub(crate) fn test_guests(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// Where a soak leaves what it has found.
    pub(crate) fn soak(&self) -> PathBuf {
        self.target.join("soak")
    }
}
