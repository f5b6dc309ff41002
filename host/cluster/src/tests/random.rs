//! Random numbers that are the same each time.

pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(crate::stable::mix(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        crate::stable::mix(self.0)
    }

    /// From `low` up to, not including, `high`.
    pub(super) fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.bits() % (high - low).max(1)
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        self.within(0, count as u64) as usize
    }

    /// So many times in a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.within(0, 1000) < per_mille
    }
}
