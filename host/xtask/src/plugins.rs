//! Guests, from source to the components that the host loads.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::component;
use crate::guest::Guest;
use crate::step::Steps;
use crate::target::Toolchain;
use crate::workspace::Workspace;

/// Guests on their way to one folder.
pub(crate) struct Batch {
    /// Those that cargo makes core modules of.
    guests: Vec<Guest>,
    folder: PathBuf,
}

impl Batch {
    /// The plugins that ship with the server.
    pub(crate) fn defaults(workspace: &Workspace) -> Result<Self> {
        Ok(Self {
            guests: Guest::list(&workspace.plugins())?,
            folder: workspace.plugins(),
        })
    }

    /// The examples and the guests that misbehave on purpose. They stay out of plugins/, where a server would load them.
    pub(crate) fn for_tests(workspace: &Workspace) -> Result<Self> {
        let mut guests = Guest::list(&workspace.root.join("examples"))?;
        guests.extend(Guest::list(&workspace.root.join("tests/guests"))?);
        guests.retain(|guest| !guest.is_wasip2);
        Ok(Self {
            guests,
            folder: workspace.test_guests(),
        })
    }
}

/// Compiles all batches with one call of cargo, then wraps each guest into its folder.
pub(crate) fn build(toolchain: &Toolchain, batches: &[Batch], steps: &mut Steps) -> Result<()> {
    let guests: Vec<&Guest> = batches.iter().flat_map(|batch| &batch.guests).collect();
    steps.command(&format!("compile {} plugins", guests.len()), toolchain.build(&guests))?;
    steps.run("wrap them as components", || {
        batches.iter().try_for_each(|batch| wrap_all(toolchain, batch))
    })
}

fn wrap_all(toolchain: &Toolchain, batch: &Batch) -> Result<()> {
    batch.guests.iter().try_for_each(|guest| {
        let core: &Path = &toolchain.core_folder().join(guest.core_file());
        component::wrap(core, &batch.folder.join(guest.plugin_file()))
    })
}
