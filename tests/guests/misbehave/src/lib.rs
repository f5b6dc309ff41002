//! A guest for the host's tests: breaks, on request, in each way in which a plugin can break.
//!
//! The request is the beginning of a channel's name. Everything else is passed on, so that the guest can stand in a
//! chain.

use std::hint::black_box;

use jackfield_sdk::{Auth, Connection, SubscribeRequest, Verdict, export_auth, host};

/// The settings, and the plugin: it keeps nothing else.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Misbehave {
    /// With this the plugin refuses to start, for this reason.
    refuse: Option<String>,
    /// In this way it misbehaves when it starts.
    start: Option<String>,
    /// But not before this time, in milliseconds since 1970.
    sound_until_ms: Option<u64>,
}

impl Auth for Misbehave {
    fn new(config: &str) -> Result<Self, String> {
        let plugin: Self = serde_json::from_str(config).map_err(|error| error.to_string())?;
        if plugin.sound_until_ms.is_none_or(|sound| host::unix_ms() >= sound) {
            misbehave(plugin.start.as_deref());
        }
        match plugin.refuse {
            Some(reason) => Err(reason),
            None => Ok(plugin),
        }
    }

    fn subscribe(&mut self, _client: &Connection, request: &SubscribeRequest) -> Verdict {
        let way = request.channel.split_once('-').map(|(way, _)| way);
        if let Some(length) = way.and_then(answer_length) {
            let message = vec![b'x'; length];
            return Verdict::refuse(403, String::from_utf8(message).expect("ASCII"));
        }
        misbehave(way);
        Verdict::Pass
    }
}

export_auth!(Misbehave);

fn misbehave(way: Option<&str>) {
    match way {
        Some("trap") => panic!("asked to trap"),
        Some("loop") => spin(),
        Some("memory") => hoard(),
        Some("deep") => {
            let _ = black_box(dig(0));
        }
        Some("draw") => draw(),
        Some("chatter") => chatter(),
        Some("leak") => std::mem::forget(black_box(vec![1_u8; LEAK])),
        _ => {}
    }
}

/// Bytes lost in a call that leaks: two hundred such calls would fill an instance.
const LEAK: usize = 64 << 10;

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

/// Asks the host for randomness for ever.
fn draw() {
    while black_box(true) {
        black_box(host::random(4_096));
    }
}

/// Logs for ever.
fn chatter() {
    while black_box(true) {
        host::warn("chatter of misbehave");
    }
}

/// How many bytes long a refusal's message is that nobody wants to read.
fn answer_length(way: &str) -> Option<usize> {
    match way {
        "huge" => Some(8 << 20),
        // All but the last bit of what one call may take.
        "large" => Some((2 << 20) - (128 << 10)),
        _ => None,
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
    #[should_panic(expected = "asked to trap")]
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
