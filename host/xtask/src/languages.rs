//! Guests in other languages than Rust: each is a folder of tests/guests with a `build.sh`, which says what its author would.
//!
//! The script runs in a copy of the folder under cargo's target folder, beside a copy of `wit/` with the guest's world in
//! it, and makes `plugin.wasm`. It takes half a minute, so it runs only when something that goes into it has changed.

use std::env::{join_paths, split_paths};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::component::{place, write_if_changed};
use crate::step::Steps;
use crate::workspace::Workspace;

/// Builds the guests whose sources have changed. Wants the tests' Python environment, and npm.
pub(crate) fn build(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    for name in LANGUAGES {
        let folder = workspace.target.join("languages").join(name);
        let inputs = gather(workspace, name)?;
        let stamp = folder.join("inputs");
        let text = inputs
            .iter()
            .flat_map(|(path, bytes)| [path.as_os_str().as_encoded_bytes(), bytes]);
        let text = text.collect::<Vec<_>>().join(&b'\n');
        let component = folder.join("plugin.wasm");
        if fs::read(&stamp).is_ok_and(|before| before == text) && component.is_file() {
            continue;
        }
        for (path, bytes) in &inputs {
            write_if_changed(&folder.join(path), bytes)?;
        }
        let mut command = Command::new("sh");
        command
            .current_dir(&folder)
            .args(["-e", "build.sh"])
            .env("PATH", path(workspace)?);
        steps.command(&format!("make a plugin of {name}"), command)?;
        let bytes = fs::read(&component).with_context(|| format!("cannot read {}", component.display()))?;
        place(&bytes, &workspace.test_guests().join(format!("{name}.wasm")))?;
        let limits = workspace.test_guests().join(format!("{name}.toml"));
        write_if_changed(&limits, &fs::read(folder.join("plugin.toml"))?)?;
        // Written last: a build that was cut short is made again.
        write_if_changed(&stamp, &text)?;
    }
    Ok(())
}

/// All files that the script finds, by their place in its folder, sorted.
fn gather(workspace: &Workspace, name: &str) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let guests = workspace.root.join("tests/guests");
    let mut files = Vec::new();
    collect(&guests.join(name), Path::new(""), &mut files)?;
    collect(&workspace.root.join("wit"), Path::new("wit"), &mut files)?;
    let world = guests.join(WORLD);
    let text = fs::read(&world).with_context(|| format!("cannot read {}", world.display()))?;
    files.push((Path::new("wit").join(WORLD), text));
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, place: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_name() == "node_modules" {
            // Somebody tried the script by hand.
            continue;
        }
        let place = place.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &place, files)?;
        } else {
            files.push((place, fs::read(entry.path())?));
        }
    }
    Ok(())
}

/// The caller's, with the tests' Python environment in front.
#[expect(clippy::disallowed_methods, reason = "the way in which programs are found")]
fn path(workspace: &Workspace) -> Result<OsString> {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let folders = [workspace.python().join("bin")].into_iter().chain(split_paths(&own));
    Ok(join_paths(folders)?)
}

/// Folders of tests/guests; also the plugins' names.
const LANGUAGES: [&str; 2] = ["javascript", "python"];

/// The world of all of them, in tests/guests.
const WORLD: &str = "closed-channels.wit";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_finds_its_sources_and_the_contract() {
        let workspace = Workspace::locate().unwrap();
        for name in LANGUAGES {
            let files = gather(&workspace, name).unwrap();
            let there = |wanted: &str| files.iter().any(|(path, _)| path == Path::new(wanted));
            for wanted in [
                "build.sh",
                "plugin.toml",
                "wit/plugin.wit",
                "wit/deps/auth/auth.wit",
                "wit/closed-channels.wit",
            ] {
                assert!(there(wanted), "{name} has no {wanted}");
            }
        }
    }
}
