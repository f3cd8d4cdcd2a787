//! Server extras of a connection: a time to leave, limits on the peer's messages.
//! RFC 6455 sections 7.4.1 (1001, 1008) and 10.4.
//! Knows no bytes.

use sansws_common::socket::read_ahead::Item;
use sansws_core::close::CloseCode;
use sansws_core::limits::{LIFETIME_OVER, Meter, TOO_MANY_MESSAGES, TrafficLimits, Verdict};
use sansws_core::time::{Duration, Instant};

use super::Engine;
use crate::clock::now;
use crate::stream::ByteStream;

/// Limits on the peer's messages, and its usage.
#[derive(Debug)]
pub(super) struct Traffic {
    limits: TrafficLimits,
    meter: Meter,
    /// Nothing is read before this moment.
    pub(super) until: Option<Instant>,
    /// The number of discarded messages.
    pub(super) dropped: u64,
    /// The chunks of the current message are discarded.
    dropping: bool,
}

/// When and how to close a connection.
#[derive(Debug)]
pub(super) struct ScheduledClose {
    pub(super) at: Instant,
    code: CloseCode,
    reason: &'static str,
}

impl<S: ByteStream> Engine<S> {
    /// Limits the peer's messages.
    pub(crate) fn limit(&mut self, limits: &TrafficLimits) {
        self.traffic = Some(Box::new(Traffic {
            limits: limits.clone(),
            meter: Meter::new(),
            until: None,
            dropped: 0,
            dropping: false,
        }));
    }

    /// Limits the time that it lives.
    pub(crate) fn live_for(&mut self, lifetime: Duration) {
        let (code, reason) = LIFETIME_OVER;
        self.leave_after(lifetime, code, reason);
    }

    /// Schedules its close after this time, unless it is scheduled earlier.
    pub(crate) fn leave_after(&mut self, after: Duration, code: CloseCode, reason: &'static str) {
        if after.is_zero() {
            return self.start_close(Some(code), reason);
        }
        let at = now() + after;
        if self.leaving.as_ref().is_none_or(|leaving| leaving.at > at) {
            self.leaving = Some(ScheduledClose { at, code, reason }.into());
        }
    }

    /// Returns whether to pass a message or a chunk on. A message that passed once continues to pass.
    pub(super) fn is_admitted(&mut self, item: &Item, whole: bool) -> bool {
        let Some(traffic) = self.traffic.as_deref_mut() else {
            return true;
        };
        let Traffic { limits, meter, .. } = traffic;
        let (now, bytes) = (now(), item.message.len() as u64);
        let verdict = match item.piece {
            None | Some((true, _)) => meter.admit(limits, now, bytes),
            Some(_) if traffic.dropping => Verdict::Drop,
            Some(_) => meter
                .more(limits, now, bytes)
                .map_or(Verdict::Pass, Verdict::Wait),
        };
        traffic.dropping = verdict == Verdict::Drop && !whole;
        match verdict {
            Verdict::Pass => true,
            Verdict::Wait(until) => {
                traffic.until = Some(until);
                self.connection.pause();
                true
            }
            Verdict::Drop => {
                traffic.dropped += u64::from(whole);
                false
            }
            Verdict::Close => {
                let (code, reason) = TOO_MANY_MESSAGES;
                self.start_close(Some(code), reason);
                false
            }
        }
    }

    /// While closing, we wait for the peer's Close, and not long.
    pub(super) fn is_delayed(&self) -> bool {
        let delayed = |traffic: &Traffic| traffic.until.is_some();
        self.connection.is_open() && self.traffic.as_deref().is_some_and(delayed)
    }

    /// Resumes reading when the time has come.
    pub(super) fn go_on_if_due(&mut self, now: Instant) -> bool {
        let due = self
            .traffic
            .as_mut()
            .is_some_and(|traffic| traffic.until.take_if(|until| *until <= now).is_some());
        if due {
            self.connection.resume(now);
            self.may_have_input();
        }
        due
    }

    /// Closes the connection when the time has come.
    pub(super) fn leave_if_due(&mut self, now: Instant) -> bool {
        let Some(leaving) = self.leaving.take_if(|leaving| leaving.at <= now) else {
            return false;
        };
        self.start_close(Some(leaving.code), leaving.reason);
        true
    }
}
