//! The hub's words lent to a guest in the contract's words: borrowed, so that a call copies bytes once, into the guest.

use jackfield_hub::App;
use jackfield_hub::doors::{ApiRequest, Client, ClientEvent, SigninRequest, SubscribeRequest};

use crate::bindings::hot::jackfield::auth::claims;
use crate::bindings::hot::jackfield::types::types;
use crate::imports::unix_ms;

/// Headers that a guest is to keep.
pub(crate) fn given_headers(headers: impl IntoIterator<Item = (String, String)>) -> Vec<types::Header> {
    let header = |(name, value)| types::Header { name, value };
    headers.into_iter().map(header).collect()
}

/// Headers that came from a guest.
pub(crate) fn taken_headers(headers: Vec<types::Header>) -> Vec<(String, String)> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}

pub(crate) fn app(app: &App) -> types::App<'_> {
    types::App {
        id: &app.id,
        key: &app.key,
    }
}

pub(crate) fn connection(client: &Client) -> types::Connection<'_> {
    types::Connection {
        app: app(&client.app),
        socket_id: &client.socket_id,
        remote_address: &client.remote_address,
    }
}

pub(crate) fn subscribe(request: &SubscribeRequest) -> claims::SubscribeRequest<'_> {
    let SubscribeRequest {
        channel,
        auth,
        channel_data,
        ..
    } = request;
    claims::SubscribeRequest {
        channel: channel.as_str(),
        auth,
        channel_data: channel_data.as_deref(),
    }
}

pub(crate) fn signin(request: &SigninRequest) -> claims::SigninRequest<'_> {
    claims::SigninRequest {
        auth: &request.auth,
        user_data: &request.user_data,
    }
}

pub(crate) fn client_event(event: &ClientEvent) -> claims::ClientEventMessage<'_> {
    let ClientEvent {
        channel, event, data, ..
    } = event;
    claims::ClientEventMessage {
        channel: channel.as_str(),
        event: event.as_str(),
        data: data.get(),
    }
}

pub(crate) fn request(request: &ApiRequest) -> claims::HttpRequest<'_> {
    claims::HttpRequest {
        app_key: &request.app.key,
        lines: &request.lines,
        prefix_length: request.prefix_length,
        body_length: request.body.len() as u64,
        unix_ms: unix_ms(),
    }
}
