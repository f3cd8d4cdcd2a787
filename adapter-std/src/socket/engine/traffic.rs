//! Server extras of a connection: a time to leave, limits on the peer's messages.
//! RFC 6455 sections 7.4.1 (1001, 1008) and 10.4.
//! Knows no bytes.

use sansws_common::socket::traffic::Traffic;
use sansws_core::close::CloseCode;
use sansws_core::limits::{LIFETIME_OVER, TOO_MANY_MESSAGES, TrafficLimits, Verdict};
use sansws_core::time::{Duration, Instant};

use super::Engine;
use crate::clock::now;
use crate::stream::ByteStream;

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
        self.traffic = Some(Box::new(Traffic::new(limits.clone())));
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

    /// Holds decoded data to the limits on the peer's messages, and does what the verdict demands. Returns whether to pass it on.
    pub(super) fn admits(&mut self, length: usize, first: bool, last: bool) -> bool {
        match self.traffic.as_deref_mut() {
            Some(traffic) => {
                let verdict = traffic.judge_piece(now(), length, first, last);
                self.follow(verdict)
            }
            None => true,
        }
    }

    /// Does what a verdict demands; returns whether the data is passed on.
    pub(super) fn follow(&mut self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Pass => true,
            Verdict::Wait(_) => {
                self.connection.pause();
                true
            }
            Verdict::Drop => false,
            Verdict::Close => {
                let (code, reason) = TOO_MANY_MESSAGES;
                self.start_close(Some(code), reason);
                false
            }
        }
    }

    /// While closing, we wait for the peer's Close, and not long.
    pub(super) fn is_delayed(&self) -> bool {
        let delayed = |traffic: &Traffic| traffic.until().is_some();
        self.connection.is_open() && self.traffic.as_deref().is_some_and(delayed)
    }

    /// Resumes reading when the time has come.
    pub(super) fn go_on_if_due(&mut self, now: Instant) -> bool {
        let traffic = self.traffic.as_mut();
        let due = traffic.is_some_and(|traffic| traffic.resumes(now));
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
