//! What an app's server asks: which channels are occupied, by how many and by whom. And the end of a user's connections.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use jackfield_hub::{App, Occupancy, Toll, Topic};
use jackfield_protocol::names::{ChannelKind, ChannelName, UserId};
use jackfield_protocol::pusher::api::answers::{self, Cache, Counts};
use jackfield_protocol::pusher::api::{ChannelQuery, ChannelsQuery, check_users_of};

use super::publish::unpublished;
use super::{Call, authorize, refused, small_body, wrong};
use crate::http::{PathParts, json_response, refuse};
use crate::shared::Shared;

/// `GET /apps/{id}/channels`.
pub(super) async fn channels(
    State(shared): State<Arc<Shared>>,
    PathParts(id): PathParts<String>,
    request: Request,
) -> Response {
    let read = |call: &Call| ChannelsQuery::parse(call.query()).map_err(|error| wrong(&error));
    let asked = ask(&shared, &id, request, read, |app, query| {
        let mut channels = shared.hub.channels(&app.id);
        channels.retain(|(channel, _)| query.matches(channel) && channel.kind() != ChannelKind::ServerToUser);
        channels.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let counted = channels
            .iter()
            .map(|(channel, occupancy)| (channel, known(channel, *occupancy).asked_for(query.info)));
        Ok(answers::channels(counted))
    });
    asked.await
}

/// `GET /apps/{id}/channels/{name}`.
pub(super) async fn channel(
    State(shared): State<Arc<Shared>>,
    PathParts((id, name)): PathParts<(String, String)>,
    request: Request,
) -> Response {
    let read = |call: &Call| {
        let topic = topic(call.app(), &name)?;
        let query = ChannelQuery::parse(call.query(), topic.channel()).map_err(|error| wrong(&error))?;
        Ok((topic, query))
    };
    let asked = ask(&shared, &id, request, read, |_, (topic, query)| {
        let occupancy = shared.hub.occupancy(&topic);
        let (now_ms, wanted) = (shared.now_ms(), query.info.cache);
        let cached = shared.hub.cached(&topic, now_ms).filter(|_| wanted);
        let cache = match &cached {
            Some(cached) => Cache::Kept {
                data: &cached.data,
                ttl: cached.until_ms.saturating_sub(now_ms) / 1_000,
            },
            None if wanted => Cache::Empty,
            None => Cache::Unasked,
        };
        let counts = known(topic.channel(), occupancy).asked_for(query.info);
        Ok(answers::channel(&answers::Channel {
            occupied: occupancy.subscriptions > 0,
            counts,
            cache,
        }))
    });
    asked.await
}

/// `GET /apps/{id}/channels/{name}/users`.
pub(super) async fn users(
    State(shared): State<Arc<Shared>>,
    PathParts((id, name)): PathParts<(String, String)>,
    request: Request,
) -> Response {
    let read = |call: &Call| {
        let topic = topic(call.app(), &name)?;
        check_users_of(topic.channel()).map_err(|error| wrong(&error))?;
        Ok(topic)
    };
    let asked = ask(&shared, &id, request, read, |_, topic| {
        let members = shared.hub.members(&topic);
        Ok(answers::users(members.iter().map(|user| &**user)))
    });
    asked.await
}

/// `POST /apps/{id}/users/{user}/terminate_connections`.
pub(super) async fn terminate(
    State(shared): State<Arc<Shared>>,
    PathParts((id, user)): PathParts<(String, String)>,
    request: Request,
) -> Response {
    let read = |_: &Call| UserId::parse(&user).map_err(|error| refuse(StatusCode::BAD_REQUEST, &error.to_string()));
    let asked = ask(&shared, &id, request, read, |app, user| {
        let told = shared.hub.terminate(&app.id, user.as_str());
        told.map(|()| answers::DONE.to_owned())
            .map_err(|error| unpublished(&error))
    });
    asked.await
}

/// What is known of how many are in a channel.
pub(super) fn counts(shared: &Shared, topic: &Topic) -> Counts {
    known(topic.channel(), shared.hub.occupancy(topic))
}

/// Authorises a question, reads it, counts it, and only then answers it: what is over the rate costs and does nothing.
async fn ask<Q>(
    shared: &Shared,
    id: &str,
    request: Request,
    read: impl FnOnce(&Call) -> Result<Q, Response>,
    answer: impl FnOnce(&App, Q) -> Result<String, Response>,
) -> Response {
    let outcome = async {
        let call = authorize(shared, id, request, small_body).await?;
        let question = read(&call)?;
        let app = Arc::clone(call.app());
        shared
            .gate
            .charge(call.grant, &Toll::Read)
            .wait()
            .await
            .map_err(refused)?;
        answer(&app, question)
    };
    match outcome.await {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(refusal) => refusal,
    }
}

fn topic(app: &App, name: &str) -> Result<Topic, Response> {
    let longest = app.policy.limits.max_channel_name_bytes;
    let channel = ChannelName::parse_within(name, longest);
    let channel = channel.map_err(|error| refuse(StatusCode::BAD_REQUEST, &error.to_string()))?;
    Ok(Topic::new(&app.id, &channel))
}

/// Users are counted in presence channels alone.
fn known(channel: &ChannelName, occupancy: Occupancy) -> Counts {
    let users = (channel.kind() == ChannelKind::Presence).then_some(occupancy.users);
    Counts {
        user_count: users,
        subscription_count: Some(occupancy.subscriptions),
    }
}
