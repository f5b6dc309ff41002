//! What each fuzz target does with its bytes: feed a part of the crate, then check what must hold for any input.
//!
//! A panic is a finding, in the crate or in a check.

use std::time::Instant;

use jackfield_protocol::close::Close;
use jackfield_protocol::names::{ChannelKind, ChannelName, EventName, SocketId, UserId};
use jackfield_protocol::pusher::api::{
    ApiError, BatchRequest, ChannelQuery, ChannelsQuery, PublishLimits, PublishRequest, check_users_of,
};
use jackfield_protocol::pusher::session::{
    ClientEvent, Features, Intent, Limits, MAX_WATCHLIST, Session, Settings, Signin, Subscribe,
};
use jackfield_protocol::pusher::{frames, handshake, webhooks};
use jackfield_protocol::websocket::{Decoder, Message};
use serde_json::value::RawValue;

/// Small, so that a fuzzer can reach it.
const MAX_MESSAGE: usize = 300;

const SENDER: SocketId = SocketId { high: 1, low: 2 };

/// Bytes of a client after the upgrade. The first one says how they are cut.
pub fn client_frames(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let pieces = bytes.chunks(usize::from(*cut).max(1));
    assert_eq!(decoded(pieces), decoded([bytes]), "cut every {cut} bytes");
}

/// What comes out of the decoder, up to the first error or goodbye.
pub fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, Option<Close>) {
    const LONGEST_HEADER: usize = 14;
    let mut decoder = Decoder::new(MAX_MESSAGE);
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next() {
                Ok(None) => break,
                Ok(Some(message)) => {
                    let last = matches!(message, Message::Close(_));
                    messages.push(message);
                    if last {
                        return (messages, None);
                    }
                }
                Err(close) => return (messages, Some(close)),
            }
        }
        let bound = MAX_MESSAGE + LONGEST_HEADER + MAX_MESSAGE;
        assert!(decoder.buffered() <= bound, "{} bytes held", decoder.buffered());
    }
    (messages, None)
}

/// Texts of a client, one a line, and whatever verdicts its requests get.
pub fn client_message(bytes: &[u8]) {
    let now = Instant::now();
    let mut session = Session::new(settings(), now);
    for text in String::from_utf8_lossy(bytes).lines() {
        match session.receive(text, now) {
            Intent::Reply(reply) => brief(&reply),
            Intent::Subscribe(ask) => judge(&mut session, &ask),
            Intent::Signin(ask) => sign_in(&mut session, ask),
            Intent::ClientEvent(event) => relay(&session, &event),
            Intent::Unsubscribe(channel) => assert!(session.pending_ticket(&channel).is_none()),
            Intent::Nothing => {}
            Intent::Close(close) => panic!("closed with {close:?} over a text"),
        }
        assert!(session.channels().count() <= Limits::PUSHER.max_channels);
        session.tick(now);
    }
}

fn settings() -> Settings {
    Settings {
        features: Features {
            client_events: true,
            user_authentication: true,
            watchlist: true,
        },
        ..Settings::new(SENDER)
    }
}

/// An answer is JSON and no longer than names and ids make it.
fn brief(reply: &str) {
    json(reply);
    assert!(reply.len() < 2_000, "{} bytes: {reply}", reply.len());
}

/// Every second request is granted.
fn judge(session: &mut Session, ask: &Subscribe) {
    let Subscribe {
        channel,
        member,
        ticket,
        ..
    } = ask;
    assert_eq!(session.pending_ticket(channel), Some(*ticket));
    assert!(channel.kind() == ChannelKind::Presence || member.is_none());
    if let Some(member) = member {
        let info = member.user_info.as_deref();
        assert!(info.is_none_or(|info| info.get().len() <= Limits::PUSHER.max_presence_member_bytes));
        json(&frames::presence_succeeded(channel, [(member.user_id.as_str(), info)]));
        json(&frames::member_added(channel, &member.user_id, info));
        json(&webhooks::member_added(channel, &member.user_id));
    }
    assert!(!session.granted(channel, ticket.wrapping_add(1)));
    if ticket % 2 == 0 {
        assert!(session.granted(channel, *ticket));
        let member = member.as_ref().map(|member| member.user_id.as_str());
        assert_eq!(session.member_id(channel), member);
    } else {
        let refused = session.subscription_refused(channel, *ticket, 401, "bad signature");
        brief(&refused.expect("it was pending"));
    }
}

