//! Words webhooks as Pusher does: one POST with what an endpoint wants to hear of, signed by the host with the app's secret.

use jackfield_sdk::{App, Call, Header, Notice, Webhook, export_webhook, no_settings};

/// Pusher's webhooks over HTTP.
#[derive(Debug)]
pub struct Http;

impl Webhook for Http {
    fn new(config: &str) -> Result<Self, String> {
        no_settings(config).map(|()| Self)
    }

    fn prepare(&mut self, app: &App, _url: &str, notices: &[Notice]) -> Result<Option<Call>, String> {
        // Receivers compare the content type as a whole string, and look a signature's secret up by the key.
        let headers = vec![
            header(CONTENT_TYPE, "application/json".to_owned()),
            header(KEY, app.key.clone()),
            header(NOTICES, joined(notices.iter().map(|notice| &notice.id))),
        ];
        Ok(Some(Call {
            headers,
            body: body(notices).into_bytes(),
            signature_header: Some(SIGNATURE.to_owned()),
        }))
    }
}

export_webhook!(Http);

fn header(name: &str, value: String) -> Header {
    Header {
        name: name.to_owned(),
        value,
    }
}

/// One object with all of them; the host hands over together what belongs together.
fn body(notices: &[Notice]) -> String {
    let time_ms = notices.iter().map(|notice| notice.time_ms).max().unwrap_or_default();
    // `event` is JSON already, as the protocol words it.
    let events = joined(notices.iter().map(|notice| &notice.event));
    ["{\"time_ms\":", &time_ms.to_string(), ",\"events\":[", &events, "]}"].concat()
}

/// The texts with commas between them.
fn joined<'a>(texts: impl Iterator<Item = &'a String> + Clone) -> String {
    let mut joined = String::with_capacity(texts.clone().map(|text| text.len() + 1).sum());
    for text in texts {
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(text);
    }
    joined
}

const CONTENT_TYPE: &str = "content-type";
const KEY: &str = "x-pusher-key";
const SIGNATURE: &str = "x-pusher-signature";
/// The ids of the notices, by which a receiver knows a webhook that it has had before.
const NOTICES: &str = "x-jackfield-notices";

#[cfg(test)]
mod tests {
    use jackfield_sdk::{App, Call, Header, Notice, Webhook};

    use super::Http;

    fn notice(name: &str, channel: &str) -> Notice {
        Notice {
            id: format!("{channel}/1"),
            name: name.to_owned(),
            channel: channel.to_owned(),
            time_ms: 1_353_088_179_000,
            event: format!(r#"{{"name":"{name}","channel":"{channel}"}}"#),
        }
    }

    fn prepare(notices: &[Notice]) -> Call {
        let app = App {
            id: "1001".to_owned(),
            key: "app-key".to_owned(),
        };
        let mut plugin = Http::new("{}").expect("no settings are all it takes");
        let call = plugin.prepare(&app, "https://a.example/hook", notices);
        call.expect("it has no reason to fail").expect("it words every notice")
    }

    // Pusher, "Webhooks": a POST with `Content-Type`, `X-Pusher-Key` and `X-Pusher-Signature`.
    #[test]
    fn words_an_event_as_pusher_does() {
        let header = |name: &str, value: &str| Header {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let body = r#"{"time_ms":1353088179000,"events":[{"name":"channel_occupied","channel":"room"}]}"#;
        let expected = Call {
            headers: vec![
                header("content-type", "application/json"),
                header("x-pusher-key", "app-key"),
                header("x-jackfield-notices", "room/1"),
            ],
            body: body.as_bytes().to_vec(),
            signature_header: Some("x-pusher-signature".to_owned()),
        };
        assert_eq!(prepare(&[notice("channel_occupied", "room")]), expected);
    }

    #[test]
    fn what_belongs_together_goes_into_one_request() {
        let mut late = notice("channel_vacated", "b");
        late.time_ms += 1;
        let call = prepare(&[notice("channel_occupied", "a"), late, notice("channel_occupied", "c")]);
        assert_eq!(call.headers[2].value, "a/1,b/1,c/1");
        let body = String::from_utf8(call.body).expect("JSON is UTF-8");
        assert_eq!(
            body,
            r#"{"time_ms":1353088179001,"events":[{"name":"channel_occupied","channel":"a"},"#.to_owned()
                + r#"{"name":"channel_vacated","channel":"b"},{"name":"channel_occupied","channel":"c"}]}"#
        );
    }

    #[test]
    fn refuses_settings_it_does_not_have() {
        assert!(Http::new(r#"{"url":"https://a"}"#).is_err());
    }
}
