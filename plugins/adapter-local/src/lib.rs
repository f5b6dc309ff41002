//! The adapter of a single instance: there is nobody else to reach, so everything asked of it holds at once.

use jackfield_sdk::host::cluster;
use jackfield_sdk::{Adapter, Envelope, export_adapter, no_settings};

/// An adapter without peers.
#[derive(Debug)]
pub struct Local;

impl Adapter for Local {
    fn new(config: &str) -> Result<Self, String> {
        no_settings(config).map(|()| Self)
    }

    fn start(&mut self, _node: &str) -> Result<(), String> {
        cluster::up();
        Ok(())
    }

    fn publish(&mut self, batch: Vec<Envelope>) -> Result<(), String> {
        let tickets: Vec<u64> = batch.iter().filter_map(|envelope| envelope.ticket).collect();
        cluster::confirmed(&tickets);
        Ok(())
    }

    fn follow(&mut self, topics: &[String]) -> Result<(), String> {
        cluster::following(topics);
        Ok(())
    }
}

export_adapter!(Local);

#[cfg(test)]
mod tests {
    use jackfield_sdk::double::{Cluster, Status, take_cluster};
    use jackfield_sdk::{Adapter, Envelope};

    use super::Local;

    fn local() -> Local {
        Local::new("{}").expect("no settings are all it takes")
    }

    fn envelope(ticket: u64) -> Envelope {
        Envelope {
            topic: "1001/room".to_owned(),
            frame: b"{}".to_vec(),
            ticket: Some(ticket),
        }
    }

    #[test]
    fn is_up_once_started() {
        assert_eq!(local().start("node-1"), Ok(()));
        assert_eq!(take_cluster().states, [Status::Up]);
    }

    #[test]
    fn confirms_every_ticket_at_once() {
        assert_eq!(local().publish(vec![envelope(7), envelope(8), envelope(9)]), Ok(()));
        assert_eq!(
            take_cluster(),
            Cluster {
                confirmed: vec![7, 8, 9],
                ..Cluster::default()
            }
        );
    }

    #[test]
    fn follows_at_once_and_repeatedly() {
        let topics = ["1001/a".to_owned(), "1001/b".to_owned()];
        let mut adapter = local();
        for _ in 0..2 {
            assert_eq!(adapter.follow(&topics), Ok(()));
            assert_eq!(
                take_cluster(),
                Cluster {
                    following: topics.to_vec(),
                    ..Cluster::default()
                }
            );
        }
    }

    #[test]
    fn lets_go_without_a_word() {
        let mut adapter = local();
        adapter.unfollow(&["1001/a".to_owned()]);
        adapter.stop();
        assert_eq!(take_cluster(), Cluster::default());
    }

    #[test]
    fn refuses_settings_it_does_not_have() {
        let error = Local::new(r#"{"prefix":"x"}"#).expect_err("a key nobody reads");
        assert!(error.contains("prefix"), "{error}");
    }
}
