//! The change of a version in small, in every order in which threads can meet: the pointer to the live version, an instance behind a
//! lock, and what it keeps handed over.
//!
//! The same steps as in the runtime's pool (`call_keyed`, `succeed`) and slot (`put`), on types whose interleavings are tried.

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread;

/// Two versions; the number in a slot is what its instance has counted.
struct Versions {
    /// The pointer: which of them is live.
    live: AtomicUsize,
    slots: [Mutex<usize>; 2],
    retired: [AtomicBool; 2],
}

impl Versions {
    fn new() -> Self {
        Self {
            live: AtomicUsize::new(0),
            slots: [Mutex::new(0), Mutex::new(0)],
            retired: [AtomicBool::new(false), AtomicBool::new(false)],
        }
    }

    fn kept(&self, version: usize) -> MutexGuard<'_, usize> {
        self.slots[version].lock().expect("nobody panics with it")
    }

    /// One question that is counted. How often it had to look for the live version.
    fn count(&self, says_retired: bool) -> usize {
        for looks in 1.. {
            let version = self.live.load(Ordering::Acquire);
            let mut slot = self.kept(version);
            if says_retired && self.retired[version].load(Ordering::Relaxed) {
                continue;
            }
            *slot += 1;
            return looks;
        }
        unreachable!("somebody is live")
    }

    fn succeed(&self, old: usize, new: usize) {
        let mut left = self.kept(old);
        *self.kept(new) += std::mem::take(&mut *left);
        self.retired[new].store(false, Ordering::Relaxed);
        self.retired[old].store(true, Ordering::Relaxed);
        self.live.store(new, Ordering::Release);
    }

    /// What the live version has counted, when all is over.
    fn counted(&self) -> usize {
        *self.kept(self.live.load(Ordering::Acquire))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Forth,
    ForthAndBack,
    /// The version that was left does not say so.
    Unsaid,
}

/// Some threads ask while the version is changed.
fn questions_meet(change: Change, askers: usize) {
    let (says_retired, back) = (change != Change::Unsaid, change == Change::ForthAndBack);
    let mut model = loom::model::Builder::new();
    // More turns than there are steps at which the outcome is decided.
    model.preemption_bound = Some(3);
    model.check(move || {
        let versions = Arc::new(Versions::new());
        let asking: Vec<_> = (0..askers)
            .map(|_| {
                let versions = Arc::clone(&versions);
                thread::spawn(move || versions.count(says_retired))
            })
            .collect();
        versions.succeed(0, 1);
        if back {
            versions.succeed(1, 0);
        }
        for asked in asking {
            // Once more for each change that it may have met.
            assert!(asked.join().expect("it has its answer") <= 2 + usize::from(back));
        }
        assert_eq!(
            versions.counted(),
            askers,
            "every question is counted by who is live in the end"
        );
    });
}

#[test]
fn no_count_is_lost_over_a_change() {
    questions_meet(Change::Forth, 2);
}

#[test]
fn no_count_is_lost_over_a_change_that_is_taken_back() {
    questions_meet(Change::ForthAndBack, 1);
}

/// Without the word of the version that was left, a question may be counted where nobody looks any more.
#[test]
#[should_panic(expected = "every question is counted")]
fn the_model_can_fail() {
    questions_meet(Change::Unsaid, 1);
}
