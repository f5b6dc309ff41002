//! The webhook door: how an app's own server is told what happened.

use crate::bindings::webhook::exports::jackfield::webhook::sink;
use crate::plugin::{Exported, Resident, call};

pub use crate::bindings::webhook::jackfield::webhook::calls::{Call, Notice};

/// A webhook sink. It words the requests; the host knows who wants them, and signs, sends and repeats them.
pub trait Webhook: Sized + 'static {
    /// Makes the plugin from its section of the host's configuration, a JSON object (`{}` if there is none).
    ///
    /// # Errors
    ///
    /// A text for the operator that names the key that is wrong. This version of the plugin then does not go live.
    fn new(config: &str) -> Result<Self, String>;

    /// The request that tells an endpoint of the app with id `app` of these notices, which it wants; none if there is nothing
    /// to send. It is said to be JSON unless its headers say otherwise.
    ///
    /// # Errors
    ///
    /// Keeps the notices for another try.
    fn prepare(&mut self, app: &str, notices: &[Notice]) -> Result<Option<Call>, String>;
}

/// Makes a type that implements [`Webhook`] the plugin of this component.
#[macro_export]
macro_rules! export_webhook {
    ($plugin:ty) => {
        $crate::export_plugin!($plugin, Webhook, webhook);
    };
}

impl<P: Webhook + Resident> sink::Guest for Exported<P> {
    fn prepare(app: String, notices: Vec<Notice>) -> Result<Option<Call>, String> {
        call(|plugin: &mut P| plugin.prepare(&app, &notices))
    }
}
