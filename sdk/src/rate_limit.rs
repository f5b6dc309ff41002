//! The rate-limit door: how much.

use crate::bindings::rate_limit::exports::jackfield::rate_limit::limiter;
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
