//! A guest for the host's tests: a webhook sink that does what a notice's channel says.
//!
//! `error` and `trap` fail until the notice is half a second old; `silent` has nothing to send; `many` has a million headers;
//! `unsigned` goes without a signature. Everything else is a signed call.

use jackfield_sdk::{App, Call, Header, Notice, Webhook, export_webhook, host, no_settings};

/// How old a notice must be before `error` and `trap` do well.
pub const RIPE_MS: u64 = 500;

/// The headers of `many`.
pub const MANY: usize = 1_000_000;

/// The plugin: it keeps nothing.
#[derive(Debug)]
pub struct Probe;

impl Webhook for Probe {
    fn new(config: &str) -> Result<Self, String> {
        no_settings(config).map(|()| Self)
    }

    fn prepare(&mut self, _app: &App, _url: &str, notices: &[Notice]) -> Result<Option<Call>, String> {
        let mut call = call(notices);
        for notice in notices {
            let is_ripe = host::unix_ms() >= notice.time_ms + RIPE_MS;
            match notice.channel.as_str() {
                "silent" => return Ok(None),
                "many" => call.headers = vec![header("", ""); MANY],
                "unsigned" => call.signature_header = None,
                "error" | "trap" if !is_ripe => {
                    host::warn(&format!("not yet {}", notice.id));
                    if notice.channel == "error" {
                        return Err(format!("{} is not ripe", notice.id));
                    }
                    panic!("{} is not ripe", notice.id);
                }
                _ => {}
            }
        }
        Ok(Some(call))
    }
}

export_webhook!(Probe);

fn call(notices: &[Notice]) -> Call {
    let ids: Vec<&str> = notices.iter().map(|notice| notice.id.as_str()).collect();
    let events: Vec<&str> = notices.iter().map(|notice| notice.event.as_str()).collect();
    Call {
        headers: vec![
            header("content-type", "application/json"),
            header("x-pusher-key", "app-key"),
            header("x-extra", &ids.join(",")),
        ],
        body: format!(r#"{{"time_ms":1,"events":[{}]}}"#, events.join(",")).into_bytes(),
        signature_header: Some("x-pusher-signature".to_owned()),
    }
}

fn header(name: &str, value: &str) -> Header {
    Header {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jackfield_sdk::{App, Notice, Webhook, double};

    use super::Probe;

    #[test]
    fn fails_while_a_notice_is_young() {
        let app = App {
            id: "1001".to_owned(),
            key: "app-key".to_owned(),
        };
        let notice = |time_ms| Notice {
            id: "1".to_owned(),
            name: "channel_occupied".to_owned(),
            channel: "error".to_owned(),
            time_ms,
            event: "{}".to_owned(),
        };
        double::set_unix_ms(10_000);
        assert!(Probe.prepare(&app, "https://a", &[notice(9_900)]).is_err());
        assert!(Probe.prepare(&app, "https://a", &[notice(0)]).is_ok());
    }
}
