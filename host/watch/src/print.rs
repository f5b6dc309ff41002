//! What the file system says of files without reading them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Another one whenever one of the files has changed, has come or has gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Print(Vec<Option<Stat>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Print {
    /// Of these files as they are now, behind all symbolic links.
    pub fn of<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> Self {
        let stats = files.into_iter().map(|file| {
            let kind = fs::metadata(file).ok()?;
            Some(Stat {
                device: kind.dev(),
                inode: kind.ino(),
                bytes: kind.len(),
                changed: (kind.mtime(), kind.mtime_nsec()),
            })
        });
        Self(stats.collect())
    }
}
