//! Time as a value: a count of microseconds since an epoch that the caller chooses.
//! The deadlines of RFC 6455 sections 7.1.1 and 5.5.2 are computed with it.
//! Knows no clock: the caller passes the current time.

mod deadlines;
mod spread;

pub use deadlines::Deadlines;
pub use spread::spread;

use core::ops::Add;
pub use core::time::Duration;

/// A moment, in microseconds since the caller's epoch.
///
/// The epoch is arbitrary, but must not change between calls on one machine, and time must not go backwards.
///
/// ```
/// use core::time::Duration;
/// use sansws_core::time::Instant;
///
/// // A clock of your own: any count of microseconds that does not go back.
/// let start = Instant::from_micros(1_000_000);
/// let later = start + Duration::from_secs(2);
/// assert_eq!(later.since(start), Duration::from_secs(2));
/// assert_eq!(start.since(later), Duration::ZERO);
/// assert_eq!(later.as_micros(), 3_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);

    /// Returns the moment `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the time since `earlier`; zero if `earlier` is later than `self`.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Returns the moment `after` from `self`, or the last representable one if that is beyond it.
    pub const fn after(self, after: Duration) -> Self {
        let micros = after.as_micros();
        let micros = if micros > u64::MAX as u128 {
            u64::MAX
        } else {
            micros as u64
        };
        Self(self.0.saturating_add(micros))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        self.after(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let early = Instant::from_micros(5);
        let late = early + Duration::from_micros(7);
        assert_eq!(late.as_micros(), 12);
        assert_eq!(late.since(early), Duration::from_micros(7));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!((late + Duration::MAX).as_micros(), u64::MAX);
    }
}
