//! A guest for the host's tests: breaks, on request, in each way in which a plugin can break.
//!
//! The request is the beginning of a channel's name. Everything else is passed on, so that the guest can stand in a
//! chain.

use std::hint::black_box;

use jackfield_sdk::{Auth, Connection, SubscribeRequest, Verdict, export_auth};

/// The settings, and the plugin: it keeps nothing else.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Misbehave {
    /// With this the plugin refuses to start, for this reason.
    refuse: Option<String>,
}

impl Auth for Misbehave {
    fn new(config: &str) -> Result<Self, String> {
        let plugin: Self = serde_json::from_str(config).map_err(|error| error.to_string())?;
        match plugin.refuse {
            Some(reason) => Err(reason),
            None => Ok(plugin),
        }
    }

    fn subscribe(&mut self, _client: &Connection, request: &SubscribeRequest) -> Verdict {
        match request.channel.split_once('-').map(|(way, _)| way) {
            Some("trap") => panic!("asked to trap by {}", request.channel),
            Some("loop") => spin(),
            Some("memory") => hoard(),
            Some("deep") => {
                let _ = black_box(dig(0));
            }
            _ => {}
        }
        Verdict::Pass
    }
}

export_auth!(Misbehave);

/// Runs for ever. What the loop does is hidden from the optimiser, or it might see that nothing comes of it.
fn spin() {
    let mut turns = 0_u64;
    while black_box(true) {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Takes memory until there is no more, and touches it.
fn hoard() {
    let mut hoard = Vec::new();
    while black_box(true) {
        hoard.push(black_box(vec![1_u8; 64 << 10]));
    }
    drop(black_box(hoard));
}

/// Calls itself until the stack is full. The frame is used after the call, or the call would become a jump.
fn dig(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(true) {
        dig(depth + 1).wrapping_add(frame[0])
    } else {
        depth
    }
}

#[cfg(test)]
mod tests {
    use jackfield_sdk::double::{client, subscription};
    use jackfield_sdk::{Auth, Verdict};

    use super::Misbehave;

    fn subscribe(channel: &str) -> Verdict {
        Misbehave::new("{}")
            .expect("it starts unless told not to")
            .subscribe(&client(), &subscription(channel))
    }

    #[test]
    #[should_panic(expected = "asked to trap by trap-room")]
    fn traps_on_request() {
        subscribe("trap-room");
    }

    #[test]
    fn behaves_otherwise() {
        for channel in ["room", "private-trap-room", "traps-room"] {
            assert_eq!(subscribe(channel), Verdict::Pass, "{channel}");
        }
    }

    #[test]
    fn refuses_to_start_for_the_reason_given() {
        assert_eq!(
            Misbehave::new(r#"{"refuse":"out of sorts"}"#).err().as_deref(),
            Some("out of sorts")
        );
        assert!(Misbehave::new(r#"{"refuze":"x"}"#).is_err());
    }
}
