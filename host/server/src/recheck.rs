//! Live subscriptions are asked for again when whoever decides has changed (`auth.recheck`): another chain, another version or section
//! of a plugin in it, another secret of an app.
//!
//! One after the other and at a steady pace, so that neither the plugins nor whom they ask are flooded.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::{interval, sleep};

use crate::connection::Recheck;
use crate::event_loop::EventLoop;

impl EventLoop {
    /// Looks for changes, and asks for what this loop's clients have subscribed to.
    pub(crate) async fn recheck(self: Rc<Self>) {
        let (mut looks, mut before) = (interval(LOOK), None);
        loop {
            looks.tick().await;
            let now = self.deciders();
            if before.is_some() && now.is_some() && now != before {
                self.ask_for_all().await;
            }
            before = now;
        }
    }

    /// What tells those who decide from those of a moment ago; none if nobody is to be asked again.
    fn deciders(&self) -> Option<(u64, Vec<u64>)> {
        let shared = &self.shared;
        if !shared.settings().recheck {
            return None;
        }
        let plugins = shared.registry.plugins();
        let chain = plugins.iter().filter(|plugin| plugin.door == "auth");
        let live = chain.map(|plugin| plugin.live.as_ref().map_or(0, |version| version.generation));
        Some((shared.reloads.generation(), live.collect()))
    }

    async fn ask_for_all(&self) {
        let (began, mut asked, mut ended) = (Instant::now(), 0_usize, 0_usize);
        for connection in self.connections() {
            let Some(connection) = connection.upgrade() else {
                continue;
            };
            for subscription in connection.asked() {
                let came = connection.ask_again(self, &subscription).await;
                asked += 1;
                ended += usize::from(came == Recheck::Ended);
                if asked.is_multiple_of(AT_ONCE) {
                    sleep(PAUSE).await;
                }
            }
        }
        let took_ms = began.elapsed().as_millis();
        tracing::info!(asked, ended, took_ms, "live subscriptions were asked for again");
    }
}

/// How often changes are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Of 20,000 subscriptions on two loops each is asked for within ten seconds; that takes less than a hundredth of a core.
const AT_ONCE: usize = 32;
const PAUSE: Duration = Duration::from_millis(32);
