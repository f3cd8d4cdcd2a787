//! Server extras of a connection: a time to leave, limits on the peer's messages, and counters.
//! RFC 6455 sections 7.4.1 (1001, 1008) and 10.4.
//! Knows no bytes.

use std::task::{Context, Poll};

use crate::socket::engine::Engine;
use crate::socket::policy::ConnectionPolicy;
use crate::transport::Transport;
pub use sansws_common::Counters;
use sansws_common::socket::traffic::Traffic;
use sansws_core::close::CloseCode;
use sansws_core::limits::{LIFETIME_OVER, TOO_MANY_MESSAGES, Verdict};
use sansws_core::time::{Duration, Instant};

/// The [`Counters`] of the connection, without dropped messages: their count lies with the limits.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
}

/// The part of [`Counts`] that was reported, modulo 2^32: it is reported each turn, in which far less moves.
#[derive(Debug, Default)]
pub(super) struct ReportedCounters {
    received: u32,
    sent: u32,
    bytes_received: u32,
    bytes_sent: u32,
}

/// Returns how much a counter grew, and marks that as reported.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the difference of the low halves is the difference"
)]
fn grown(reported: &mut u32, now: u64) -> u64 {
    let now = now as u32;
    u64::from(now.wrapping_sub(std::mem::replace(reported, now)))
}

/// The messages sent in one turn of a handler. If a peer reads as fast as we write, the handler never waits, so other tasks must get their
/// turn.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) messages: u32,
    pub(super) bytes: u32,
}

/// Maximum number of messages that a handler may send in a row: more than one read brings.
const MESSAGES: u32 = 8_192;

/// Maximum number of bytes that a handler may send in a row.
const BYTES: u32 = 1 << 20;

/// When and how to close a connection.
#[derive(Debug)]
pub(super) struct ScheduledClose {
    at: Instant,
    code: CloseCode,
    reason: &'static str,
}

impl<T: Transport> Engine<T> {
    /// Returns its traffic.
    pub(crate) fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        counters.received = self.counts.received;
        counters.sent = self.counts.sent;
        counters.bytes_received = self.counts.bytes_received;
        counters.bytes_sent = self.counts.bytes_sent;
        counters.dropped = self.traffic().map_or(0, Traffic::dropped);
        counters
    }

    fn traffic(&self) -> Option<&Traffic> {
        self.rare.as_ref()?.traffic.as_deref()
    }

    fn traffic_mut(&mut self) -> Option<&mut Traffic> {
        self.rare.as_mut()?.traffic.as_deref_mut()
    }

    /// Returns its traffic since the last call.
    pub(crate) fn unreported(&mut self) -> Counters {
        let dropped = self.traffic_mut();
        let dropped = dropped.map_or(0, Traffic::take_unreported);
        let (reported, now) = (&mut self.reported, &self.counts);
        let mut counters = Counters::default();
        counters.received = grown(&mut reported.received, now.received);
        counters.sent = grown(&mut reported.sent, now.sent);
        counters.bytes_received = grown(&mut reported.bytes_received, now.bytes_received);
        counters.bytes_sent = grown(&mut reported.bytes_sent, now.bytes_sent);
        counters.dropped = dropped;
        counters
    }

    /// Schedules its close after this time, unless it is scheduled earlier.
    pub(crate) fn leave_after(&mut self, after: Duration, code: CloseCode, reason: &'static str) {
        if after.is_zero() {
            return self.start_close(Some(code), reason);
        }
        let at = self.transport.now() + after;
        let leaving = &mut self.rare_mut().leaving;
        if leaving.as_ref().is_none_or(|leaving| leaving.at > at) {
            *leaving = Some(ScheduledClose { at, code, reason }.into());
            // The waiting task must set the alarm again.
            self.wakers.wake_all();
        }
    }

    /// Is ready while the handler may go on sending.
    pub(super) fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.sent.messages < MESSAGES && self.sent.bytes < BYTES {
            return Poll::Ready(());
        }
        self.new_turn();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The handler has waited.
    pub(super) fn new_turn(&mut self) {
        self.sent = Sent::default();
    }

    /// Limits the peer's messages, and the lifetime of the connection.
    pub(crate) fn obey(&mut self, policy: &ConnectionPolicy) {
        if let Some(limits) = &policy.traffic {
            self.rare_mut().traffic = Some(Box::new(Traffic::new(limits.clone())));
        }
        if let Some(hub) = &policy.hub {
            self.set_hub(hub);
        }
        if let Some(lifetime) = policy.lifetime {
            let (code, reason) = LIFETIME_OVER;
            self.leave_after(lifetime, code, reason);
        }
    }

    /// Holds decoded data to the limits on the peer's messages, and does what the verdict demands. Returns whether to pass it on.
    pub(super) fn admit(&mut self, length: usize, first: bool, last: bool) -> bool {
        let now = self.transport.now();
        let verdict = match self.traffic_mut() {
            Some(traffic) => traffic.judge_piece(now, length, first, last),
            None => return true,
        };
        self.follow(verdict)
    }

    /// Does what a verdict demands; returns whether the data is passed on.
    #[inline]
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

    /// Returns whether to read: output does not block it, and the peer is within its limits.
    pub(super) fn wants_input(&self) -> bool {
        self.connection.wants_input() && !self.is_delayed()
    }

    /// While closing, we wait for the peer's Close, and not long.
    fn is_delayed(&self) -> bool {
        let delayed = |traffic: &Traffic| traffic.until().is_some();
        self.connection.is_open() && self.traffic().is_some_and(delayed)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let Some(rare) = &self.rare else {
            return self.connection.deadline();
        };
        let leaving = rare.leaving.as_ref().map(|leaving| leaving.at);
        let until = rare.traffic.as_ref().and_then(|traffic| traffic.until());
        let all = [self.connection.deadline(), leaving, until];
        all.into_iter().flatten().min()
    }

    /// Resumes reading when the time has come.
    pub(super) fn go_on_if_due(&mut self, now: Instant) -> bool {
        let due = self
            .traffic_mut()
            .is_some_and(|traffic| traffic.resumes(now));
        if due {
            self.connection.resume(now);
        }
        due
    }

    /// Closes the connection when the time has come.
    pub(super) fn leave_if_due(&mut self, now: Instant) -> bool {
        let leaving = self.rare.as_mut().map(|rare| &mut rare.leaving);
        let due = leaving.and_then(|leaving| leaving.take_if(|leaving| leaving.at <= now));
        let Some(leaving) = due else {
            return false;
        };
        self.start_close(Some(leaving.code), leaving.reason);
        true
    }
}
