//! `POST /apps/{id}/events` and `/batch_events`: 200 means that local fan-out is queued and that the adapter confirmed.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use jackfield_hub::{Event, Pass, PublishError, Toll, Topic};
use jackfield_protocol::names::{ChannelName, SocketId};
use jackfield_protocol::pusher::api::answers::{self, Counts};
use jackfield_protocol::pusher::api::{BatchRequest, PublishRequest};
use jackfield_protocol::pusher::frames;
use jackfield_protocol::websocket;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::questions::counts;
use super::{authorize, batch_body, event_body, refused, wrong};
use crate::event_loop::EventLoop;
use crate::http::{PathParts, json_response, refuse_for_now};
use crate::shared::Shared;

/// `POST /apps/{id}/events`.
pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    PathParts(id): PathParts<String>,
    request: Request,
) -> Response {
    Publish::One.carry_out(&shared, &id, request).await
}

/// `POST /apps/{id}/batch_events`.
pub(super) async fn batch(
    State(shared): State<Arc<Shared>>,
    PathParts(id): PathParts<String>,
    request: Request,
) -> Response {
    Publish::Several.carry_out(&shared, &id, request).await
}

/// What is published.
pub(crate) enum Publish {
    One,
    Several,
}

impl Publish {
    /// What a request of this method and path is to publish, and the app's id. None: the router is to see what it is, who also knows other ways to write
    /// an id, and what to say to other methods.
    pub(crate) fn wanted<'a>(method: &Method, path: &'a str) -> Option<(Self, &'a str)> {
        let (id, what) = path.strip_prefix("/apps/")?.split_once('/')?;
        let wanted = match what {
            "events" => Self::One,
            "batch_events" => Self::Several,
            _ => return None,
        };
        (method == Method::POST && !id.is_empty() && !id.contains('%')).then_some((wanted, id))
    }

    /// Carries it out, and answers.
    pub(crate) async fn carry_out(self, shared: &Arc<Shared>, id: &str, request: Request) -> Response {
        let outcome = match self {
            Self::One => one(shared, id, request).await,
            Self::Several => several(shared, id, request).await,
        };
        outcome.map_or_else(|refusal| refusal, |body| json_response(StatusCode::OK, body))
    }
}

async fn one(shared: &Arc<Shared>, id: &str, request: Request) -> Result<Cow<'static, str>, Response> {
    let call = authorize(shared, id, request, event_body).await?;
    let app = Arc::clone(call.app());
    let request = PublishRequest::parse(call.body(), &app.policy.publish_limits).map_err(|error| wrong(&error))?;
    let pass = shared
        .gate
        .charge(call.grant, &Toll::Publish(1))
        .wait()
        .await
        .map_err(refused)?;
    let topics: Vec<Topic> = request
        .channels
        .iter()
        .map(|channel| Topic::new(&app.id, channel))
        .collect();
    let events = topics
        .iter()
        .map(|topic| event(topic, request.name.as_str(), &request.data, request.socket_id));
    publish(shared, &pass, events.collect()).await?;
    let counted = topics.iter().map(|topic| (topic.channel(), counts(shared, topic)));
    Ok(answers::events(request.info, counted))
}

async fn several(shared: &Arc<Shared>, id: &str, request: Request) -> Result<Cow<'static, str>, Response> {
    let call = authorize(shared, id, request, batch_body).await?;
    let app = Arc::clone(call.app());
    let BatchRequest { events: wanted } =
        BatchRequest::parse(call.body(), &app.policy.publish_limits).map_err(|error| wrong(&error))?;
    let toll = Toll::Publish(wanted.len() as u32);
    let pass = shared.gate.charge(call.grant, &toll).wait().await.map_err(refused)?;
    let topic = |channel: &ChannelName| Topic::new(&app.id, channel);
    let events = wanted
        .iter()
        .map(|one| event(&topic(&one.channel), one.name.as_str(), &one.data, one.socket_id));
    publish(shared, &pass, events.collect()).await?;
    let counted = wanted.iter().map(|one| {
        let asked = if one.info.is_empty() {
            Counts::default()
        } else {
            counts(shared, &topic(&one.channel))
        };
        (one.info, asked)
    });
    Ok(answers::batch(counted))
}

fn event(topic: &Topic, name: &str, data: &str, except: Option<SocketId>) -> Event {
    let text = frames::event(topic.channel(), name, data);
    // Pusher documents, "Cache channels": triggers with a socket id, in batches and to several channels are kept too.
    let kept = topic.channel().is_cache();
    Event {
        topic: topic.clone(),
        frame: websocket::text_frame(text.as_bytes()),
        except,
        kept,
    }
}

async fn publish(shared: &Arc<Shared>, pass: &Pass, events: Vec<Event>) -> Result<(), Response> {
    // Whoever floods a channel is slowed down, instead of those beside it.
    if EventLoop::is_behind(&events) {
        let caught_up = async {
            while EventLoop::is_behind(&events) {
                yield_now().await;
            }
        };
        // Who has waited for so long publishes all the same: what a channel may be owed has a bound of its own.
        let _ = timeout(PATIENCE, caught_up).await;
    }
    let receipt = shared.hub.publish(pass, events);
    let mut receipt = receipt.map_err(|error| unpublished(&error))?;
    let settled = match receipt.settled() {
        Some(settled) => settled,
        None => receipt.confirmed().await,
    };
    settled.map_err(|error| unpublished(&error))
}

pub(super) fn unpublished(error: &PublishError) -> Response {
    refuse_for_now(StatusCode::SERVICE_UNAVAILABLE, &error.to_string(), 1_000)
}

/// How long a publisher is slowed down at the most: less than its HTTP client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plainly_a_publish_is_for_the_router() {
        let wanted = |method, path| Publish::wanted(&method, path).map(|(what, id)| (matches!(what, Publish::One), id));
        assert_eq!(wanted(Method::POST, "/apps/1/events"), Some((true, "1")));
        assert_eq!(wanted(Method::POST, "/apps/1/batch_events"), Some((false, "1")));
        for path in [
            "/apps//events",
            "/apps/%31/events",
            "/apps/1/events/",
            "/apps/1/2/events",
            "/apps/1/channels",
            "/a/apps/1/events",
        ] {
            assert_eq!(wanted(Method::POST, path), None, "{path}");
        }
        assert_eq!(wanted(Method::GET, "/apps/1/events"), None);
    }
}
