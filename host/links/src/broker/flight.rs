//! Messages that a link has taken: waiting, then handed over and unanswered. A state machine: no I/O.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{LinkError, LinkEvent, Outgoing};

#[derive(Default)]
pub(super) struct Flights {
    up: bool,
    waiting: VecDeque<Outgoing>,
    flying: VecDeque<Flight>,
    /// Of all that waits or flies.
    messages: usize,
    bytes: usize,
    /// Canaries that are to be sent.
    canaries: Vec<Outgoing>,
    pub(super) refused: u64,
    pub(super) published: u64,
    pub(super) times_up: u64,
}

/// A batch that was handed over.
struct Flight {
    /// How many canaries fly in front.
    canaries: usize,
    tickets: Vec<u64>,
    bytes: usize,
    since: Instant,
}

impl Flights {
    /// Takes all of a batch or nothing.
    pub(super) fn submit(&mut self, batch: Vec<Outgoing>) -> Result<(), LinkError> {
        let bytes: usize = batch.iter().map(weight).sum();
        let full = self.messages + batch.len() > MOST_MESSAGES || self.bytes + bytes > MOST_BYTES;
        if !self.up || full {
            self.refused += batch.len() as u64;
            return Err(if self.up { LinkError::Full } else { LinkError::Down });
        }
        self.messages += batch.len();
        self.bytes += bytes;
        self.waiting.extend(batch);
        Ok(())
    }

    /// Messages that are waiting or unanswered.
    pub(super) const fn len(&self) -> usize {
        self.messages
    }

    pub(super) const fn set_up(&mut self) {
        self.up = true;
        self.times_up += 1;
    }

    pub(super) const fn is_up(&self) -> bool {
        self.up
    }

    /// Sends canaries before anything else that waits.
    pub(super) fn send_canaries(&mut self, canaries: Vec<Outgoing>) {
        self.canaries = canaries;
    }

    /// What to hand over now, and to await answers for.
    pub(super) fn take(&mut self) -> Option<Vec<Outgoing>> {
        let mut batch = std::mem::take(&mut self.canaries);
        let (canaries, mut tickets, mut bytes) = (batch.len(), Vec::new(), 0);
        while bytes < FLIGHT_BYTES
            && tickets.len() < FLIGHT_MESSAGES
            && let Some(message) = self.waiting.pop_front()
        {
            bytes += weight(&message);
            tickets.push(message.ticket);
            batch.push(message);
        }
        if batch.is_empty() {
            return None;
        }
        self.flying.push_back(Flight {
            canaries,
            tickets,
            bytes,
            since: Instant::now(),
        });
        Some(batch)
    }

    /// The oldest flight is answered: message by message, whether the broker took it.
    ///
    /// # Errors
    /// When a canary was not taken.
    pub(super) fn land(&mut self, answers: &[bool]) -> Result<Vec<LinkEvent>, String> {
        let Some(flight) = self.flying.pop_front() else {
            return Ok(Vec::new());
        };
        self.messages -= flight.tickets.len();
        self.bytes -= flight.bytes;
        let event = |(&ticket, taken): (&u64, &bool)| match taken {
            true => LinkEvent::Confirmed(ticket),
            false => LinkEvent::Failed(ticket),
        };
        let (canaries, answers) = answers.split_at(flight.canaries.min(answers.len()));
        self.published += answers.iter().filter(|taken| **taken).count() as u64;
        if canaries.contains(&false) {
            return Err("a canary was sent to a server that is no longer responsible".to_owned());
        }
        Ok(flight.tickets.iter().zip(answers).map(event).collect())
    }

    /// There is no connection any more: of all that was taken nobody knows.
    pub(super) fn end(&mut self) -> Vec<LinkEvent> {
        let ended = std::mem::replace(
            self,
            Self {
                refused: self.refused,
                published: self.published,
                times_up: self.times_up,
                ..Self::default()
            },
        );
        let flying = ended.flying.into_iter().flat_map(|flight| flight.tickets);
        let waiting = ended.waiting.into_iter().map(|message| message.ticket);
        flying.chain(waiting).map(LinkEvent::Failed).collect()
    }

    /// Since when the oldest flight is unanswered.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.flying.front().map(|flight| flight.since)
    }
}

/// What a message takes of the bounds.
fn weight(message: &Outgoing) -> usize {
    message.subject.len() + message.payload.len()
}

/// Waiting and unanswered messages: what a server takes in a good fraction of a second.
const MOST_MESSAGES: usize = 65_536;
/// Their bytes: sixteen of the largest payloads.
const MOST_BYTES: usize = 16 << 20;
/// Of one flight, or one message more: a socket takes no more at a time.
const FLIGHT_BYTES: usize = 256 << 10;
/// Of one flight: what the clients keep for each message is many times a small one.
const FLIGHT_MESSAGES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(ticket: u64, bytes: usize) -> Outgoing {
        Outgoing {
            subject: "s".to_owned(),
            payload: vec![0; bytes].into(),
            ticket,
        }
    }

    fn up() -> Flights {
        let mut flights = Flights::default();
        assert_eq!(flights.submit(vec![message(0, 1)]), Err(LinkError::Down));
        flights.set_up();
        flights
    }

    #[tokio::test]
    async fn answers_confirm_or_fail_messages_in_order_and_canaries_are_not_told() {
        let mut flights = up();
        flights.send_canaries(vec![message(0, 8)]);
        flights.submit(vec![message(1, 5), message(2, 5)]).unwrap();
        assert_eq!(flights.take().unwrap().len(), 3);
        assert!(flights.take().is_none() && flights.waiting_since().is_some());
        let told = flights.land(&[true, true, false]).unwrap();
        assert_eq!(told, [LinkEvent::Confirmed(1), LinkEvent::Failed(2)]);
        assert_eq!((flights.len(), flights.bytes, flights.waiting_since()), (0, 0, None));
        flights.send_canaries(vec![message(0, 8)]);
        flights.take().unwrap();
        assert!(flights.land(&[false]).is_err());
    }

    #[tokio::test]
    async fn too_much_is_refused_as_a_whole() {
        let mut flights = up();
        let half = MOST_BYTES / 2;
        flights.submit(vec![message(1, half)]).unwrap();
        let batch = || vec![message(2, 1), message(3, half)];
        assert_eq!(flights.submit(batch()), Err(LinkError::Full));
        // One of them was refused while it was down.
        assert_eq!((flights.len(), flights.refused), (1, 3));
        let many = (0..MOST_MESSAGES as u64).map(|ticket| message(ticket, 0)).collect();
        assert_eq!(flights.submit(many), Err(LinkError::Full));
        flights.take().unwrap();
        assert_eq!(flights.submit(batch()), Err(LinkError::Full), "unanswered ones count");
        flights.land(&[true]).unwrap();
        flights.submit(batch()).unwrap();
    }

    #[tokio::test]
    async fn an_end_fails_everything_and_nothing_is_kept() {
        let mut flights = up();
        flights.submit(vec![message(1, FLIGHT_BYTES), message(2, 1)]).unwrap();
        assert_eq!(flights.take().unwrap().len(), 1);
        assert_eq!(flights.end(), [LinkEvent::Failed(1), LinkEvent::Failed(2)]);
        flights.set_up();
        assert!(flights.take().is_none());
        assert_eq!((flights.len(), flights.times_up), (0, 2));
    }
}
