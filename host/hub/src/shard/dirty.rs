//! Sockets that have something to be written, in an order that is fair.
//!
//! A channel with thousands of subscribers makes thousands of sockets dirty at once. Those of small channels do not stand in line
//! behind all of them: the two take turns, so that neither can keep the other one waiting.

use std::collections::VecDeque;

/// The sockets that wait, each once.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    few: VecDeque<usize>,
    many: VecDeque<usize>,
    /// Who came last.
    was_many: bool,
    /// More is about to be delivered to large channels.
    held: bool,
}

impl Dirty {
    /// Where sockets line up that are told together with so many on this shard.
    pub(super) fn line(&mut self, subscribers: usize) -> &mut VecDeque<usize> {
        if subscribers > LARGE {
            &mut self.many
        } else {
            &mut self.few
        }
    }

    /// Whether those of large channels wait for more.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Whether sockets of large channels wait.
    pub(super) fn has_many(&self) -> bool {
        !self.many.is_empty()
    }

    /// Takes turns for as long as there are some of both.
    pub(super) fn pop(&mut self) -> Option<usize> {
        if self.held {
            return self.few.pop_front();
        }
        let next = match self.was_many {
            true => self.few.pop_front().or_else(|| self.many.pop_front()),
            false => self.many.pop_front().or_else(|| self.few.pop_front()),
        };
        self.was_many = !self.was_many;
        next
    }
}

/// Subscribers on one shard from which on a channel is large: to write to so many takes a fraction of a millisecond.
pub(super) const LARGE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_take_turns_and_keep_their_order() {
        let mut dirty = Dirty::default();
        dirty.line(LARGE + 1).extend(10..14);
        dirty.line(LARGE).extend(1..3);
        let order: Vec<usize> = std::iter::from_fn(|| dirty.pop()).collect();
        assert_eq!(order, [10, 1, 11, 2, 12, 13]);
    }

    #[test]
    fn those_of_large_channels_can_be_held_back() {
        let mut dirty = Dirty::default();
        dirty.line(LARGE + 1).push_back(10);
        dirty.line(LARGE).push_back(1);
        dirty.hold(true);
        assert_eq!((dirty.pop(), dirty.pop()), (Some(1), None));
        dirty.hold(false);
        assert_eq!((dirty.pop(), dirty.pop()), (Some(10), None));
    }
}
