//! How often something may happen: a token bucket in integers.
//! RFC 6455 section 10.4 requires limits, and leaves their values to implementations.
//! Knows neither what is counted nor a clock.
//!
//! A bucket is one number, the moment at which it is full again (GCRA). Moments are scaled by `Rate::amount`, so that a microsecond is
//! `amount` units and a token is `per` units: no fraction is ever lost, and nothing drifts.

use crate::time::{Duration, Instant};

/// A number of events per time, with a burst.
///
/// ```
/// use sansws_core::limits::{Bucket, Rate};
/// use sansws_core::time::{Duration, Instant};
///
/// let rate = Rate::per_second(10).burst(2);
/// let mut bucket = Bucket::new();
/// let now = Instant::from_micros(5);
/// assert_eq!(bucket.take(&rate, now, 1), Ok(()));
/// assert_eq!(bucket.take(&rate, now, 1), Ok(()));
/// let later = now + Duration::from_millis(100);
/// assert_eq!(bucket.take(&rate, now, 1), Err(later));
/// assert_eq!(bucket.take(&rate, later, 1), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Number of tokens that return in `per`. Zero: none ever returns.
    pub amount: u64,
    /// The time in which they return, in microseconds; less than one counts as one.
    pub per: Duration,
    /// Number of tokens in a full bucket. Zero counts as one, unless `amount` is zero too: then nothing is allowed.
    pub burst: u64,
}

impl Rate {
    /// Creates a rate of `amount` per `per`, with a burst of all of it.
    pub const fn new(amount: u64, per: Duration) -> Self {
        Self {
            amount,
            per,
            burst: amount,
        }
    }

    /// Creates a rate of `amount` per second, with a burst of all of it.
    pub const fn per_second(amount: u64) -> Self {
        Self::new(amount, Duration::from_secs(1))
    }

    /// Creates a rate of `amount` per minute, with a burst of all of it.
    pub const fn per_minute(amount: u64) -> Self {
        Self::new(amount, Duration::from_secs(60))
    }

    /// Returns this rate with a burst of `burst`.
    #[must_use]
    pub const fn burst(mut self, burst: u64) -> Self {
        self.burst = burst;
        self
    }

    /// The weight of one token, in scaled units.
    fn weight(&self) -> u128 {
        self.per.as_micros().clamp(1, u128::from(u64::MAX))
    }

    /// The weight of a full bucket.
    fn room(&self) -> u128 {
        let least = u64::from(self.amount > 0);
        u128::from(self.burst.max(least)) * self.weight()
    }

    fn scaled(&self, now: Instant) -> u128 {
        u128::from(now.as_micros()) * u128::from(self.amount)
    }

    /// Returns the first moment that is not before `scaled`, or the last representable one if that is beyond it.
    fn moment(&self, scaled: u128) -> Instant {
        if scaled == 0 {
            return Instant::ZERO;
        }
        let micros = match self.amount {
            0 => u128::MAX,
            amount => scaled.div_ceil(u128::from(amount)),
        };
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// The state of a [`Rate`]. Every call takes the rate again, which must always be the same.
///
/// For an example see [`Rate`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The moment at which the bucket is full again, scaled.
    full: u128,
}

impl Bucket {
    /// A moment that means "never".
    pub const NEVER: Instant = Instant::from_micros(u64::MAX);

    /// Creates a full bucket.
    pub const fn new() -> Self {
        Self { full: 0 }
    }

    /// Takes `cost` tokens if they are available.
    ///
    /// Otherwise nothing is taken, and the error is the first moment at which the call would succeed; [`Bucket::NEVER`] for a cost that
    /// exceeds a full bucket, or a rate that returns no tokens.
    pub fn take(&mut self, rate: &Rate, now: Instant, cost: u64) -> Result<(), Instant> {
        let full = self.after(rate, now, cost);
        match self.ready(rate, now, cost) {
            None => {
                self.full = full;
                Ok(())
            }
            Some(moment) => Err(moment),
        }
    }

    /// Returns when [`Bucket::take`] would succeed, if not at once; takes nothing.
    pub fn ready(&self, rate: &Rate, now: Instant, cost: u64) -> Option<Instant> {
        if u128::from(cost) * rate.weight() > rate.room() {
            return Some(Self::NEVER);
        }
        self.debt(rate, now, self.after(rate, now, cost))
    }

