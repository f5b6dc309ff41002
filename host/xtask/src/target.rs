//! A toolchain that can build for `wasm32-unknown-unknown`, found or fetched.
//!
//! Three ways, in this order: the target is installed; rustup installs it; on Debian, packages from the distribution
//! build the target's standard library from source. Each that fails says why, and the last message lists them all.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::debian;
use crate::guest::Guest;
use crate::step;
use crate::workspace::Workspace;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Route {
    /// The active toolchain has the target.
    Installed,
    /// `rustup target add`.
    Rustup,
    /// Debian's rustc-web, which builds the standard library too.
    Debian,
}

/// How to call the cargo that builds guests.
pub(crate) struct Toolchain {
    pub(crate) cargo: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// Variables of the calling toolchain that would mislead this one.
    pub(crate) without: &'static [&'static str],
    /// The folder that stands for `target/`: two compilers must not share one.
    pub(crate) target: PathBuf,
    pub(crate) root: PathBuf,
}

impl Toolchain {
    /// The command that builds the core modules of `guests`.
    pub(crate) fn build(&self, guests: &[&Guest]) -> Command {
        let mut command = Command::new(&self.cargo);
        for name in self.without {
            command.env_remove(name);
        }
        command.current_dir(&self.root).envs(self.environment.iter().cloned());
        command
            .args(["build", "--profile", PROFILE, "--target", TARGET, "--target-dir"])
            .arg(&self.target);
        command.args(&self.arguments);
        command.args(guests.iter().flat_map(|guest| ["--package", guest.name()]));
        command
    }

    /// Where [`Self::build`] leaves the core modules.
    pub(crate) fn core_folder(&self) -> PathBuf {
        self.target.join(TARGET).join(PROFILE)
    }

    /// The toolchain that called us; it has the target.
    fn active(workspace: &Workspace) -> Self {
        Self {
            cargo: workspace.cargo(&[]).get_program().into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            without: &[],
            target: workspace.target.clone(),
            root: workspace.root.clone(),
        }
    }
}

/// Takes the first way that works, or only `forced`.
pub(crate) fn prepare(workspace: &Workspace, forced: Option<Route>) -> Result<Toolchain> {
    let routes = forced.map_or_else(|| Route::value_variants().to_vec(), |route| vec![route]);
    let mut refusals = Vec::new();
    for route in routes {
        match attempt(route, workspace) {
            Ok(toolchain) => {
                eprintln!("           {TARGET}: {}", route.describe());
                return Ok(toolchain);
            }
            Err(error) => refusals.push((route, format!("{error:#}"))),
        }
    }
    bail!(advice(&refusals))
}

impl Route {
    const fn describe(self) -> &'static str {
        match self {
            Self::Installed => "installed in the active toolchain",
            Self::Rustup => "added by rustup",
            Self::Debian => "built from source by Debian's rustc-web",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        }
    }
}

fn attempt(route: Route, workspace: &Workspace) -> Result<Toolchain> {
    match route {
        Route::Installed => find_installed(&workspace.root, TARGET)?,
        Route::Rustup => {
            add_with_rustup(&workspace.root, TARGET)?;
            find_installed(&workspace.root, TARGET)?;
        }
        Route::Debian => return debian::toolchain(workspace),
    }
    Ok(Toolchain::active(workspace))
}

/// Fails unless the active toolchain can build for `target`.
pub(crate) fn find_installed(root: &Path, target: &str) -> Result<()> {
    let mut rustc = Command::new("rustc");
    let folder = step::output(
        rustc
            .current_dir(root)
            .args(["--print", "target-libdir", "--target", target]),
    )?;
    if !holds_std(Path::new(&folder)) {
        bail!("the active toolchain has no standard library for it");
    }
    Ok(())
}

fn holds_std(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

pub(crate) fn add_with_rustup(root: &Path, target: &str) -> Result<()> {
    let mut rustup = Command::new("rustup");
    rustup
        .current_dir(root)
        .env("RUSTUP_MAX_RETRIES", "1")
        .args(["target", "add", target]);
    step::output(&mut rustup).map(drop)
}

/// What to say when no way worked.
fn advice(refusals: &[(Route, String)]) -> String {
    let tried: String = refusals
        .iter()
        .map(|(route, why)| format!("\n  {}: {why}", route.name()))
        .collect();
    format!(
        "plugins are built for {TARGET}, and no toolchain here can do that. Tried:{tried}\n\
         Install one of:\n  \
         rustup target add {TARGET}\n  \
         on Debian or Ubuntu, as root: apt-get install {}",
        debian::PACKAGES.join(" ")
    )
}

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
pub(crate) const PROFILE: &str = "guest";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_says_what_was_tried_and_what_to_install() {
        let advice = advice(&[
            (Route::Installed, "no std".into()),
            (Route::Rustup, "no network".into()),
        ]);
        for part in [
            "installed: no std",
            "rustup: no network",
            "rustup target add wasm32",
            "apt-get install rustc-web",
        ] {
            assert!(advice.contains(part), "{part} is missing from: {advice}");
        }
    }

    #[test]
    fn the_cheapest_route_comes_first() {
        assert_eq!(
            Route::value_variants(),
            [Route::Installed, Route::Rustup, Route::Debian]
        );
    }

    #[test]
    fn an_empty_library_folder_is_no_target() {
        assert!(!holds_std(Path::new(env!("CARGO_MANIFEST_DIR"))));
        assert!(!holds_std(Path::new("/nowhere/at/all")));
    }

    #[test]
    fn core_modules_lie_in_the_toolchains_own_folder() {
        let workspace = Workspace::locate().unwrap();
        let toolchain = Toolchain {
            target: "elsewhere".into(),
            ..Toolchain::active(&workspace)
        };
        assert_eq!(
            toolchain.core_folder(),
            Path::new("elsewhere/wasm32-unknown-unknown/guest")
        );
        let command = format!("{:?}", toolchain.build(&[]));
        assert!(command.contains("\"--target-dir\" \"elsewhere\""), "{command}");
    }
}
