//! Where instances end whose call was stopped: to give their memory back takes the kernel a while, for which nobody waits who has others to
//! serve.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::{io, thread};

/// The way to the thread that drops them.
pub(crate) struct Discard(SyncSender<Box<dyn Send>>);

impl Discard {
    /// Starts the thread, which ends when this is gone.
    pub(crate) fn start() -> io::Result<Self> {
        let (gone, end) = sync_channel(WAITING);
        thread::Builder::new()
            .name("instance-discarder".to_owned())
            .spawn(move || end.into_iter().for_each(drop))?;
        Ok(Self(gone))
    }

    /// Drops an instance, soon and elsewhere; here, if too many wait for it.
    pub(crate) fn take(&self, instance: impl Send + 'static) {
        if let Err(TrySendError::Full(instance) | TrySendError::Disconnected(instance)) =
            self.0.try_send(Box::new(instance))
        {
            drop(instance);
        }
    }
}

/// Instances that wait for their end. A plugin that is stopped again and again is paused before there are more, and each of them holds
/// a place in the engine's pool.
const WAITING: usize = 8;
