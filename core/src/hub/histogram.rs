//! A histogram by powers of two.
//! Plain values: recording one is two additions.

use alloc::string::ToString;

use crate::http::exposition::{Exposition, Kind};

/// Number of ranges with an upper end; the last is 2^20.
const RANGES: usize = 21;

/// Counts of values up to 1, 2, 4, and so on to 1 048 576, and of larger ones.
///
/// ```
/// use sansws_core::hub::Histogram;
///
/// let mut members = Histogram::default();
/// for count in [1, 3, 1_000] {
///     members.note(count);
/// }
/// assert_eq!((members.count(), members.sum()), (3, 1_004));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; RANGES],
    beyond: u64,
    sum: u64,
}

impl Histogram {
    /// Records a value.
    pub fn note(&mut self, number: u64) {
        let range = number.max(1).next_power_of_two().trailing_zeros();
        match self.counts.get_mut(range as usize) {
            Some(count) => *count += 1,
            None => self.beyond += 1,
        }
        self.sum += number;
    }

    /// Adds the counts of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.counts.iter_mut().zip(other.counts) {
            *own += other;
        }
        self.beyond += other.beyond;
        self.sum += other.sum;
    }

    /// Returns the number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.beyond
    }

    /// Returns the sum of the values.
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// Iterates over the upper ends of the ranges, with the number of values up to each; larger ones are only in
    /// [`count`](Self::count).
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut below = 0;
        self.counts.iter().enumerate().map(move |(power, count)| {
            below += count;
            (1 << power, below)
        })
    }

    pub(super) fn write(&self, name: &str, help: &str, out: &mut Exposition) {
        let mut family = out.family(Kind::Histogram, name, help);
        for (end, below) in self.ranges() {
            family.sample("_bucket", &[("le", &end.to_string())], below);
        }
        family
            .sample("_bucket", &[("le", "+Inf")], self.count())
            .sample("_sum", &[], self.sum)
            .sample("_count", &[], self.count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_lies_in_its_range_and_all_above() {
        let mut histogram = Histogram::default();
        let numbers = [0, 1, 2, 3, 4, 5, 1 << 20, (1 << 20) + 1, 1 << 40];
        for number in numbers {
            histogram.note(number);
        }
        for (end, below) in histogram.ranges() {
            let want = numbers.iter().filter(|number| **number <= end).count();
            assert_eq!(below, want as u64, "{end}");
        }
        assert_eq!(histogram.count(), numbers.len() as u64);
        assert_eq!(histogram.sum(), numbers.iter().sum::<u64>());
        let mut twice = histogram;
        twice.add(&histogram);
        assert_eq!(twice.count(), 2 * histogram.count());
    }
}
