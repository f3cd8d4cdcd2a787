//! Moments of the operating system's clock, as connections count time.
//! Reads no clock: an adapter passes in the moment that its clock shows.

use std::sync::OnceLock;
use std::time::Instant as Real;

use sansws_core::time::{Duration, Instant};

/// The moment from which all connections of the process count time, once something has asked for it.
static EPOCH: OnceLock<Real> = OnceLock::new();

/// A hundred years in microseconds: later alarms never fire.
const FAR: u64 = 100 * 365 * 86_400 * 1_000_000;

/// Returns a moment of the clock in the time of the connections. It starts with the first call of the process.
pub fn from_real(now: Real) -> Instant {
    let epoch = *EPOCH.get_or_init(|| now);
    Instant::ZERO + now.saturating_duration_since(epoch)
}

/// Returns when the clock will show `at`; a hundred years after the start for all that is later. `now` reads the clock, if time has not
/// started yet.
pub fn to_real(at: Instant, now: impl FnOnce() -> Real) -> Real {
    *EPOCH.get_or_init(now) + Duration::from_micros(at.as_micros().min(FAR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a moment to start from")]
    fn converted_moments_come_back_and_none_is_too_far() {
        let real = Real::now();
        let start = from_real(real);
        let later = real + Duration::from_secs(7);
        assert_eq!(from_real(later), start + Duration::from_secs(7));
        assert_eq!(to_real(from_real(later), || real), later);
        let never = to_real(Instant::from_micros(u64::MAX), || real);
        assert!(never.duration_since(real) > Duration::from_secs(99 * 365 * 86_400));
        // A clock that another thread read before time started.
        assert_eq!(from_real(real - Duration::from_secs(1)), Instant::ZERO);
    }
}
