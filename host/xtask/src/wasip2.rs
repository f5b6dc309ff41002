//! Guests for `wasm32-wasip2`: a plain `cargo build` makes the component, and it may use all of the standard library.
//!
//! The target comes with rustup alone: Debian's packages have neither its libc nor its linker. Without it the tests that
//! load these guests are left out, which is said in as many words; everything else is built and tested.

use std::fs;

use anyhow::{Context, Result};

use crate::component;
use crate::guest::Guest;
use crate::step::Steps;
use crate::target::{self, PROFILE};
use crate::workspace::Workspace;

/// Builds the guests of tests/guests that are for this target, with what their authors would call. False if the target cannot be had.
pub(crate) fn build(workspace: &Workspace, steps: &mut Steps) -> Result<bool> {
    let mut guests = Guest::list(&workspace.root.join("tests/guests"))?;
    guests.retain(|guest| guest.is_wasip2);
    if let Err(error) = find(workspace) {
        steps.announce(&format!("no {TARGET}: {error:#}\n           {ADVICE}"));
        // What an earlier run left would be tested in their place.
        guests.iter().try_for_each(|guest| remove(workspace, guest))?;
        return Ok(false);
    }
    let mut command = workspace.cargo(&["build", "--profile", PROFILE, "--target", TARGET]);
    command.args(guests.iter().flat_map(|guest| ["--package", guest.name()]));
    steps.command(&format!("compile {} plugins for {TARGET}", guests.len()), command)?;
    guests.iter().try_for_each(|guest| {
        let built = workspace.target.join(TARGET).join(PROFILE).join(guest.core_file());
        let component = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
        component::place(&component, &workspace.test_guests().join(guest.plugin_file()))
    })?;
    Ok(true)
}

fn find(workspace: &Workspace) -> Result<()> {
    target::find_installed(&workspace.root, TARGET).or_else(|_| {
        target::add_with_rustup(&workspace.root, TARGET)?;
        target::find_installed(&workspace.root, TARGET)
    })
}

fn remove(workspace: &Workspace, guest: &Guest) -> Result<()> {
    let old = workspace.test_guests().join(guest.plugin_file());
    match fs::remove_file(&old) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", old.display()))
        }
        _ => Ok(()),
    }
}

pub(crate) const TARGET: &str = "wasm32-wasip2";

/// The module of the scenarios that load these guests.
pub(crate) const SCENARIOS: &str = "languages::wasip2";

const ADVICE: &str =
    "the scenarios of plugins for it (languages::wasip2) are NOT RUN; with rustup: rustup target add wasm32-wasip2";
