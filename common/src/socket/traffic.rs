//! Limits on the messages of one peer, and its usage of them.
//! RFC 6455 section 10.4.
//! Knows no connection: the caller pauses, discards or closes it, as the verdict demands.

use std::mem;

use sansws_core::limits::{Meter, TrafficLimits, Verdict};
use sansws_core::time::Instant;

/// Limits on the peer's messages, and its usage.
#[derive(Debug)]
pub struct Traffic {
    limits: TrafficLimits,
    meter: Meter,
    /// Nothing is read before this moment.
    until: Option<Instant>,
    /// Number of discarded messages.
    dropped: u64,
    /// Number of those that were not reported yet.
    unreported: u64,
    /// The chunks of the current message are discarded.
    dropping: bool,
}

impl Traffic {
    /// Starts without usage.
    pub const fn new(limits: TrafficLimits) -> Self {
        Self {
            limits,
            meter: Meter::new(),
            until: None,
            dropped: 0,
            unreported: 0,
            dropping: false,
        }
    }

    /// Holds a message to the limits.
    pub fn judge(&mut self, now: Instant, length: usize) -> Verdict {
        self.judge_piece(now, length, true, true)
    }

    /// Holds the first, the last, or another chunk of a message to the limits. A message that passed once continues to pass.
    pub fn judge_piece(&mut self, now: Instant, length: usize, first: bool, last: bool) -> Verdict {
        let length = length as u64;
        let verdict = if first {
            self.meter.admit(&self.limits, now, length)
        } else if self.dropping {
            Verdict::Drop
        } else {
            let more = self.meter.more(&self.limits, now, length);
            more.map_or(Verdict::Pass, Verdict::Wait)
        };
        // Control frames and pauses may come between the chunks of a message.
        self.dropping = verdict == Verdict::Drop && !last;
        match verdict {
            Verdict::Wait(until) => self.until = Some(until),
            Verdict::Drop => {
                self.dropped += u64::from(last);
                self.unreported += u64::from(last);
            }
            Verdict::Pass | Verdict::Close => {}
        }
        verdict
    }

    /// Returns the moment before which nothing is read.
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Returns whether reading resumes, because its time has come.
    pub fn resumes(&mut self, now: Instant) -> bool {
        self.until.take_if(|until| *until <= now).is_some()
    }

    /// Returns the number of discarded messages.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns the number of messages that were discarded since the last call.
    pub const fn take_unreported(&mut self) -> u64 {
        mem::replace(&mut self.unreported, 0)
    }
}
