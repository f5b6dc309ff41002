//! Keeps a plugin that fails again and again from being called, so that its failures cost nothing.
//!
//! Each failure weighs something: one that has cost milliseconds more than a quick trap. When those of the last ten seconds
//! weigh too much, the plugin is paused: whoever asks is answered at once by the door's policy.
//! After the pause one call is let through. If it goes well the plugin is back; if not, the pause doubles.
//!
//! A failure that held up a serving thread is followed by a short rest at once, so that several of them never stand in a row
//! in front of those who wait for that thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// One plugin's breaker.
#[derive(Debug)]
pub struct Breaker {
    /// What recent failures may weigh before it is paused. None: any amount.
    bearable: Option<u32>,
    /// Whether there is a pause. All that a call looks at while things go well.
    paused: AtomicBool,
    /// How often it was paused.
    pub trips: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What went wrong lately, and when.
    recent: VecDeque<(Instant, u32)>,
    /// None: it is called as usual.
    pause: Option<Pause>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    /// None: a rest.
    length: Option<Duration>,
    /// One call was let through and has not ended yet.
    probing: bool,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It trapped.
    Trap,
    /// It gave no answer in time, and nobody else had to wait for it.
    TimeOut,
    /// It used up its time, or trapped after some tenths of a millisecond, on a thread that serves others too.
    Stall,
}

impl Breaker {
    /// For a plugin that is paused after so many traps; 0: never.
    pub fn new(pause_after: u32) -> Self {
        Self {
            bearable: (pause_after > 0).then(|| pause_after.saturating_mul(TRAP)),
            paused: AtomicBool::new(false),
            trips: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Whether the plugin may be called.
    ///
    /// # Errors
    /// For how long it is paused.
    #[inline]
    pub fn check(&self, now: impl FnOnce() -> Instant) -> Result<(), Duration> {
        if !self.paused.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut state = self.state.lock();
        let Some(pause) = &mut state.pause else { return Ok(()) };
        let left = pause.until.saturating_duration_since(now());
        if pause.probing || !left.is_zero() {
            return Err(left);
        }
        pause.probing = true;
        Ok(())
    }

    /// Whether it is paused or rests.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// A call went well. True if that ends a pause.
    #[inline]
    pub fn succeeded(&self) -> bool {
        if !self.paused.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.state.lock();
        // A call that began before the pause says nothing about what led to it.
        let Some(Pause {
            probing: true, length, ..
        }) = state.pause
        else {
            return false;
        };
        state.pause = None;
        self.paused.store(false, Ordering::Relaxed);
        if length.is_some() {
            state.recent.clear();
        }
        length.is_some()
    }

    /// A call came to nothing, and it was not the plugin's fault.
    pub fn abandoned(&self) {
        if self.paused.load(Ordering::Relaxed)
            && let Some(pause) = &mut self.state.lock().pause
        {
            pause.probing = false;
        }
    }

    /// A call failed. Says for how long the plugin is paused if that was once too often.
    pub fn failed(&self, failure: Failure, now: Instant) -> Option<Duration> {
        let bearable = self.bearable?;
        let mut state = self.state.lock();
        let length = match state.pause {
            Some(Pause {
                length: Some(_),
                probing: false,
                ..
            }) => return None,
            Some(Pause {
                length: Some(length), ..
            }) => Some((length * 2).min(LONGEST_PAUSE)),
            _ => (state.weight_with(failure, now) >= bearable).then_some(FIRST_PAUSE),
        };
        let until = match (length, failure) {
            (Some(length), _) => Some(now + length),
            (None, Failure::Stall) => Some(now + REST),
            // It neither begins a rest nor ends one that another call began.
            _ => state.pause.filter(|pause| !pause.probing).map(|pause| pause.until),
        };
        state.pause = until.map(|until| Pause {
            until,
            length,
            probing: false,
        });
        self.paused.store(until.is_some(), Ordering::Relaxed);
        if length.is_some() {
            state.recent.clear();
            self.trips.fetch_add(1, Ordering::Relaxed);
        }
        length
    }
}

impl State {
    /// What the failures of late weigh, this one among them.
    fn weight_with(&mut self, failure: Failure, now: Instant) -> u32 {
        self.recent.push_back((now, failure.weight()));
        while let Some((then, _)) = self.recent.front()
            && now.duration_since(*then) > WINDOW
        {
            self.recent.pop_front();
        }
        self.recent.iter().map(|(_, weight)| weight).sum()
    }
}

impl Failure {
    const fn weight(self) -> u32 {
        match self {
            Self::Trap => TRAP,
            Self::TimeOut | Self::Stall => TIME_OUT,
        }
    }
}

/// What failures weigh: three time-outs as much as ten traps.
const TRAP: u32 = 3;
const TIME_OUT: u32 = 10;

/// How long a plugin is left alone after it has held up a serving thread: several times as long as it may do that.
const REST: Duration = Duration::from_millis(20);

/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(10);

/// The first pause; it doubles each time that the plugin does not do better.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn ten_traps_in_ten_seconds_pause_a_plugin() {
        let (breaker, start) = (Breaker::new(10), Instant::now());
        for number in 0..9 {
            assert_eq!(breaker.failed(Failure::Trap, after(start, f64::from(number))), None);
        }
        assert_eq!(breaker.failed(Failure::Trap, after(start, 9.0)), Some(FIRST_PAUSE));
        assert_eq!(breaker.check(|| after(start, 10.0)), Err(Duration::from_secs(4)));
    }

