//! Folders in which the file system tells that something has happened.

use std::path::Path;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::settling::POLL;

/// Tells of whatever happens in some folders: reason enough for a look.
pub struct Folders(Option<RecommendedWatcher>);

impl Folders {
    /// No folders yet; `told` is called on a thread of its own.
    pub fn new(told: impl Fn() + Send + 'static) -> Self {
        let watcher = notify::recommended_watcher(move |_| told());
        let seconds = POLL.as_secs();
        Self(
            watcher
                .inspect_err(
                    |error| tracing::warn!(%error, "files cannot be watched; they are looked at every {seconds} s"),
                )
                .ok(),
        )
    }

    /// Watches one more.
    pub fn add(&mut self, folder: &Path) {
        let Some(watcher) = &mut self.0 else { return };
        if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
            let (folder, seconds) = (folder.display(), POLL.as_secs());
            tracing::warn!(%error, %folder, "a folder cannot be watched; it is looked at every {seconds} s");
        }
    }

    /// Watches the one that a file is in.
    pub fn add_of(&mut self, file: &Path) {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        self.add(folder.unwrap_or_else(|| Path::new(".")));
    }

    /// Whether there is anybody to tell.
    pub fn are_watched(&self) -> bool {
        self.0.is_some()
    }
}
