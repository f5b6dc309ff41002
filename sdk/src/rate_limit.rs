//! The rate-limit door: how much.

use crate::bindings::rate_limit::exports::jackfield::rate_limit::{limiter, state};
use crate::plugin::{Exported, Resident, call};

pub use crate::bindings::rate_limit::jackfield::rate_limit::counts::{Decision, Question, Rule};

/// A rate limit. The rules are the host's configuration; the plugin keeps count.
pub trait RateLimit: Sized + 'static {
    /// Makes the plugin from its section of the host's configuration, a JSON object (`{}` if there is none).
    ///
    /// # Errors
    ///
    /// A text for the operator that names the key that is wrong. This version of the plugin then does not go live.
    fn new(config: &str) -> Result<Self, String>;

    /// May this happen now, by the question's rule? A refused question costs nothing.
    fn check(&mut self, question: &Question) -> Decision;

    /// The next part of what is kept, at most 512 KiB, for the version that takes this one's place; none after the last of 64 at
    /// most. Nothing else is called afterwards.
    fn snapshot(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// A part of what the version before this one kept, in order, before everything else.
    ///
    /// # Errors
    ///
    /// A text for the operator. This version then starts with nothing.
    fn restore(&mut self, part: &[u8]) -> Result<(), String> {
        let _ = part;
        Err("this version keeps nothing".to_owned())
    }
}

/// Makes a type that implements [`RateLimit`] the plugin of this component.
#[macro_export]
macro_rules! export_rate_limit {
    ($plugin:ty) => {
        $crate::export_plugin!($plugin, RateLimit, rate_limit);
    };
}

impl<P: RateLimit + Resident> limiter::Guest for Exported<P> {
    fn check(question: Question) -> Decision {
        call(|plugin: &mut P| plugin.check(&question))
    }
}

impl<P: RateLimit + Resident> state::Guest for Exported<P> {
    fn snapshot() -> Option<Vec<u8>> {
        call(P::snapshot)
    }

    fn restore(part: Vec<u8>) -> Result<(), String> {
        call(|plugin: &mut P| plugin.restore(&part))
    }
}
