//! `POST /apps/{id}/events` and `/batch_events`: 200 means that local fan-out is queued and that the adapter confirmed.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
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
pub(crate) async fn events(
    State(shared): State<Arc<Shared>>,
    PathParts(id): PathParts<String>,
    request: Request,
) -> Response {
    answer(one(&shared, &id, request).await)
}

/// `POST /apps/{id}/batch_events`.
pub(crate) async fn batch(
    State(shared): State<Arc<Shared>>,
    PathParts(id): PathParts<String>,
    request: Request,
) -> Response {
    answer(several(&shared, &id, request).await)
}

fn answer(outcome: Result<Cow<'static, str>, Response>) -> Response {
    outcome.map_or_else(|refusal| refusal, |body| json_response(StatusCode::OK, body))
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
