//! A link to a NATS server, or to any one of a cluster's. One connection: with echo on, its own messages come back.
//!
//! The client's `flush` says that bytes were written, not that anybody read them. So every batch, of messages or of subscriptions, is
//! followed by a message to ourselves: a server works through a connection in order, and the echo confirms all before it.
//!
//! The client has complaints of the server come another way than messages, through a task of its own. On the link's thread tasks run in the order
//! in which they were woken: a complaint is known before the echo that came behind it.
//!
//! When the receiver does not keep up, the server closes the connection, and the link is down and begins anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Auth, AuthError, Client, ConnectErrorKind, ConnectOptions, Event, Subscriber};
use bytes::Bytes;
use futures_util::stream::StreamExt;
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::Outgoing;
use super::interest::MOST_AT_A_TIME;
use super::place::{Login, Place};
use super::shared::Shared;
use super::single::Turn;
use super::wire::{Broker, Canary, Life, Wire, Wish, random_subject};

pub(super) struct Nats {
    pub(super) servers: Turn,
    /// Instead of user and password, unless it is empty.
    pub(super) token: String,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) connect: Duration,
}

pub(super) struct Connection {
    client: Client,
    ear: Arc<Shared>,
    canary: Canary,
    /// Where echoes are sent, the number of the last one sent, and that of the last one heard. Who holds the lock hands over.
    echo: String,
    sent: tokio::sync::Mutex<u64>,
    heard: watch::Receiver<u64>,
    subscriptions: Mutex<Subscriptions>,
}

#[derive(Default)]
struct Subscriptions {
    by_subject: HashMap<Arc<str>, AbortHandle>,
    tasks: JoinSet<()>,
}

impl Broker for Nats {
    type Wire = Connection;

    // NATS documentation, "Subject-Based Messaging": tokens are not empty and hold no blank, `*` and `>` are wildcards.
    fn check(subject: &str) -> Result<(), String> {
        let bad = |letter: char| letter.is_whitespace() || letter.is_control() || ['*', '>'].contains(&letter);
        if subject.split('.').any(str::is_empty) {
            return Err(format!(
                "{subject:?} can be no subject of NATS: something must stand before, after and between dots"
            ));
        }
        if subject.contains(bad) {
            return Err(format!(
                "{subject:?} can be no subject of NATS: it holds a blank, a control character, `*` or `>`"
            ));
        }
        Ok(())
    }

    async fn connect(&self, ear: &Arc<Shared>) -> Result<(Connection, Life), String> {
        let place = self.servers.next();
        let (over, mut reasons) = mpsc::channel(1);
        let scheme = if place.tls { "tls" } else { "nats" };
        let options = self.options(&place, over);
        let client = options.connect(format!("{scheme}://{place}")).await.map_err(|error| {
            let why = match error.kind() {
                ConnectErrorKind::AuthorizationViolation => "Authorization Violation".to_owned(),
                _ => error.to_string(),
            };
            format!("{place}: {why}")
        })?;
        let connection = Connection::new(client, ear, &place).await?;
        let life = async move {
            let reason = reasons.recv().await;
            format!("{place}: {}", reason.unwrap_or_default())
        };
        Ok((connection, Box::pin(life)))
    }
}

impl Nats {
    fn options(&self, place: &Place, over: mpsc::Sender<String>) -> ConnectOptions {
        let (login, token) = (place.login.clone(), self.token.clone());
        let used = AtomicBool::new(false);
        // The client would connect again by itself and send what was refused meanwhile. It is let in once.
        let admit = move |_| {
            let again = used.swap(true, Ordering::Relaxed);
            let auth = auth(&login, &token);
            async move {
                if again {
                    Err(AuthError::new("connected once already"))
                } else {
                    Ok(auth)
                }
            }
        };
        let tell = move |event| {
            let reason = match event {
                Event::ServerError(error) => Some(error.to_string()),
                Event::Disconnected | Event::Closed => Some("the connection was closed".to_owned()),
                Event::SlowConsumer(_) => Some(BEHIND.to_owned()),
                _ => None,
            };
            if let Some(reason) = reason {
                // The first reason is enough.
                let _ = over.try_send(reason);
            }
            std::future::ready(())
        };
        ConnectOptions::with_auth_callback(admit)
            .max_reconnects(1)
            .event_callback(tell)
            .ignore_discovered_servers()
            .connection_timeout(self.connect)
            .client_capacity(MOST_AT_A_TIME)
            .subscription_capacity(MOST_UNHEARD)
            .ping_interval(PING)
            .name("jackfield")
            .tls_client_config(self.tls.as_ref().clone())
    }
}

