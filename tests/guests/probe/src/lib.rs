//! A guest for the host's tests: carries out orders, to show what the host makes of them.
//!
//! An order is `WAY` or `WAY:ARGUMENT`. It stands in what a client sends as `auth`, in the data of a client event, in the query
//! of an HTTP request, and behind `order=` in the query of a handshake; the setting `always` is one that is carried out
//! before those, and the setting `at-start` one for `init`, of which the order `at-start` tells what it came to. Without an order the
//! guest has no opinion.

use jackfield_sdk::{
    ApiRequest, Auth, ClientEvent, Connection, Grant, Member, SigninRequest, SubscribeRequest, Verdict, export_auth,
    host,
};

/// The code of a refusal that is no refusal: its message is what the order came to.
pub const SAYS: u16 = 418;

/// The settings, and the plugin.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Probe {
    /// Carried out at every question.
    #[serde(default)]
    always: Option<String>,
    /// Carried out when the guest starts; afterwards, what it came to.
    #[serde(default)]
    at_start: Option<String>,
}

impl Auth for Probe {
    fn new(config: &str) -> Result<Self, String> {
        let mut probe: Self = serde_json::from_str(config).map_err(|error| error.to_string())?;
        probe.at_start = probe.at_start.and_then(|order| outcome(&order));
        Ok(probe)
    }

    fn connect(&mut self, _client: &Connection) -> Verdict {
        let query = host::handshake().map(|handshake| handshake.query).unwrap_or_default();
        self.obey(
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix("order="))
                .unwrap_or(""),
        )
    }

    fn subscribe(&mut self, _client: &Connection, request: &SubscribeRequest) -> Verdict {
        self.obey(&request.auth)
    }

    fn signin(&mut self, _client: &Connection, request: &SigninRequest) -> Verdict {
        self.obey(&request.auth)
    }

    fn client_event(&mut self, _client: &Connection, event: &ClientEvent) -> Verdict {
        self.obey(event.data.trim_matches('"'))
    }

    fn api_request(&mut self, request: &ApiRequest) -> Verdict {
        if request.query() == "request" {
            let (parts, route, bytes) = (request.parts(), request.route(), request.body_length);
            return Verdict::refuse(SAYS, format!("{parts:?}, {route}, {bytes} bytes"));
        }
        self.obey(request.query())
    }
}

export_auth!(Probe);

impl Probe {
    fn obey(&self, order: &str) -> Verdict {
        match (&self.always, &self.at_start) {
            (Some(always), _) => carry_out(always),
            (None, Some(came_to)) if order == "at-start" => Verdict::refuse(SAYS, came_to),
            (None, _) => carry_out(order),
        }
    }
}

fn carry_out(order: &str) -> Verdict {
    let (way, argument) = parts(order);
    if let Some(verdict) = decide(way, argument) {
        return verdict;
    }
    match outcome(order) {
        Some(text) => Verdict::refuse(SAYS, text),
        None => Verdict::Pass,
    }
}

fn parts(order: &str) -> (&str, &str) {
    order.split_once(':').unwrap_or((order, ""))
}

fn decide(way: &str, argument: &str) -> Option<Verdict> {
    Some(match way {
        "allow" => Verdict::allow(),
        "allow-ms" => Verdict::allow_for_ms(number(argument)),
        "allow-as" => {
            let (user_id, user_info) = argument.split_once(' ').unwrap_or((argument, ""));
            Verdict::Allow(Grant {
                expires_in_ms: None,
                member: Some(Member {
                    user_id: user_id.to_owned(),
                    user_info: (!user_info.is_empty()).then(|| user_info.to_owned()),
                }),
            })
        }
        "refuse" => Verdict::refuse(number(argument) as u16, "refused as ordered"),
        "say" => Verdict::refuse(SAYS, argument),
        "dirty" => Verdict::refuse(SAYS, "one\ntwo\u{1b}[31mthree\u{7f}four\0"),
        "message" => Verdict::refuse(SAYS, "x".repeat(number(argument) as usize)),
        "trap" => panic!("ordered to trap"),
        _ => return None,
    })
}

/// Asks the host for something and says what came of it.
fn outcome(order: &str) -> Option<String> {
    let (way, argument) = parts(order);
    Some(match way {
        "random" => host::random(number(argument) as u32).len().to_string(),
        "draws" => format!("{:?} {:?}", host::random(16), host::random(16)),
        "sha256" => host::sha256(argument.as_bytes()),
        "md5" => host::md5(argument.as_bytes()),
        "verify" => {
            let (message, signature) = argument.split_once(' ')?;
            host::verify(message.as_bytes(), signature).to_string()
        }
        "clock" => format!("{} {} {}", host::monotonic_us(), host::unix_ms(), host::monotonic_us()),
        "address" => host::remote_address(),
        "headers" => format!("{:?}", host::headers()),
        "body" => String::from_utf8_lossy(&host::body()).into_owned(),
        "body-md5-is" => host::body_md5_is(argument).to_string(),
        "handshake" => format!("{:?}", host::handshake()),
        "count" => {
            host::count(argument, 1);
            String::new()
        }
        "count-many" => {
            for index in 0..number(argument) {
                host::count(&format!("name_{index}"), 1);
            }
            String::new()
        }
        "log-lines" => {
            for index in 0..number(argument) {
                host::warn(&format!("line {index} of the probe"));
            }
            String::new()
        }
        "log-long" => {
            host::warn(&argument.repeat(LONG));
            String::new()
        }
        "log-dirty" => {
            host::warn("dirty begins\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{7}\rdirty ends");
            String::new()
        }
        _ => return None,
    })
}

/// # Panics
/// When it is no number: an order is a test's, and a mistake in it must be seen.
fn number(argument: &str) -> u64 {
    argument.parse().unwrap_or_else(|_| panic!("`{argument}` is no number"))
}

/// How often the text of a long line is repeated.
const LONG: usize = 3_000;

#[cfg(test)]
mod tests {
    use jackfield_sdk::{Verdict, double};

    use super::{Probe, SAYS, carry_out};
    use jackfield_sdk::Auth;

    #[test]
    fn without_an_order_it_has_no_opinion() {
        let mut probe = Probe::new("{}").expect("no settings are all it takes");
        assert_eq!(
            probe.subscribe(&double::client(), &double::subscription("room")),
            Verdict::Pass
        );
        for order in ["", "unheard-of", "unheard-of:1"] {
            assert_eq!(carry_out(order), Verdict::Pass, "{order}");
        }
    }

    #[test]
    fn an_order_is_carried_out() {
        assert_eq!(carry_out("allow"), Verdict::allow());
        assert_eq!(carry_out("allow-ms:7"), Verdict::allow_for_ms(7));
        assert_eq!(carry_out("say:one:two"), Verdict::refuse(SAYS, "one:two"));
        assert_eq!(carry_out("random:3"), Verdict::refuse(SAYS, "3"));
    }
}
