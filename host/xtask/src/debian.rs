//! Debian's second Rust toolchain, which comes with the sources of the standard library.
//!
//! It has no WebAssembly target of its own, so cargo builds that target's standard library along with the guests. A
//! released cargo allows it only with RUSTC_BOOTSTRAP, which is set for this one command.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step;
use crate::target::Toolchain;
use crate::workspace::Workspace;

pub(crate) const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Finds the toolchain, installs it if it may, and finds a linker for it.
pub(crate) fn toolchain(workspace: &Workspace) -> Result<Toolchain> {
    let programs = match Programs::installed() {
        Ok(programs) => programs,
        Err(_) => {
            install(&PACKAGES)?;
            Programs::installed()?
        }
    };
    let linker = match linker(&workspace.root) {
        Some(linker) => linker,
        None => {
            install(&["lld"])?;
            PathBuf::from("wasm-ld")
        }
    };
    Ok(Toolchain {
        cargo: programs.cargo,
        arguments: vec!["-Zbuild-std=std,panic_abort".into()],
        environment: vec![
            ("RUSTC", programs.rustc.into()),
            ("RUSTC_BOOTSTRAP", "1".into()),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker.into()),
        ],
        without: &["CARGO", "LD_LIBRARY_PATH", "RUSTDOC", "RUSTUP_TOOLCHAIN"],
        target: workspace.target.join("debian-web"),
        root: workspace.root.clone(),
    })
}

struct Programs {
    cargo: PathBuf,
    rustc: PathBuf,
}

impl Programs {
    fn installed() -> Result<Self> {
        step::output(Command::new("dpkg").args(["-L", "rust-web-src"]))?;
        Ok(Self {
            cargo: program("cargo-web", "cargo")?,
            rustc: program("rustc-web", "rustc")?,
        })
    }
}

fn program(package: &str, name: &str) -> Result<PathBuf> {
    let files = step::output(Command::new("dpkg").args(["-L", package]))?;
    pick_program(&files, name).with_context(|| format!("package {package} holds no program {name}"))
}

/// The program among a package's files. The shortest path wins: a package may hold a wrapper of the same name in a
/// folder of its own.
fn pick_program(files: &str, name: &str) -> Option<PathBuf> {
    let ending = format!("/bin/{name}");
    files
        .lines()
        .filter(|file| file.ends_with(&ending))
        .min_by_key(|file| file.len())
        .map(PathBuf::from)
}

pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if step::output(Command::new("apt-get").arg("--version")).is_err() {
        bail!("this is not Debian: there is no apt-get");
    }
    if !root {
        bail!("only root may install {}", packages.join(" "));
    }
    if apt_get("install", packages).is_err() {
        apt_get("update", &[])?;
        apt_get("install", packages)?;
    }
    Ok(())
}

fn apt_get(verb: &str, packages: &[&str]) -> Result<()> {
    eprintln!("           apt-get {verb} {}", packages.join(" "));
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-y", "-q", verb])
        .args(packages);
    step::output(&mut command).map(drop)
}

/// `rust-lld` of the active toolchain, else the `wasm-ld` of package lld.
fn linker(root: &Path) -> Option<PathBuf> {
    let mut rustc = Command::new("rustc");
    let folder = step::output(rustc.current_dir(root).args(["--print", "target-libdir"])).ok()?;
    let bundled = Path::new(&folder).with_file_name("bin").join("rust-lld");
    let system = || {
        step::output(Command::new("wasm-ld").arg("--version"))
            .is_ok()
            .then(|| PathBuf::from("wasm-ld"))
    };
    if bundled.is_file() { Some(bundled) } else { system() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_beside_a_wrapper_of_the_same_name() {
        let files = "/usr\n/usr/share/cargo/bin/cargo\n/usr/bin/cargo\n/usr/share/doc/cargo-web\n/usr/bin/cargo-fmt";
        assert_eq!(pick_program(files, "cargo"), Some("/usr/bin/cargo".into()));
        assert_eq!(pick_program(files, "rustc"), None);
    }
}