impl Connection {
    async fn new(client: Client, ear: &Arc<Shared>, place: &Place) -> Result<Self, String> {
        let (echo, canary) = (random_subject(&ear.canary_prefix)?, random_subject(&ear.canary_prefix)?);
        let (telling, heard) = watch::channel(0);
        let connection = Self {
            client,
            ear: ear.clone(),
            canary: Canary {
                subject: canary.into(),
                place: place.to_string(),
            },
            echo,
            sent: tokio::sync::Mutex::default(),
            heard,
            subscriptions: Mutex::default(),
        };
        let mut echoes = connection.subscribe(&connection.echo).await?;
        let listen = async move {
            while let Some(echo) = echoes.next().await {
                if let Ok(number) = echo.payload.as_ref().try_into() {
                    telling.send_replace(u64::from_be_bytes(number));
                }
            }
        };
        connection.subscriptions.lock().tasks.spawn(listen);
        Ok(connection)
    }

    fn failed(&self, error: &impl ToString) -> String {
        format!("{}: {}", self.canary.place, error.to_string())
    }

    async fn subscribe(&self, subject: &str) -> Result<Subscriber, String> {
        let subscribed = self.client.subscribe(subject.to_owned()).await;
        subscribed.map_err(|error| self.failed(&error))
    }

    async fn send(&self, subject: &str, payload: Bytes) -> Result<(), String> {
        let sent = self.client.publish(subject.to_owned(), payload).await;
        sent.map_err(|error| self.failed(&error))
    }

    /// Waits until the server has seen everything that was handed over under this lock.
    async fn seen(&self, mut sent: tokio::sync::MutexGuard<'_, u64>) -> Result<(), String> {
        *sent += 1;
        let number = *sent;
        self.send(&self.echo, Bytes::copy_from_slice(&number.to_be_bytes()))
            .await?;
        drop(sent);
        let heard = self.heard.clone().wait_for(|heard| *heard >= number).await.map(drop);
        heard.map_err(|_| self.failed(&"the connection was closed"))
    }

    /// Passes on what comes.
    fn listen(&self, subscriber: Subscriber) -> impl Future<Output = ()> + Send + 'static {
        let ear = self.ear.clone();
        subscriber.ready_chunks(MOST_AT_ONCE).for_each(move |messages| {
            let messages = messages.into_iter();
            ear.heard(messages.map(|message| (message.subject.into_string(), message.payload)));
            std::future::ready(())
        })
    }
}

impl Wire for Connection {
    fn canaries(&self) -> Vec<Canary> {
        vec![self.canary.clone()]
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<Vec<bool>, String> {
        let sent = self.sent.lock().await;
        let answers = vec![true; batch.len()];
        for Outgoing { subject, payload, .. } in batch {
            self.send(&subject, payload).await?;
        }
        self.seen(sent).await?;
        Ok(answers)
    }

    async fn ask(&self, wish: Wish, subjects: &[Arc<str>]) -> Result<(), String> {
        let sent = self.sent.lock().await;
        for subject in subjects {
            match wish {
                Wish::Follow => {
                    let subscriber = self.subscribe(subject).await?;
                    let mut subscriptions = self.subscriptions.lock();
                    let task = subscriptions.tasks.spawn(self.listen(subscriber));
                    subscriptions.by_subject.insert(subject.clone(), task);
                }
                Wish::Unfollow => {
                    let ended = self.subscriptions.lock().by_subject.remove(subject);
                    // It ends its subscription when it is dropped.
                    ended.inspect(AbortHandle::abort);
                }
            }
        }
        self.seen(sent).await?;
        while self.subscriptions.lock().tasks.try_join_next().is_some() {}
        if wish == Wish::Follow {
            subjects.iter().for_each(|subject| self.ear.entered(subject));
        }
        Ok(())
    }
}

fn auth(login: &Login, token: &str) -> Auth {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut auth = Auth::new();
    auth.token = given(token);
    auth.username = given(&login.username);
    if auth.username.is_some() {
        auth.password = given(login.password.expose());
    }
    auth
}

const BEHIND: &str = "messages were lost because the receiver does not keep up";
/// Messages of one subject that the client has read and nobody has heard yet; it drops more, and says so. Somebody who never waits
/// takes them, so it is what comes between two turns of a task.
const MOST_UNHEARD: usize = 65_536;
/// Messages that are passed on together.
const MOST_AT_ONCE: usize = 1_024;
/// How soon a client that was given up notices that it is alone; a link has its canary.
const PING: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    // NATS documentation, "Subject-Based Messaging", "Characters allowed and recommended for subject names".
    #[test]
    fn what_can_be_no_subject_is_refused() {
        for good in ["a", "a.b", "presence-a_b=c@d,e;f", "\u{e4}"] {
            assert_eq!(Nats::check(good), Ok(()));
        }
        for bad in ["", ".a", "a.", "a..b", "a b", "a.*", "a>", "a\tb", "a\0"] {
            assert!(Nats::check(bad).is_err(), "{bad:?}");
        }
    }
}