    /// Takes `cost` tokens even if they are not available.
    ///
    /// The bucket is then in debt, and the moment at which the debt is paid is returned: wait until then before the next call.
    #[must_use = "what was taken is to be waited for"]
    pub fn spend(&mut self, rate: &Rate, now: Instant, cost: u64) -> Option<Instant> {
        self.full = self.after(rate, now, cost);
        self.debt(rate, now, self.full)
    }

    /// Returns when the bucket is full again; a past moment if it is full.
    pub fn full(&self, rate: &Rate) -> Instant {
        rate.moment(self.full)
    }

    /// Returns when it would be full after `cost` more.
    fn after(&self, rate: &Rate, now: Instant, cost: u64) -> u128 {
        let from = self.full.max(rate.scaled(now));
        from.saturating_add(u128::from(cost) * rate.weight())
    }

    /// Returns when a bucket that is full at `full` has no debt, if that is after `now`.
    fn debt(&self, rate: &Rate, now: Instant, full: u128) -> Option<Instant> {
        // Too far away to be counted.
        if full == u128::MAX {
            return Some(Self::NEVER);
        }
        let paid = full.saturating_sub(rate.room());
        (paid > rate.scaled(now)).then(|| rate.moment(paid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn a_bucket_is_one_number() {
        assert!(size_of::<Bucket>() <= 16);
    }

    #[test]
    fn takes_in_a_row() {
        const NEVER: Instant = Bucket::NEVER;
        let thirds = Rate::new(3, Duration::from_micros(10));
        type Row = (u64, u64, Result<(), Instant>);
        let cases: &[(&str, Rate, &[Row])] = &[
            (
                "three in ten microseconds come back without drift",
                thirds,
                &[
                    (0, 3, Ok(())),
                    (0, 1, Err(at(4))),
                    (4, 1, Ok(())),
                    (4, 1, Err(at(7))),
                    (7, 1, Ok(())),
                    (9, 1, Err(at(10))),
                    (10, 1, Ok(())),
                ],
            ),
            (
                "a cost above the burst never succeeds",
                thirds,
                &[
                    (0, 4, Err(NEVER)),
                    (1_000, 4, Err(NEVER)),
                    (1_000, 3, Ok(())),
                ],
            ),
            (
                "an amount of zero lets the burst through, and no more",
                Rate::per_second(0).burst(2),
                &[(5, 2, Ok(())), (5, 0, Ok(())), (u64::MAX, 1, Err(NEVER))],
            ),
            (
                "nothing at all",
                Rate::per_second(0),
                &[(0, 1, Err(NEVER)), (9, 0, Ok(()))],
            ),
            (
                "a burst of zero counts as one",
                Rate::per_second(1).burst(0),
                &[(0, 1, Ok(())), (0, 1, Err(at(1_000_000)))],
            ),
            (
                "no time counts as a microsecond",
                Rate::new(1, Duration::ZERO),
                &[(0, 1, Ok(())), (0, 1, Err(at(1))), (1, 1, Ok(()))],
            ),
            (
                "the largest numbers come to one in a microsecond",
                Rate::new(u64::MAX, Duration::MAX),
                &[(0, u64::MAX, Ok(())), (0, 1, Err(at(1))), (1, 1, Ok(()))],
            ),
            (
                "time that goes backwards",
                Rate::per_second(1),
                &[(2_000_000, 1, Ok(())), (0, 1, Err(at(3_000_000)))],
            ),
        ];
        for (name, rate, rows) in cases {
            let mut bucket = Bucket::new();
            for (row, (now, cost, want)) in rows.iter().enumerate() {
                assert_eq!(
                    bucket.take(rate, at(*now), *cost),
                    *want,
                    "{name}, row {row}"
                );
            }
        }
    }

    #[test]
    fn debts_are_waited_for() {
        let rate = Rate::per_second(10).burst(5);
        let mut bucket = Bucket::new();
        assert_eq!(bucket.spend(&rate, at(0), 5), None);
        assert_eq!(bucket.spend(&rate, at(0), 10), Some(at(1_000_000)));
        assert_eq!(bucket.spend(&rate, at(500_000), 1), Some(at(1_100_000)));
        assert_eq!(bucket.full(&rate), at(1_600_000));
        assert_eq!(bucket.spend(&rate, at(1_700_000), 5), None);
        assert_eq!(
            bucket
                .spend(&rate, at(1_700_000), u64::MAX)
                .map(|moment| moment > at(1 << 62)),
            Some(true)
        );
        for _ in 0..100 {
            assert!(
                bucket
                    .spend(&Rate::new(1, Duration::MAX), at(0), u64::MAX)
                    .is_some()
            );
        }
    }
}
