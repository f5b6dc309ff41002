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

    /// Takes turns for as long as there are some of both.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let next = match self.was_many {
            true => self.few.pop_front().or_else(|| self.many.pop_front()),
            false => self.many.pop_front().or_else(|| self.few.pop_front()),
        };
        self.was_many = !self.was_many;
        next
    }
}

/// Subscribers on one shard from which on a channel is large: to write to so many takes a fraction of a millisecond.
const LARGE: usize = 64;

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
}
