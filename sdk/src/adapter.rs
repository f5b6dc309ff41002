//! The adapter door: carries envelopes between instances.

use crate::bindings::adapter::exports::jackfield::adapter::{bus, inbox};
use crate::plugin::{Exported, Resident, call};

pub use crate::bindings::adapter::jackfield::adapter::arrivals::{Event, Message};
pub use bus::Envelope;

/// An adapter. It never delivers to local subscribers, and tells what became of its work by
/// [`host::cluster`](crate::host::cluster). One that reaches other instances tells what came from them by
/// [`host::peers`](crate::host::peers), and may leave its connections to the host: [`host::links`](crate::host::links).
pub trait Adapter: Sized + 'static {
    /// Makes the plugin from its section of the host's configuration, a JSON object (`{}` if there is none).
    ///
    /// # Errors
    ///
    /// A text for the operator that names the key that is wrong. This version of the plugin then does not go live.
    fn new(config: &str) -> Result<Self, String>;

    /// Called once, before the functions below: the place to open links. `node` is this instance's name in the cluster.
    ///
    /// # Errors
    ///
    /// A text for the operator. The adapter then does not go live.
    fn start(&mut self, node: &str) -> Result<(), String>;

    /// Offers envelopes to every instance that follows their topics, this one included, in the order given per topic. Each
    /// ticket is to be confirmed, now or in a later call.
    ///
    /// # Errors
    ///
    /// None was sent: their publishers are answered 503.
    fn publish(&mut self, batch: Vec<Envelope>) -> Result<(), String>;

    /// Starts following topics; repeating one is harmless. What holds is to be told as `following`.
    ///
    /// # Errors
    ///
    /// The subscriptions that wait for these topics are refused.
    fn follow(&mut self, topics: &[String]) -> Result<(), String>;

    /// Stops following topics. Best effort.
    fn unfollow(&mut self, topics: &[String]) {
        let _ = topics;
    }

    /// Something came from one of the adapter's links.
    fn receive(&mut self, link: u32, events: Vec<Event>) {
        let _ = (link, events);
    }

    /// Called once, last. Links stay for the next version.
    fn stop(&mut self) {}
}

/// Makes a type that implements [`Adapter`] the plugin of this component.
#[macro_export]
macro_rules! export_adapter {
    ($plugin:ty) => {
        $crate::export_plugin!($plugin, Adapter, adapter);
    };
}

impl<P: Adapter + Resident> bus::Guest for Exported<P> {
    fn start(node: String) -> Result<(), String> {
        call(|plugin: &mut P| plugin.start(&node))
    }

    fn publish(batch: Vec<Envelope>) -> Result<(), String> {
        call(|plugin: &mut P| plugin.publish(batch))
    }

    fn follow(topics: Vec<String>) -> Result<(), String> {
        call(|plugin: &mut P| plugin.follow(&topics))
    }

    fn unfollow(topics: Vec<String>) {
        call(|plugin: &mut P| plugin.unfollow(&topics));
    }

    fn stop() {
        call(P::stop);
    }
}

impl<P: Adapter + Resident> inbox::Guest for Exported<P> {
    fn receive(link: u32, events: Vec<Event>) {
        call(|plugin: &mut P| plugin.receive(link, events));
    }
}
