//! What the canaries say of the connections.

use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

use super::Outgoing;
use super::wire::Canary;

pub(super) struct Pulse {
    /// Each with whether it has come back since the last beat.
    canaries: Vec<(Canary, bool)>,
    beats: u64,
    beat_at: Instant,
    /// When all of a beat were last heard, or when the connections were made.
    sure_at: Instant,
    pub(super) round_trip: Duration,
}

impl Pulse {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            canaries: Vec::new(),
            beats: 0,
            beat_at: now,
            sure_at: now,
            round_trip: Duration::ZERO,
        }
    }

    /// There are new connections, or none.
    pub(super) fn begin(&mut self, canaries: Vec<Canary>) {
        let canaries = canaries.into_iter().map(|canary| (canary, false)).collect();
        let (beats, round_trip) = (self.beats, self.round_trip);
        *self = Self {
            canaries,
            beats,
            round_trip,
            ..Self::new()
        };
    }

    /// Sends all canaries out.
    pub(super) fn beat(&mut self) -> Vec<Outgoing> {
        self.beats += 1;
        self.beat_at = Instant::now();
        let canaries = self.canaries.iter_mut().map(|(canary, back)| {
            *back = false;
            Outgoing {
                subject: canary.subject.as_ref().to_owned(),
                payload: Bytes::copy_from_slice(&self.beats.to_be_bytes()),
                ticket: 0,
            }
        });
        canaries.collect()
    }

    /// Whether the last beat is over, and long enough ago for another one.
    pub(super) fn is_due(&self) -> bool {
        self.beat_at.elapsed() >= BETWEEN_BEATS && self.canaries.iter().all(|(_, back)| *back)
    }

    /// None if this is no canary, else whether all of the beat have come back now.
    pub(super) fn heard(&mut self, subject: &str, payload: &[u8]) -> Option<bool> {
        let same = |(canary, _): &&mut (Canary, bool)| canary.subject.as_ref() == subject;
        let (_, back) = self.canaries.iter_mut().find(same)?;
        *back |= payload == self.beats.to_be_bytes();
        let all = self.canaries.iter().all(|(_, back)| *back);
        if all {
            self.sure_at = Instant::now();
            self.round_trip = self.beat_at.elapsed();
        }
        Some(all)
    }

    /// Why the connections are not to be relied on, if they are not. Before `resumed_at` nobody listened.
    pub(super) fn complaint(&self, resumed_at: Instant) -> Option<String> {
        if self.sure_at.max(resumed_at).elapsed() <= LONGEST_SILENCE {
            return None;
        }
        let (missing, _) = self.canaries.iter().find(|(_, back)| !back)?;
        Some(format!(
            "{}: no canary has come back for {LONGEST_SILENCE:?}",
            missing.place
        ))
    }
}

/// Between two beats.
const BETWEEN_BEATS: Duration = Duration::from_secs(1);
/// A broker that is merely busy is not given up.
const LONGEST_SILENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pulse_is_sure_when_all_canaries_of_a_beat_are_back() {
        let canary = |name: &str| Canary {
            subject: name.into(),
            place: format!("at {name}"),
        };
        let mut pulse = Pulse::new();
        pulse.begin(vec![canary("a"), canary("b")]);
        let beat = pulse.beat();
        assert_eq!(pulse.heard("x", b""), None);
        assert_eq!(pulse.heard("a", &beat[0].payload), Some(false));
        assert_eq!(pulse.heard("b", b"older"), Some(false));
        let (now, before) = (Instant::now(), Instant::now() - LONGEST_SILENCE * 2);
        (pulse.sure_at, pulse.beat_at) = (before, before);
        assert!(pulse.complaint(now).is_none(), "nobody listened until now");
        assert!(pulse.complaint(before).unwrap().starts_with("at b: no canary"));
        assert!(!pulse.is_due(), "one is still out");
        assert_eq!(pulse.heard("b", &beat[1].payload), Some(true));
        assert!(pulse.is_due() && pulse.complaint(now).is_none());
    }
}
