//! A guest for the host's tests: an io plugin that takes its time over `slow-…` channels, asks for all the time that there is
//! over `endless-…` channels and lets clients into `brief-…` channels for a moment only. It passes on everything else. With
//! `begin = "loop"` it never gets so far.

use std::hint::black_box;

use jackfield_sdk::{Auth, Connection, SubscribeRequest, Verdict, export_auth, host, no_settings};

/// How long a subscription to `slow-…` waits.
pub const STALL_MS: u32 = 200;

/// How long a subscription to `brief-…` lasts.
pub const BRIEF_MS: u64 = 200;

/// Waits, then has no opinion.
#[derive(Debug)]
pub struct Stall;

impl Auth for Stall {
    fn new(config: &str) -> Result<Self, String> {
        while black_box(config) == r#"{"begin":"loop"}"# {}
        no_settings(config).map(|()| Self)
    }

    fn subscribe(&mut self, _client: &Connection, request: &SubscribeRequest) -> Verdict {
        if request.channel.starts_with("slow-") {
            host::sleep(STALL_MS);
        }
        if request.channel.starts_with("endless-") {
            host::sleep(u32::MAX);
        }
        if request.channel.starts_with("brief-") {
            return Verdict::allow_for_ms(BRIEF_MS);
        }
        Verdict::Pass
    }
}

export_auth!(Stall);

#[cfg(test)]
mod tests {
    use jackfield_sdk::double::{client, slept_ms, subscription};
    use jackfield_sdk::{Auth, Verdict};

    use super::{BRIEF_MS, STALL_MS, Stall};

    fn subscribe(channel: &str) -> Verdict {
        Stall::new("{}")
            .expect("no settings are all it takes")
            .subscribe(&client(), &subscription(channel))
    }

    #[test]
    fn waits_for_slow_channels_alone() {
        assert_eq!(subscribe("room"), Verdict::Pass);
        assert_eq!(slept_ms(), []);
        assert_eq!(subscribe("slow-room"), Verdict::Pass);
        assert_eq!(slept_ms(), [STALL_MS]);
    }

    #[test]
    fn brief_channels_are_open_for_a_moment() {
        assert_eq!(subscribe("brief-room"), Verdict::allow_for_ms(BRIEF_MS));
    }
}
