//! Decides how much of an empty buffer to keep.

/// A buffer is not shrunk below this.
const KEPT: usize = 1024;

/// The recent peak size of a buffer; older peaks count less and less.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CapacityTracker {
    now: usize,
    before: usize,
}

impl CapacityTracker {
    /// Records the current number of elements.
    #[inline]
    pub(super) const fn see(&mut self, length: usize) {
        if length > self.now {
            self.now = length;
        }
    }

    /// Reports that the buffer is empty. Returns the capacity to which to shrink it, if it was hardly used for a while.
    pub(super) fn emptied(&mut self, capacity: usize) -> Option<usize> {
        if self.now == 0 {
            return None;
        }
        self.before = self.now.max(self.before - self.before.div_ceil(8));
        self.now = 0;
        let worth = (self.before * 2).max(KEPT);
        (capacity > worth * 2).then_some(worth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_in_steady_use_is_kept_and_a_single_peak_is_not() {
        let mut peak = CapacityTracker::default();
        let round = |peak: &mut CapacityTracker, length: usize| {
            peak.see(length);
            peak.emptied(131_072)
        };
        for _ in 0..100 {
            assert_eq!(round(&mut peak, 40_000), None);
            assert_eq!(round(&mut peak, 1), None);
        }
        // Being empty does not count as use.
        assert_eq!(peak.emptied(131_072), None);
        let rounds = (1..100).find(|_| round(&mut peak, 1).is_some());
        assert!(rounds.is_some_and(|rounds| rounds < 10), "{rounds:?}");
        let last = (0..100).filter_map(|_| round(&mut peak, 1)).last();
        assert_eq!(last, Some(KEPT));
    }
}
