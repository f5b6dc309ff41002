//! A guest for the host's tests: a webhook sink that does what a notice's channel says.
//!
//! `error` and `trap` fail until the notice is half a second old; `silent` has nothing to send; `many` has a million headers;
//! `unsigned` goes without a signature, `keyless` without the app's key; `text` is said to be text. Everything else is a signed call.

use jackfield_sdk::{Call, Header, Notice, Webhook, export_webhook, host, no_settings};

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

    fn prepare(&mut self, _app: &str, notices: &[Notice]) -> Result<Option<Call>, String> {
        let mut call = call(notices);
        for notice in notices {
            let is_ripe = host::unix_ms() >= notice.time_ms + RIPE_MS;
            match channel(notice) {
                "silent" => return Ok(None),
                "many" => call.headers = vec![header("", ""); MANY],
                "unsigned" => call.signature_header = None,
                "keyless" => call.key_header = None,
                "text" => call.headers.push(header("Content-Type", "text/plain")),
                "error" | "trap" if !is_ripe => {
                    host::warn(&format!("not yet {}", notice.id));
                    if channel(notice) == "error" {
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

/// The channel that an event names.
fn channel(notice: &Notice) -> &str {
    let behind = notice.event.split_once(r#""channel":""#).map(|(_, behind)| behind);
    behind.and_then(|behind| behind.split('"').next()).unwrap_or_default()
}

fn call(notices: &[Notice]) -> Call {
    let ids: Vec<&str> = notices.iter().map(|notice| notice.id.as_str()).collect();
    let events: Vec<&str> = notices.iter().map(|notice| notice.event.as_str()).collect();
    Call {
        body: format!(r#"{{"time_ms":1,"events":[{}]}}"#, events.join(",")).into_bytes(),
        key_header: Some("x-pusher-key".to_owned()),
        signature_header: Some("x-pusher-signature".to_owned()),
        headers: vec![header("x-extra", &ids.join(","))],
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
    use jackfield_sdk::{Notice, Webhook, double};

    use super::Probe;

    #[test]
    fn fails_while_a_notice_is_young() {
        let notice = |time_ms| Notice {
            id: "1".to_owned(),
            time_ms,
            event: r#"{"name":"channel_occupied","channel":"error"}"#.to_owned(),
        };
        double::set_unix_ms(10_000);
        assert!(Probe.prepare("1001", &[notice(9_900)]).is_err());
        assert!(Probe.prepare("1001", &[notice(0)]).is_ok());
    }
}
