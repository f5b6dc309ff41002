//! A guest for the host's tests: an adapter that does, or fails to do, what the name of a topic says, and keeps a journal.
//!
//! The last part of a topic is an order: `trap`, `loop`, `error`, `later` and `silent`; `report` makes it tell the journal as
//! its state, `digest` adds the MD5 of the frame. Every other topic is confirmed and followed at once.

use std::hint::black_box;

use jackfield_sdk::host::{self, cluster};
use jackfield_sdk::{Adapter, Envelope, export_adapter};

/// The settings, and the plugin.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probe {
    /// With this it refuses to start, for this reason.
    refuse: Option<String>,
    /// What it was asked, in order.
    #[serde(skip)]
    journal: Vec<String>,
    /// Tickets that were published to `later`.
    #[serde(skip)]
    later: Vec<u64>,
}

impl Adapter for Probe {
    fn new(config: &str) -> Result<Self, String> {
        serde_json::from_str(config).map_err(|error| error.to_string())
    }

    fn start(&mut self, node: &str) -> Result<(), String> {
        host::count("started", 1);
        self.journal.push(format!("start {node}"));
        if let Some(reason) = &self.refuse {
            return Err(reason.clone());
        }
        cluster::up();
        Ok(())
    }

    fn publish(&mut self, batch: Vec<Envelope>) -> Result<(), String> {
        self.journal.push(format!("publish {}", batch.len()));
        cluster::confirmed(&std::mem::take(&mut self.later));
        for envelope in batch {
            let tickets = envelope.ticket.as_slice();
            match order(&envelope.topic) {
                "later" => self.later.extend(envelope.ticket),
                "silent" => {}
                "trap" => {
                    cluster::confirmed(tickets);
                    panic!("ordered to trap");
                }
                "loop" => spin(),
                "error" => return Err("ordered to fail".to_owned()),
                "report" => {
                    cluster::confirmed(tickets);
                    cluster::degraded(&self.journal.join(", "));
                }
                "digest" => {
                    self.journal.push(host::md5(&envelope.frame));
                    cluster::confirmed(tickets);
                }
                _ => cluster::confirmed(tickets),
            }
        }
        Ok(())
    }

    fn follow(&mut self, topics: &[String]) -> Result<(), String> {
        self.journal.push(format!("follow {}", topics.join(" ")));
        for topic in topics {
            match order(topic) {
                "silent" => {}
                "error" => return Err("ordered to fail".to_owned()),
                "trap" => {
                    cluster::following(topics);
                    panic!("ordered to trap");
                }
                _ => cluster::following(std::slice::from_ref(topic)),
            }
        }
        Ok(())
    }

    fn unfollow(&mut self, topics: &[String]) {
        self.journal.push(format!("unfollow {}", topics.join(" ")));
    }

    fn stop(&mut self) {
        host::count("stopped", 1);
    }
}

export_adapter!(Probe);

fn order(topic: &str) -> &str {
    topic.rsplit('/').next().unwrap_or(topic)
}

/// Runs for ever, unseen by the optimiser.
fn spin() {
    let mut turns = 0_u64;
    while black_box(true) {
        turns = black_box(turns.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use jackfield_sdk::double::take_cluster;
    use jackfield_sdk::{Adapter, Envelope};

    use super::Probe;

    fn publish(probe: &mut Probe, topic: &str, ticket: u64) -> (Result<(), String>, Vec<u64>) {
        let envelope = Envelope {
            topic: topic.to_owned(),
            frame: b"{}".to_vec(),
            ticket: Some(ticket),
        };
        (probe.publish(vec![envelope]), take_cluster().confirmed)
    }

    #[test]
    fn a_topic_is_an_order() {
        let mut probe = Probe::new("{}").expect("no settings are all it takes");
        assert_eq!(publish(&mut probe, "1001/room", 1), (Ok(()), vec![1]));
        assert_eq!(publish(&mut probe, "1001/later", 2), (Ok(()), vec![]));
        assert_eq!(publish(&mut probe, "1001/silent", 3), (Ok(()), vec![2]));
        assert!(publish(&mut probe, "1001/error", 4).0.is_err());
    }
}