fn sign_in(session: &mut Session, ask: Signin) {
    assert!(ask.user.watchlist.len() <= MAX_WATCHLIST);
    let id = ask.user.id.clone();
    let told = session
        .signed_in(ask)
        .expect("the session has checked that it is the same user");
    told.iter().for_each(|text| json(text));
    assert_eq!(session.user().map(|user| user.id.as_str()), Some(id.as_str()));
}

fn relay(session: &Session, event: &ClientEvent) {
    assert!(session.is_subscribed(&event.channel) && event.channel.needs_auth());
    assert!(event.event.is_client());
    assert_eq!(event.user_id.as_deref(), session.member_id(&event.channel));
    json(&frames::client_event(
        &event.channel,
        event.event.as_str(),
        &event.data,
        event.user_id.as_deref(),
    ));
    json(&webhooks::client_event(event, SENDER));
}

/// The body of a POST, read as one event and as a batch.
pub fn http_body(bytes: &[u8]) {
    let limits = PublishLimits::PUSHER;
    match PublishRequest::parse(bytes, &limits) {
        Ok(request) => {
            assert!((1..=limits.max_channels).contains(&request.channels.len()));
            assert!(request.data.len() <= limits.max_event_bytes);
            for channel in &request.channels {
                json(&frames::event(channel, request.name.as_str(), &request.data));
            }
        }
        Err(error) => refused(&error),
    }
    match BatchRequest::parse(bytes, &limits) {
        Ok(batch) => {
            assert!((1..=limits.max_batch).contains(&batch.events.len()));
            for event in &batch.events {
                assert!(event.data.len() <= limits.max_event_bytes);
                json(&frames::event(&event.channel, event.name.as_str(), &event.data));
            }
        }
        Err(error) => refused(&error),
    }
}

/// The query of a GET, and that of an upgrade.
pub fn query_string(bytes: &[u8]) {
    let query = String::from_utf8_lossy(bytes);
    match ChannelsQuery::parse(&query) {
        Ok(asked) => assert!(!asked.info.cache && (!asked.info.user_count || asked.prefix.starts_with("presence-"))),
        Err(error) => refused(&error),
    }
    for name in ["news", "cache-news", "presence-room", "presence-cache-room"] {
        let channel = ChannelName::parse(name).expect(name);
        match ChannelQuery::parse(&query, &channel) {
            Ok(asked) => {
                assert!(channel.is_cache() || !asked.info.cache);
                assert!(check_users_of(&channel).is_ok() || !asked.info.user_count);
            }
            Err(error) => refused(&error),
        }
    }
    if let Err(close) = handshake::check(&query) {
        assert!((4006..=4008).contains(&close.code()));
    }
}

fn refused(error: &ApiError) {
    assert!(matches!(error.status(), 400 | 413), "{error}");
    assert!(error.to_string().len() < 1_000, "{error}");
}

/// A name of any kind.
pub fn channel_name(bytes: &[u8]) {
    let name = String::from_utf8_lossy(bytes);
    if let Ok(channel) = ChannelName::parse(&name) {
        assert_eq!(channel.as_str(), name);
        assert!(name.len() <= 200 && name.is_ascii());
        let kind = channel.kind();
        assert_eq!(name.starts_with('#'), kind == ChannelKind::ServerToUser);
        assert_eq!(channel.server_user().is_some(), kind == ChannelKind::ServerToUser);
        let private = !matches!(kind, ChannelKind::Public | ChannelKind::ServerToUser);
        assert_eq!(channel.needs_auth(), private);
        if let Some(user) = channel.server_user() {
            assert_eq!(UserId::parse(user).expect(user).channel(), channel);
        }
        json(&frames::subscription_succeeded(&channel));
    }
    if let Ok(event) = EventName::parse(&name) {
        assert_eq!(event.as_str(), name);
    }
    if let Ok(id) = name.parse::<SocketId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}

/// Not read any further: what is relayed may hold what only JavaScript takes, such as half a surrogate pair.
fn json(text: &str) {
    serde_json::from_str::<&RawValue>(text).expect(text);
}
