//! How long to wait before trying again: exponential backoff with full jitter.
//! RFC 6455 section 7.2.3.
//! Knows neither the operation nor a source of entropy: the seed is an input.

use crate::random::{Jitter, Seed};
use crate::time::Duration;

/// Bounds of the waits: the n-th, counted from 0, is drawn from 0 to `base` times 2^n, but at most `max`. No wait is shorter than a
/// millisecond: with a `base` of 0, a client that cannot connect would do nothing else.
///
/// ```
/// use core::time::Duration;
/// use sansws_core::dial::Backoff;
///
/// let backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(10) };
/// let bounds: Vec<u64> = (0..6).map(|attempts| backoff.bound(attempts).as_secs()).collect();
/// assert_eq!(bounds, [1, 2, 4, 8, 10, 10]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    /// The upper bound of the first wait; default 500 ms.
    pub base: Duration,
    /// The upper bound of all waits; default 30 s.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            max: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// Returns the upper bound of the wait after `attempts` failures.
    pub fn bound(&self, attempts: u32) -> Duration {
        // 7.2.3: "subsequent reconnect attempts SHOULD be delayed by increasingly longer amounts of time, using a method
        // such as truncated binary exponential backoff."
        let factor = 1u32.checked_shl(attempts).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }
}

/// Minimum length of a wait.
const LEAST: Duration = Duration::from_millis(1);

/// Consecutive attempts, and the waits between them.
///
/// ```
/// use sansws_core::dial::Backoff;
/// use sansws_core::internal::Retries;
/// use sansws_core::random::Seed;
/// use sansws_core::time::Duration;
///
/// let mut retries = Retries::new(Backoff::default(), &Seed::new([7; 32]));
/// assert!(retries.wait() <= Duration::from_millis(500));
/// assert!(retries.wait() <= Duration::from_secs(1));
/// assert_eq!(retries.attempts(), 2);
/// ```
#[derive(Debug)]
pub struct Retries {
    backoff: Backoff,
    attempts: u32,
    jitter: Jitter,
}

impl Retries {
    /// Starts with no attempts.
    pub fn new(backoff: Backoff, seed: &Seed) -> Self {
        Self {
            backoff,
            attempts: 0,
            jitter: seed.jitter(),
        }
    }

    /// Counts one more attempt, and draws the wait before it.
    pub fn wait(&mut self) -> Duration {
        let high = self.backoff.bound(self.attempts);
        self.draw(Duration::ZERO, high)
    }

    /// Returns the wait after a peer asked for patience: from `base` to twice the usual bound, at most `max`.
    pub fn patient_wait(&mut self) -> Duration {
        let low = self.backoff.bound(0);
        let high = self.backoff.bound(self.attempts.saturating_add(1));
        self.draw(low, high)
    }

    /// Returns how many attempts were counted since the last success.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Reports a success, which resets the count.
    pub const fn succeeded(&mut self) {
        self.attempts = 0;
    }

    fn draw(&mut self, low: Duration, high: Duration) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        self.jitter.between(low, high).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_up_to_the_most() {
        let backoff = Backoff::default();
        let bounds = [0, 1, 2, 5, 6, 31, 32, u32::MAX].map(|n| backoff.bound(n).as_millis());
        assert_eq!(
            bounds,
            [500, 1_000, 2_000, 16_000, 30_000, 30_000, 30_000, 30_000]
        );
    }

    #[test]
    fn no_wait_is_none() {
        for brief in [Duration::ZERO, Duration::from_nanos(1), LEAST] {
            let backoff = Backoff {
                base: brief,
                max: brief,
            };
            let mut retries = Retries::new(backoff, &Seed::new([3; 32]));
            for _ in 0..100 {
                assert_eq!((retries.wait(), retries.patient_wait()), (LEAST, LEAST));
            }
        }
    }

    #[test]
    fn waits_fill_their_range() {
        let backoff = Backoff::default();
        let mut retries = Retries::new(backoff, &Seed::new([3; 32]));
        let (mut least, mut most, mut patient) = (Duration::MAX, Duration::ZERO, Duration::MAX);
        for _ in 0..1_000 {
            retries.succeeded();
            let wait = retries.wait();
            (least, most) = (least.min(wait), most.max(wait));
            retries.succeeded();
            patient = patient.min(retries.patient_wait());
        }
        assert!(least < Duration::from_millis(10) && most <= backoff.base);
        assert!(most > Duration::from_millis(490) && patient >= backoff.base);
    }
}
