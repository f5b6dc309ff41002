//! Words webhooks as Pusher does: one POST with what an endpoint wants to hear of, signed by the host with the app's secret.

use jackfield_sdk::{Call, Notice, Webhook, export_webhook, no_settings};

/// Pusher's webhooks over HTTP.
#[derive(Debug)]
pub struct Http;

impl Webhook for Http {
    fn new(config: &str) -> Result<Self, String> {
        no_settings(config).map(|()| Self)
    }

    fn prepare(&mut self, _app: &str, notices: &[Notice]) -> Result<Option<Call>, String> {
        Ok(Some(Call {
            body: body(notices).into_bytes(),
            // Receivers look a signature's secret up by the key.
            key_header: Some(KEY.to_owned()),
            signature_header: Some(SIGNATURE.to_owned()),
            headers: Vec::new(),
        }))
    }
}

export_webhook!(Http);

/// One object with all of them; the host hands over together what belongs together.
fn body(notices: &[Notice]) -> String {
    let time_ms = notices.iter().map(|notice| notice.time_ms).max().unwrap_or_default();
    let events: usize = notices.iter().map(|notice| notice.event.len() + 1).sum();
    let mut body = String::with_capacity(FRAME_BYTES + events);
    body.push_str("{\"time_ms\":");
    body.push_str(&time_ms.to_string());
    body.push_str(",\"events\":[");
    for (index, notice) in notices.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        // It is JSON already, as the protocol words it.
        body.push_str(&notice.event);
    }
    body.push_str("]}");
    body
}

const KEY: &str = "x-pusher-key";
const SIGNATURE: &str = "x-pusher-signature";
/// Room for what stands around the events.
const FRAME_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use jackfield_sdk::{Call, Notice, Webhook};

    use super::Http;

    fn notice(name: &str, channel: &str) -> Notice {
        Notice {
            id: format!("{channel}/1"),
            time_ms: 1_353_088_179_000,
            event: format!(r#"{{"name":"{name}","channel":"{channel}"}}"#),
        }
    }

    fn prepare(notices: &[Notice]) -> Call {
        let mut plugin = Http::new("{}").expect("no settings are all it takes");
        let call = plugin.prepare("1001", notices);
        call.expect("it has no reason to fail").expect("it words every notice")
    }

    // Pusher, "Webhooks": a POST with `X-Pusher-Key` and `X-Pusher-Signature`.
    #[test]
    fn words_an_event_as_pusher_does() {
        let body = r#"{"time_ms":1353088179000,"events":[{"name":"channel_occupied","channel":"room"}]}"#;
        let expected = Call {
            body: body.as_bytes().to_vec(),
            key_header: Some("x-pusher-key".to_owned()),
            signature_header: Some("x-pusher-signature".to_owned()),
            headers: Vec::new(),
        };
        assert_eq!(prepare(&[notice("channel_occupied", "room")]), expected);
    }

    #[test]
    fn what_belongs_together_goes_into_one_request() {
        let mut late = notice("channel_vacated", "b");
        late.time_ms += 1;
        let call = prepare(&[notice("channel_occupied", "a"), late, notice("channel_occupied", "c")]);
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