    #[test]
    fn three_time_outs_do_it_too() {
        let (breaker, now) = (Breaker::new(10), Instant::now());
        assert_eq!(breaker.failed(Failure::TimeOut, now), None);
        assert_eq!(breaker.failed(Failure::TimeOut, now), None);
        assert_eq!(breaker.failed(Failure::TimeOut, now), Some(FIRST_PAUSE));
        assert!(breaker.is_paused());
    }

    #[test]
    fn a_call_that_held_up_others_is_followed_by_a_rest_and_then_by_one_at_a_time() {
        let (breaker, start) = (Breaker::new(10), Instant::now());
        let ms = |ms| start + Duration::from_millis(ms);
        assert_eq!(breaker.failed(Failure::Stall, start), None);
        assert!(breaker.check(|| ms(19)).is_err());
        assert_eq!(breaker.failed(Failure::Trap, ms(19)), None, "it began before");
        assert_eq!(breaker.check(|| ms(20)), Ok(()));
        assert!(breaker.check(|| ms(20)).is_err(), "one at a time");
        assert_eq!(breaker.failed(Failure::Trap, ms(21)), None);
        assert_eq!(breaker.check(|| ms(21)), Ok(()), "it was quick");
        assert_eq!(breaker.failed(Failure::Stall, ms(24)), None);
        assert_eq!(breaker.check(|| ms(44)), Ok(()));
        assert!(!breaker.succeeded(), "a rest is not worth a word");
        assert!(!breaker.is_paused());
        assert_eq!(
            breaker.failed(Failure::Stall, ms(50)),
            Some(FIRST_PAUSE),
            "nothing is forgotten"
        );
    }

    #[test]
    fn failures_now_and_then_do_not() {
        let (breaker, start) = (Breaker::new(10), Instant::now());
        for number in 0..1_000 {
            assert_eq!(
                breaker.failed(Failure::Trap, after(start, f64::from(number) * 1.2)),
                None
            );
        }
        assert_eq!(breaker.check(|| start), Ok(()));
        assert!(breaker.state.lock().recent.len() < 10, "old ones are forgotten");
    }

    #[test]
    fn one_call_is_let_through_after_the_pause() {
        let (breaker, start) = (Breaker::new(10), Instant::now());
        while breaker.failed(Failure::Trap, start).is_none() {}
        assert!(breaker.check(|| after(start, 4.9)).is_err());
        assert_eq!(breaker.check(|| after(start, 5.0)), Ok(()));
        assert!(breaker.check(|| after(start, 5.0)).is_err(), "one at a time");
        assert_eq!(breaker.failed(Failure::Trap, after(start, 5.0)), Some(FIRST_PAUSE * 2));
        assert!(breaker.check(|| after(start, 14.9)).is_err());
        assert_eq!(breaker.check(|| after(start, 15.0)), Ok(()));
        assert!(breaker.succeeded());
        assert_eq!(breaker.check(|| after(start, 15.0)), Ok(()));
        assert_eq!(breaker.trips.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_began_before_the_pause_does_not_count() {
        let (breaker, start) = (Breaker::new(10), Instant::now());
        while breaker.failed(Failure::TimeOut, start).is_none() {}
        assert_eq!(breaker.failed(Failure::Trap, start), None);
        assert!(!breaker.succeeded());
        assert!(breaker.is_paused());
    }

    #[test]
    fn a_call_that_was_given_up_leaves_the_next_one_to_find_out() {
        let (breaker, start) = (Breaker::new(10), Instant::now());
        while breaker.failed(Failure::TimeOut, start).is_none() {}
        assert_eq!(breaker.check(|| after(start, 5.0)), Ok(()));
        breaker.abandoned();
        assert_eq!(breaker.check(|| after(start, 5.0)), Ok(()));
    }

    #[test]
    fn a_pause_has_a_longest_length() {
        let (breaker, mut now) = (Breaker::new(10), Instant::now());
        while breaker.failed(Failure::TimeOut, now).is_none() {}
        for _ in 0..10 {
            now += LONGEST_PAUSE;
            assert_eq!(breaker.check(|| now), Ok(()));
            assert!(breaker.failed(Failure::Trap, now) <= Some(LONGEST_PAUSE));
        }
    }

    #[test]
    fn a_plugin_may_be_spared_pauses() {
        let (breaker, now) = (Breaker::new(0), Instant::now());
        for _ in 0..1_000 {
            assert_eq!(breaker.failed(Failure::TimeOut, now), None);
        }
        assert_eq!(breaker.check(|| now), Ok(()));
    }
}
