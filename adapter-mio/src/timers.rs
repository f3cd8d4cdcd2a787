//! When something is due, earliest first, for a loop with many connections.
//! Knows no clock, and not what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sansws_core::time::Instant;

/// Times and what is due then.
///
/// Nothing is removed or moved: the owner of a key remembers the time for which it is armed, arms it again only for an *earlier* time, and
/// when a time comes, looks whether it still holds. A busy connection's deadline, which moves later with each message, thus costs one
/// comparison a turn, and one entry is moved each time its former deadline comes.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
        }
    }
}

impl<K: Ord> Timers<K> {
    pub(crate) fn arm(&mut self, at: Instant, key: K) {
        self.heap.push(Reverse((at, key)));
    }

    /// Returns the number of entries, those that no longer hold included.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Returns when to look next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Returns an entry whose time has come, with its time.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, K)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Frees entries that no longer hold, once they outnumber the others: at most `most` do.
    pub(crate) fn tidy(&mut self, most: usize, holds: impl Fn(Instant, &K) -> bool) {
        if self.heap.len() > 2 * most + SPARE {
            self.heap.retain(|Reverse((at, key))| holds(*at, key));
            self.heap.shrink_to(2 * most);
        }
    }
}

/// Number of entries that are kept in any case.
const SPARE: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_earliest_comes_first_and_nothing_before_its_time() {
        let mut timers = Timers::default();
        for (second, key) in [(3, 'c'), (1, 'a'), (2, 'b')] {
            timers.arm(at(second), key);
        }
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.pop(at(0)), None);
        assert_eq!(timers.pop(at(2)), Some((at(1), 'a')));
        assert_eq!(timers.pop(at(2)), Some((at(2), 'b')));
        assert_eq!(timers.pop(at(2)), None);
        assert_eq!(timers.pop(at(9)), Some((at(3), 'c')));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn entries_that_no_longer_hold_are_freed() {
        let mut timers = Timers::default();
        for second in 0..100_000 {
            timers.arm(at(second), second);
            timers.tidy(10, |_, key| *key + 10 > second);
            assert!(timers.heap.len() <= 20 + SPARE);
        }
        assert!(timers.heap.capacity() < 4 * SPARE);
    }
}
