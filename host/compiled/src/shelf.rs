//! A folder with compiled code that nobody else can write to, or read.
//!
//! Whoever can change what lies here can run what they like in this program. So the folder must be this user's and closed to all others,
//! which is looked at before each use, and each file ends with its sum: what was cut short or damaged is thrown away.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use jackfield_protocol::signature::sha256_hex;

/// The folder.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
    /// What all files together may have.
    most_bytes: u64,
}

impl Shelf {
    /// Makes the folder if there is none.
    ///
    /// # Errors
    /// A text that says why nothing can be kept there.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(|error| error.to_string())?;
        let shelf = Self {
            folder: folder.to_owned(),
            most_bytes: SHELF_BYTES,
        };
        shelf.check()?;
        Ok(shelf)
    }

    /// What was put here under this name, whole; it counts as used now.
    pub(crate) fn take(&self, name: &str) -> Option<Vec<u8>> {
        self.check().ok()?;
        let path = self.folder.join(name);
        // Before it is opened: anything but a file might keep us waiting.
        let kind = fs::symlink_metadata(&path).ok()?;
        let file = (kind.is_file() && is_private(&kind)).then(|| File::open(&path).ok())??;
        // Of no more use than to know what to throw away first.
        let _ = file.set_modified(SystemTime::now());
        let mut bytes = Vec::new();
        file.take(self.most_bytes).read_to_end(&mut bytes).ok()?;
        let code = bytes.len().checked_sub(SUM_BYTES)?;
        if sha256_hex(&bytes[..code]).as_bytes() != &bytes[code..] {
            tracing::warn!(name, "compiled code that was kept is damaged");
            self.discard(name);
            return None;
        }
        bytes.truncate(code);
        Some(bytes)
    }

    /// Keeps this under a name, and throws away what was not used for longest if it becomes too much.
    ///
    /// # Errors
    /// A text that says why it could not be kept; then nothing is.
    pub(crate) fn put(&self, name: &str, code: &[u8]) -> Result<(), String> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        self.check()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let beside = self.folder.join(format!("{name}.{}-{number}", process::id()));
        let written = write(&beside, code).and_then(|()| fs::rename(&beside, self.folder.join(name)));
        if written.is_err() {
            // Whatever there is of it.
            let _ = fs::remove_file(&beside);
        }
        self.trim();
        written.map_err(|error| error.to_string())
    }

    /// Throws away what is kept under this name.
    pub(crate) fn discard(&self, name: &str) {
        // If that fails, it is found to be of no use again.
        let _ = fs::remove_file(self.folder.join(name));
    }

    fn check(&self) -> Result<(), String> {
        let kind = fs::symlink_metadata(&self.folder).map_err(|error| error.to_string())?;
        if kind.is_dir() && is_private(&kind) {
            return Ok(());
        }
        Err(format!(
            "it must be a folder that is this user's and closed to all others (chmod 700); it has owner {} and mode {:o}",
            kind.uid(),
            kind.mode() & 0o7777
        ))
    }

    fn trim(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut files: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let kind = entry.metadata().ok()?;
                Some((kind.modified().ok()?, kind.len(), entry.path()))
            })
            .collect();
        files.sort_unstable_by_key(|(used, ..)| std::cmp::Reverse(*used));
        let mut bytes = 0;
        for (_, length, path) in files {
            bytes += length;
            if bytes > self.most_bytes {
                // Another instance may have been quicker.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn is_private(kind: &Metadata) -> bool {
    kind.uid() == rustix::process::geteuid().as_raw() && kind.mode() & 0o077 == 0
}

fn write(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(code)?;
    file.write_all(sha256_hex(code).as_bytes())
}

/// What a sum takes at the end of a file: SHA-256 in hexadecimal digits.
const SUM_BYTES: usize = 64;

/// What is kept in all: a dozen plugins in JavaScript or Python, or thousands in Rust.
const SHELF_BYTES: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::Duration;

    use super::*;

    /// A place of this test's own, cleared away in the end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let place = std::env::temp_dir().join(format!("jackfield-shelf-{}-{name}", process::id()));
            let _ = fs::remove_dir_all(&place);
            Self(place)
        }

        fn shelf(&self) -> Shelf {
            Shelf::open(&self.0.join("a/b")).expect("the temporary folder can be written to")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.0.join("a/b")).expect("it is there");
            let mut names: Vec<String> = entries
                .map(|entry| entry.expect("ours").file_name().to_string_lossy().into_owned())
                .collect();
            names.sort_unstable();
            names
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_put_is_taken() {
        let place = Place::new("put");
        let shelf = place.shelf();
        assert_eq!(shelf.take("one"), None);
        shelf.put("one", b"code").expect("there is room");
        shelf.put("one", b"other code").expect("there is room");
        assert_eq!(shelf.take("one"), Some(b"other code".to_vec()));
        assert_eq!(place.names(), ["one"], "nothing is left beside it");
        shelf.discard("one");
        assert_eq!(shelf.take("one"), None);
    }

    #[test]
    fn folder_and_files_are_closed_to_others() {
        let place = Place::new("closed");
        let shelf = place.shelf();
        shelf.put("one", b"code").expect("there is room");
        let mode = |path: &str| fs::metadata(place.0.join(path)).expect("it is there").mode() & 0o777;
        assert_eq!((mode("a"), mode("a/b"), mode("a/b/one")), (0o700, 0o700, 0o600));
    }

    #[test]
    fn what_others_can_reach_is_not_used() {
        let place = Place::new("open");
        let shelf = place.shelf();
        shelf.put("one", b"code").expect("there is room");
        let (folder, file) = (place.0.join("a/b"), place.0.join("a/b/one"));
        let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
        open(&file, 0o620);
        assert_eq!(shelf.take("one"), None);
        open(&file, 0o600);
        open(&folder, 0o750);
        assert_eq!(shelf.take("one"), None);
        let error = shelf.put("one", b"code").expect_err("no longer private");
        assert!(error.contains("mode 750"), "{error}");
        assert!(Shelf::open(&folder).is_err());
        open(&folder, 0o700);
        assert_eq!(shelf.take("one"), Some(b"code".to_vec()));
        symlink(&folder, place.0.join("link")).expect("ours");
        assert!(Shelf::open(&place.0.join("link")).is_err());
    }

    #[test]
    fn what_is_damaged_is_thrown_away() {
        let place = Place::new("damaged");
        let shelf = place.shelf();
        for (index, damage) in [&b""[..], b"short", &[0; 100]].into_iter().enumerate() {
            let name = format!("{index}");
            shelf.put(&name, b"code").expect("there is room");
            fs::write(place.0.join("a/b").join(&name), damage).expect("ours");
            assert_eq!(shelf.take(&name), None);
            shelf.put(&name, b"code").expect("there is room");
            assert_eq!(shelf.take(&name), Some(b"code".to_vec()));
        }
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let place = Place::new("trim");
        let mut shelf = place.shelf();
        shelf.most_bytes = 3 * (SUM_BYTES as u64 + 4);
        let long_ago = SystemTime::now() - Duration::from_secs(100);
        for (index, name) in ["one", "two", "three"].into_iter().enumerate() {
            shelf.put(name, b"code").expect("there is room");
            let file = File::open(place.0.join("a/b").join(name)).expect("it is there");
            file.set_modified(long_ago + Duration::from_secs(index as u64))
                .expect("ours");
        }
        assert!(shelf.take("one").is_some(), "it is used once more");
        shelf.put("four", b"code").expect("there is room");
        assert_eq!(place.names(), ["four", "one", "three"]);
    }
}
