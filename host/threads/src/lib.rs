//! What the kernel's scheduler is told of the threads that are not like those that serve.
//!
//! Where something is not allowed, or the kernel does not know it, a thread goes on as it is.

use std::io;
use std::time::Duration;

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy,
};
pub use thread_priority::{ThreadId, thread_native_id};

/// Has a thread run when nobody else wants a core: one that is merely less urgent holds up those who serve for milliseconds.
pub fn stand_back(thread: ThreadId) {
    schedule(thread, NormalThreadSchedulePolicy::Idle);
}

/// Has a thread run like others.
pub fn take_turns(thread: ThreadId) {
    schedule(thread, NormalThreadSchedulePolicy::Other);
}

/// Has the calling thread run as soon as it wakes up, though another is in the midst of its slice: for one that has next to nothing
/// to do, and that others depend on. It takes no privilege, and Linux 6.12; before that the kernel has no such wish.
///
/// # Errors
/// The kernel's.
pub fn be_prompt() -> io::Result<()> {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: rustix::process::getpriority_process(None)?,
        sched_priority: 0,
        sched_runtime: SHORTEST_SLICE.as_nanos() as u64,
        sched_deadline: 0,
        sched_period: 0,
    };
    let (itself, no_flags): (libc::pid_t, libc::c_uint) = (0, 0);
    #[expect(
        unsafe_code,
        reason = "sched_setattr(2) reads as many bytes as `size` says from a structure that outlives the call, and writes none; nobody \
                  wraps it for threads that are not realtime ones"
    )]
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, itself, &raw const attributes, no_flags) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn schedule(thread: ThreadId, policy: NormalThreadSchedulePolicy) {
    let _ = ThreadPriorityValue::try_from(ORDINARY).map(|priority| {
        let priority = ThreadPriority::Crossplatform(priority);
        set_thread_priority_and_policy(thread, priority, ThreadSchedulePolicy::Normal(policy))
    });
}

/// What [`set_thread_priority_and_policy`] takes for an ordinary thread's niceness of 0.
const ORDINARY: u8 = 48;

/// The shortest that the kernel takes: who asks for less of a core at a time is let in before who asks for more.
const SHORTEST_SLICE: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_may_ask_for_short_slices_and_stays_as_nice_as_it_is() {
        let niceness = || rustix::process::getpriority_process(None).expect("every thread has one");
        let seen = thread::spawn(move || {
            let before = niceness();
            be_prompt().expect("it takes no privilege");
            (before, niceness())
        });
        let (before, after) = seen.join().expect("it does not panic");
        assert_eq!(before, after);
    }
}
