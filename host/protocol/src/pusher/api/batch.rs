//! The body of POST `/apps/{id}/batch_events`: up to ten events, each for one channel.
//!
//! One wrong event refuses the whole batch, before anything of it is published, and is named by its index.
//!
//! Rule: Pusher HTTP API, "POST batch events (trigger multiple events)".

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    ApiError, Info, PublishLimits,
    body::{self, string},
};
use crate::names::{ChannelName, EventName, SocketId};

/// Events to publish in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRequest {
    /// 1 to [`PublishLimits::max_batch`] of them.
    pub events: Vec<BatchEvent>,
}

/// One event of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEvent {
    /// What happened.
    pub name: EventName,
    /// The publisher's own string; it need not be JSON and may be empty.
    pub data: String,
    /// Where it goes.
    pub channel: ChannelName,
    /// A connection that must not hear the event, usually the one that caused it.
    pub socket_id: Option<SocketId>,
    /// What the answer is to tell about the channel.
    pub info: Info,
}

impl BatchRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// An [`ApiError`] with the HTTP status to answer and a message for the publisher.
    pub fn parse(body: &[u8], limits: &PublishLimits) -> Result<Self, ApiError> {
        let body: Body<'_> = body::object(body)?;
        let key = "batch";
        let batch = body.batch.ok_or(ApiError::Missing { key })?;
        let expected = "a list of objects";
        let events: Vec<&RawValue> =
            serde_json::from_str(batch.get()).map_err(|_| ApiError::WrongType { key, expected })?;
        let (count, limit) = (events.len(), limits.max_batch);
        if count == 0 || count > limit {
            return Err(ApiError::Count { key, count, limit });
        }
        let events = events.iter().enumerate().map(|(index, event)| {
            BatchEvent::parse(event, limits).map_err(|error| ApiError::InBatch {
                index,
                error: Box::new(error),
            })
        });
        Ok(Self {
            events: events.collect::<Result<_, _>>()?,
        })
    }
}

impl BatchEvent {
    fn parse(event: &RawValue, limits: &PublishLimits) -> Result<Self, ApiError> {
        let event: Event<'_> = body::object(event.get().as_bytes())?;
        let name = body::event_name(event.name, limits)?;
        let data = body::data(event.data, limits)?;
        let channel = body::channel("channel", &string("channel", event.channel)?, limits)?;
        let socket_id = body::socket_id(event.socket_id)?;
        let info = body::info(event.info, [&channel])?;
        Ok(Self {
            name,
            data,
            channel,
            socket_id,
            info,
        })
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    batch: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    socket_id: Option<&'a RawValue>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::{BatchRequest, PublishLimits};

    /// Parses `body` with a limit of 10 bytes and 3 events, and writes down what became of it.
    fn check(body: &str, expected: &str) {
        let limits = PublishLimits {
            max_event_bytes: 10,
            max_batch: 3,
            ..PublishLimits::PUSHER
        };
        let outcome = match BatchRequest::parse(body.as_bytes(), &limits) {
            Ok(batch) => {
                let events = batch.events.iter().map(|event| {
                    let except = event.socket_id.map(|id| format!(" except {id}")).unwrap_or_default();
                    let info = if event.info.is_empty() { "" } else { " with info" };
                    format!("{} {:?} to {}{except}{info}", event.name, event.data, event.channel)
                });
                events.collect::<Vec<_>>().join("; ")
            }
            Err(error) => format!("{} {error}", error.status()),
        };
        assert!(outcome.starts_with(expected), "{body}\n  {outcome}\n  {expected}");
    }

    #[test]
    fn batches_are_read_as_the_libraries_send_them() {
        check(
            r##"{"batch":[{"name":"e","data":"d","channel":"a"},{"name":"f","data":"","channel":"presence-b","socket_id":"1.2","info":"user_count"},{"channel":"#server-to-user-1","name":"g","data":"x"}]}"##,
            r##"e "d" to a; f "" to presence-b except 1.2 with info; g "x" to #server-to-user-1"##,
        );
        // An encrypted channel is alone in its event, whatever else the batch holds.
        check(
            r#"{"batch":[{"name":"e","data":"d","channel":"private-encrypted-a"},{"name":"e","data":"d","channel":"b"}],"more":1}"#,
            r#"e "d" to private-encrypted-a; e "d" to b"#,
        );
    }

    // Pusher HTTP API: up to ten events; 413 for the data, 400 for all other faults.
    #[test]
    fn faults_are_refused_by_index_and_key() {
        let event = r#"{"name":"e","data":"d","channel":"a"}"#;
        for (body, expected) in [
            ("", "400 a JSON object is needed"),
            ("[]", "400 a JSON object is needed"),
            ("{\"batch\"", "400 not a valid JSON object: EOF"),
            ("{}", "400 `batch` is missing"),
            (r#"{"batch":null}"#, "400 `batch` is missing"),
            (r#"{"batch":{}}"#, "400 `batch` must be a list of objects"),
            (r#"{"batch":[]}"#, "400 `batch` holds 0 events; 1 to 3 are accepted"),
            (
                &format!(r#"{{"batch":[{event},{event},{event},{event}]}}"#),
                "400 `batch` holds 4 events; 1 to 3",
            ),
            (
                &format!(r#"{{"batch":[{event},7]}}"#),
                "400 `batch[1]`: a JSON object is needed",
            ),
            (
                &format!(r#"{{"batch":[{event},["e","d","a"]]}}"#),
                "400 `batch[1]`: a JSON object is needed",
            ),
            (
                r#"{"batch":[{"name":"e","data":"d"}]}"#,
                "400 `batch[0]`: `channel` is missing",
            ),
            (
                r#"{"batch":[{"name":"e","data":"d","channel":["a"]}]}"#,
                "400 `batch[0]`: `channel` must be a string",
            ),
            (
                r#"{"batch":[{"name":"e","data":"d","channel":"a b"}]}"#,
                "400 `batch[0]`: `channel`: channel name holds ' '",
            ),
            (
                r#"{"batch":[{"data":"d","channel":"a"}]}"#,
                "400 `batch[0]`: `name` is missing",
            ),
            (
                r#"{"batch":[{"name":"e","data":{},"channel":"a"}]}"#,
                "400 `batch[0]`: `data` must be a string; encode objects",
            ),
            (
                &format!(r#"{{"batch":[{event},{{"name":"e","data":"0123456789a","channel":"a"}}]}}"#),
                "413 `batch[1]`: `data` is 11 bytes long; at most 10",
            ),
            (
                r#"{"batch":[{"name":"e","data":"d","channel":"a","socket_id":"x"}]}"#,
                "400 `batch[0]`: `socket_id`: socket id must",
            ),
            (
                r#"{"batch":[{"name":"e","data":"d","channel":"a","info":"user_count"}]}"#,
                "400 `batch[0]`: `user_count` is known of presence channels only",
            ),
            (
                r#"{"batch":[{"name":"e","data":"d","channel":"a","info":"x"}]}"#,
                "400 `batch[0]`: `info` asks for \"x\"; user_count and subscription_count are accepted",
            ),
        ] {
            check(body, expected);
        }
    }
}
