//! A link to one Redis server at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::cmd;

use super::place::{Login, Place};
use super::redis::{Kind, Reach, Server, ask};
use super::shared::Shared;
use super::wire::{Broker, Life, random_subject};

pub(super) struct Single {
    pub(super) source: Source,
    pub(super) reach: Reach,
}

/// Which server it is this time.
pub(super) enum Source {
    /// Always the same.
    Fixed { publish: Place, subscribe: Place },
    /// The one that a sentinel calls the master.
    Master {
        sentinels: Turn,
        name: String,
        login: Login,
    },
}

/// Places that are tried in turn.
pub(super) struct Turn {
    places: Vec<Place>,
    next: AtomicUsize,
}

impl Broker for Single {
    type Wire = Server;

    fn check(_subject: &str) -> Result<(), String> {
        // Any text is a channel.
        Ok(())
    }

    async fn connect(&self, ear: &Arc<Shared>) -> Result<(Server, Life), String> {
        let (publish_at, subscribe_at) = self.places().await?;
        let canary = random_subject(&ear.canary_prefix)?;
        Server::connect(&self.reach, (&publish_at, &subscribe_at), Kind::Classic, canary, ear).await
    }
}

impl Single {
    async fn places(&self) -> Result<(Place, Place), String> {
        match &self.source {
            Source::Fixed { publish, subscribe } => Ok((publish.clone(), subscribe.clone())),
            Source::Master { sentinels, name, login } => {
                let sentinel = sentinels.next();
                let question = cmd("SENTINEL").arg("get-master-addr-by-name").arg(name).take();
                let found: Option<(String, u16)> = ask(&self.reach, &sentinel, &question).await?;
                let (host, port) = found.ok_or_else(|| format!("{sentinel}: knows no master {name:?}"))?;
                let mut master = sentinel.beside(&host, port);
                master.login = login.clone();
                Ok((master.clone(), master))
            }
        }
    }
}

impl Turn {
    /// Begins anywhere, so that instances spread.
    pub(super) fn new(places: Vec<Place>) -> Self {
        let first = getrandom::u32().unwrap_or_default() as usize;
        Self {
            next: AtomicUsize::new(first % places.len().max(1)),
            places,
        }
    }

    pub(super) fn next(&self) -> Place {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.places[turn % self.places.len()].clone()
    }
}
