//! Noticing that files have changed: the file system tells, and somebody looks from time to time, since some file systems say nothing.
//!
//! Folders are watched, not files: whoever saves often puts another file in the place of the old one. A change counts when it has not
//! gone on for a moment. Start at [`watch_file`], which is all there is to one file; who looks after several, and has other things to
//! do, uses [`Folders`], [`Print`] and [`Settling`] likewise.
//!
//! Invariant: nothing is read.

mod folders;
mod print;
mod settling;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;

pub use folders::Folders;
pub use print::Print;
pub use settling::{Look, POLL, SOON, Settling};

/// Calls `told` on a thread of its own whenever the file has changed and has not gone on changing, and once soon after this call,
/// until it says that nobody listens any more.
///
/// # Errors
/// When there is no thread.
pub fn watch_file(file: PathBuf, told: impl Fn() -> bool + Send + 'static) -> io::Result<()> {
    let (wake, woken) = sync_channel(1);
    let mut folders = Folders::new(move || {
        // Full: it will look anyway.
        let _ = wake.try_send(());
    });
    folders.add_of(&file);
    let watching = move || {
        // Whether it has changed since it was read is for who reads it to say.
        let mut settling = Settling::new(Print::default());
        let mut pause = SOON;
        loop {
            // An event or the end of the pause: a look either way. Without a watcher nothing ever comes, at once.
            if woken.recv_timeout(pause).is_err() && !folders.are_watched() {
                thread::sleep(pause);
            }
            pause = match settling.look(Print::of([&file])) {
                Look::Changed if !told() => return,
                Look::Unsettled => SOON,
                _ => POLL,
            };
        }
    };
    thread::Builder::new()
        .name("file-watcher".to_owned())
        .spawn(watching)
        .map(drop)
}
