//! Limits on one connection: messages and bytes per time, and what happens beyond them.
//! RFC 6455 section 10.4.
//! Knows no message: it takes the length, and returns what to do.

use super::rate::{Bucket, Rate};
use crate::time::Instant;

/// The action of a connection on a message above the limit.
///
/// For an example see [`TrafficLimits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LimitAction {
    /// The message is accepted, and reading pauses until the rate allows more: TCP makes the peer slow down. Nothing is lost.
    #[default]
    Delay,
    /// The message is dropped; later ones may pass.
    Drop,
    /// The connection is closed, with 1008.
    Close,
}

/// Limits on one connection; without a rate it is unlimited (the default).
///
/// ```
/// use sansws_core::limits::{Meter, LimitAction, Rate, TrafficLimits, Verdict};
/// use sansws_core::time::{Duration, Instant};
///
/// let limits = TrafficLimits { messages: Some(Rate::per_second(2)), ..TrafficLimits::default() };
/// let (mut meter, now) = (Meter::new(), Instant::ZERO);
/// assert_eq!(meter.admit(&limits, now, 10), Verdict::Pass);
/// assert_eq!(meter.admit(&limits, now, 10), Verdict::Pass);
/// assert_eq!(meter.admit(&limits, now, 10), Verdict::Wait(now + Duration::from_millis(500)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficLimits {
    /// Messages per time.
    pub messages: Option<Rate>,
    /// Message bytes per time. With [`LimitAction::Drop`] and [`LimitAction::Close`], a message longer than the burst never passes.
    pub bytes: Option<Rate>,
    /// The action beyond the limits.
    pub outcome: LimitAction,
}

/// The decision on a message.
///
/// For an example see [`TrafficLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It passes.
    Pass,
    /// It passes, but nothing more is read before this moment.
    Wait(Instant),
    /// It is dropped.
    Drop,
    /// The connection is closed.
    Close,
}

/// The usage of one connection.
///
/// For an example see [`TrafficLimits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    messages: Bucket,
    bytes: Bucket,
}

impl Meter {
    /// Creates the state of a connection that has sent nothing.
    pub const fn new() -> Self {
        Self {
            messages: Bucket::new(),
            bytes: Bucket::new(),
        }
    }

    /// Counts `bytes` more of a message that has passed, as it arrives in chunks. `Some`: nothing more is read before then.
    pub fn more(&mut self, limits: &TrafficLimits, now: Instant, bytes: u64) -> Option<Instant> {
        self.bytes.spend(limits.bytes.as_ref()?, now, bytes)
    }

    /// Checks a message of `bytes` bytes. One that does not pass does not count.
    pub fn admit(&mut self, limits: &TrafficLimits, now: Instant, bytes: u64) -> Verdict {
        let mut parts = [
            (&limits.messages, &mut self.messages, 1),
            (&limits.bytes, &mut self.bytes, bytes),
        ];
        let beyond = |(rate, bucket, cost): &(&Option<Rate>, &mut Bucket, u64)| {
            rate.as_ref()
                .is_some_and(|rate| bucket.ready(rate, now, *cost).is_some())
        };
        match limits.outcome {
            LimitAction::Drop if parts.iter().any(beyond) => return Verdict::Drop,
            LimitAction::Close if parts.iter().any(beyond) => return Verdict::Close,
            LimitAction::Delay | LimitAction::Drop | LimitAction::Close => {}
        }
        let waits = parts.iter_mut().filter_map(|(rate, bucket, cost)| {
            let rate = rate.as_ref()?;
            bucket.spend(rate, now, *cost)
        });
        waits.max().map_or(Verdict::Pass, Verdict::Wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_ten_bytes_and_two_messages() {
        const SECOND: u64 = 1_000_000;
        let wait = |micros| Verdict::Wait(Instant::from_micros(micros));
        let cases: &[(&str, LimitAction, &[(u64, u64, Verdict)])] = &[
            (
                "delayed by messages, then by octets",
                LimitAction::Delay,
                &[
                    (0, 0, Verdict::Pass),
                    (0, 0, Verdict::Pass),
                    (0, 0, wait(SECOND / 2)),
                    (9 * SECOND, 30, wait(11 * SECOND)),
                    (11 * SECOND, 1, wait(11 * SECOND + SECOND / 10)),
                ],
            ),
            (
                "dropped, and what is dropped counts for nothing",
                LimitAction::Drop,
                &[
                    (0, 8, Verdict::Pass),
                    (0, 3, Verdict::Drop),
                    (0, 2, Verdict::Pass),
                    (0, 0, Verdict::Drop),
                    (SECOND, 11, Verdict::Drop),
                    (SECOND, 10, Verdict::Pass),
                ],
            ),
            (
                "closed",
                LimitAction::Close,
                &[(0, 10, Verdict::Pass), (0, 1, Verdict::Close)],
            ),
        ];
        for (name, outcome, rows) in cases {
            let limits = TrafficLimits {
                messages: Some(Rate::per_second(2)),
                bytes: Some(Rate::per_second(10)),
                outcome: *outcome,
            };
            let mut meter = Meter::new();
            for (row, (now, bytes, want)) in rows.iter().enumerate() {
                let got = meter.admit(&limits, Instant::from_micros(*now), *bytes);
                assert_eq!(got, *want, "{name}, row {row}");
            }
        }
    }

    #[test]
    fn without_rates_everything_passes() {
        for outcome in [LimitAction::Delay, LimitAction::Drop, LimitAction::Close] {
            let limits = TrafficLimits {
                outcome,
                ..TrafficLimits::default()
            };
            let mut meter = Meter::new();
            assert_eq!(meter.admit(&limits, Instant::ZERO, u64::MAX), Verdict::Pass);
        }
    }
}
