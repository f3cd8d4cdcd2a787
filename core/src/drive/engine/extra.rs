//! What a server adds to a connection: a time to leave, and counts.
//! RFC 6455 section 7.4.1 (1001).
//! Knows no octet.

use super::Engine;
use crate::close::CloseCode;
use crate::drive::Transport;
use crate::time::{Duration, Instant};

/// What went over a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Messages received, pieces of one counted as one.
    pub received: u64,
    /// Messages sent.
    pub sent: u64,
    /// Octets read from the transport, headers and control frames included.
    pub octets_received: u64,
    /// Octets written to the transport.
    pub octets_sent: u64,
}

/// When and how a connection is to be closed.
#[derive(Debug)]
pub(super) struct Leaving {
    at: Instant,
    code: CloseCode,
    reason: &'static str,
}

impl<T: Transport> Engine<T> {
    /// What went over it.
    pub(in crate::drive) const fn counters(&self) -> Counters {
        self.counters
    }

    /// Closes it so long from now, unless it is to be closed before.
    pub(in crate::drive) fn leave_after(
        &mut self,
        after: Duration,
        code: CloseCode,
        reason: &'static str,
    ) {
        if after.is_zero() {
            return self.start_close(Some(code), reason);
        }
        let at = self.transport.now() + after;
        if self.leaving.as_ref().is_none_or(|leaving| leaving.at > at) {
            self.leaving = Some(Leaving { at, code, reason }.into());
            // Whoever waits must set the alarm anew.
            self.parties.wake_all();
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.as_ref().map(|leaving| leaving.at);
        match (self.connection.deadline(), leaving) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        }
    }

    /// Closes it if the time has come.
    pub(super) fn leave_if_due(&mut self, now: Instant) -> bool {
        let Some(leaving) = self.leaving.take_if(|leaving| leaving.at <= now) else {
            return false;
        };
        self.start_close(Some(leaving.code), leaving.reason);
        true
    }
}
