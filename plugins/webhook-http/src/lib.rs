//! Words webhooks as Pusher does: one POST per endpoint with what it wants to hear of, signed by the host with the app's secret.

use jackfield_sdk::{App, Call, Endpoint, Header, Notice, Webhook, export_webhook, no_settings};

/// Pusher's webhooks over HTTP.
#[derive(Debug)]
pub struct Http;

impl Webhook for Http {
    fn new(config: &str) -> Result<Self, String> {
        no_settings(config).map(|()| Self)
    }

    fn prepare(&mut self, app: &App, endpoints: &[Endpoint], notices: &[Notice]) -> Result<Vec<Call>, String> {
        let calls = endpoints.iter().filter_map(|endpoint| {
            let wanted: Vec<&Notice> = notices.iter().filter(|notice| wants(endpoint, notice)).collect();
            (!wanted.is_empty()).then(|| call(app, endpoint, &wanted))
        });
        Ok(calls.collect())
    }
}

export_webhook!(Http);

fn wants(endpoint: &Endpoint, notice: &Notice) -> bool {
    (endpoint.events.is_empty() || endpoint.events.contains(&notice.name))
        && notice.channel.starts_with(&endpoint.channel_starts_with)
        && notice.channel.ends_with(&endpoint.channel_ends_with)
}

/// One request with all of them; the host hands over together what belongs together.
fn call(app: &App, endpoint: &Endpoint, notices: &[&Notice]) -> Call {
    // `event` is JSON already, as the protocol words it.
    let events: Vec<&str> = notices.iter().map(|notice| notice.event.as_str()).collect();
    let ids: Vec<&str> = notices.iter().map(|notice| notice.id.as_str()).collect();
    let time_ms = notices.iter().map(|notice| notice.time_ms).max().unwrap_or_default();
    let mut headers = headers(app, endpoint);
    headers.push(Header {
        name: NOTICES.to_owned(),
        value: ids.join(","),
    });
    Call {
        url: endpoint.url.clone(),
        headers,
        body: format!(r#"{{"time_ms":{time_ms},"events":[{}]}}"#, events.join(",")).into_bytes(),
        signature_header: Some(SIGNATURE.to_owned()),
    }
}

/// The protocol's headers, then the operator's, which cannot replace them: receivers compare the content type as a
/// whole string, and look a signature's secret up by the key.
fn headers(app: &App, endpoint: &Endpoint) -> Vec<Header> {
    let own = [(CONTENT_TYPE, "application/json"), (KEY, app.key.as_str())];
    let own = own.map(|(name, value)| Header {
        name: name.to_owned(),
        value: value.to_owned(),
    });
    let ours = |header: &&Header| {
        [CONTENT_TYPE, KEY, SIGNATURE, NOTICES]
            .iter()
            .any(|name| header.name.eq_ignore_ascii_case(name))
    };
    own.into_iter()
        .chain(endpoint.headers.iter().filter(|header| !ours(header)).cloned())
        .collect()
}

const CONTENT_TYPE: &str = "content-type";
const KEY: &str = "x-pusher-key";
const SIGNATURE: &str = "x-pusher-signature";
/// The ids of the notices, by which a receiver knows a webhook that it has had before.
const NOTICES: &str = "x-jackfield-notices";

#[cfg(test)]
mod tests {
    use jackfield_sdk::{App, Call, Endpoint, Header, Notice, Webhook};

    use super::Http;

    fn header(name: &str, value: &str) -> Header {
        Header {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    fn endpoint(url: &str, events: &[&str]) -> Endpoint {
        let events = events.iter().map(|&event| event.to_owned()).collect();
        Endpoint {
            url: url.to_owned(),
            events,
            channel_starts_with: String::new(),
            channel_ends_with: String::new(),
            headers: Vec::new(),
        }
    }

    fn notice(name: &str, channel: &str) -> Notice {
        Notice {
            id: format!("{channel}/1"),
            name: name.to_owned(),
            channel: channel.to_owned(),
            time_ms: 1_353_088_179_000,
            event: format!(r#"{{"name":"{name}","channel":"{channel}"}}"#),
        }
    }

    fn prepare(endpoints: &[Endpoint], notices: &[Notice]) -> Vec<Call> {
        let app = App {
            id: "1001".to_owned(),
            key: "app-key".to_owned(),
        };
        let mut plugin = Http::new("{}").expect("no settings are all it takes");
        plugin
            .prepare(&app, endpoints, notices)
            .expect("it has no reason to fail")
    }

    // Pusher, "Webhooks": a POST with `Content-Type`, `X-Pusher-Key` and `X-Pusher-Signature`.
    #[test]
    fn words_an_event_as_pusher_does() {
        let calls = prepare(
            &[endpoint("https://a.example/hook", &[])],
            &[notice("channel_occupied", "room")],
        );
        let body = r#"{"time_ms":1353088179000,"events":[{"name":"channel_occupied","channel":"room"}]}"#;
        let expected = Call {
            url: "https://a.example/hook".to_owned(),
            headers: vec![
                header("content-type", "application/json"),
                header("x-pusher-key", "app-key"),
                header("x-jackfield-notices", "room/1"),
            ],
            body: body.as_bytes().to_vec(),
            signature_header: Some("x-pusher-signature".to_owned()),
        };
        assert_eq!(calls, [expected]);
    }

    #[test]
    fn makes_one_call_per_endpoint_with_what_it_wants() {
        let mut rooms = endpoint("https://rooms", &[]);
        (rooms.channel_starts_with, rooms.channel_ends_with) = ("b".to_owned(), "b".to_owned());
        let endpoints = [
            endpoint("https://all", &[]),
            endpoint("https://one", &["channel_occupied"]),
            endpoint("https://none", &["member_added"]),
            rooms,
        ];
        let notices = [
            notice("channel_occupied", "a"),
            notice("channel_vacated", "b"),
            notice("channel_occupied", "c"),
        ];
        let calls = prepare(&endpoints, &notices);
        let made: Vec<(&str, &str)> = calls.iter().map(|call| (call.url.as_str(), ids(call))).collect();
        assert_eq!(
            made,
            [
                ("https://all", "a/1,b/1,c/1"),
                ("https://one", "a/1,c/1"),
                ("https://rooms", "b/1")
            ]
        );
    }

    fn ids(call: &Call) -> &str {
        let header = call.headers.iter().find(|header| header.name == "x-jackfield-notices");
        &header.expect("every call names its notices").value
    }

    #[test]
    fn adds_the_operators_headers_but_keeps_its_own() {
        let mut endpoint = endpoint("https://a", &[]);
        endpoint.headers = vec![
            header("authorization", "Bearer x"),
            header("Content-Type", "text/plain"),
            header("x-pusher-key", "other"),
            header("X-Pusher-Signature", "forged"),
        ];
        let calls = prepare(&[endpoint], &[notice("channel_occupied", "room")]);
        let expected = [
            header("content-type", "application/json"),
            header("x-pusher-key", "app-key"),
            header("authorization", "Bearer x"),
            header("x-jackfield-notices", "room/1"),
        ];
        assert_eq!(calls[0].headers, expected);
    }

    #[test]
    fn has_nothing_to_do_without_endpoints_or_notices() {
        assert_eq!(prepare(&[], &[notice("channel_occupied", "room")]), []);
        assert_eq!(prepare(&[endpoint("https://a", &[])], &[]), []);
    }

    #[test]
    fn refuses_settings_it_does_not_have() {
        assert!(Http::new(r#"{"url":"https://a"}"#).is_err());
    }
}
