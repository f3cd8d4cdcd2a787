//! What a server adds to a connection: a time to leave, limits on what the peer sends, and counts.
//! RFC 6455 sections 7.4.1 (1001, 1008) and 10.4.
//! Knows no octet.

use std::task::{Context, Poll};

use crate::socket::engine::{Engine, Got};
use crate::socket::policy::ConnectionPolicy;
use crate::transport::Transport;
use sansws_core::close::CloseCode;
use sansws_core::policy::{Meter, TrafficLimits, Verdict};
use sansws_core::time::{Duration, Instant};

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
    /// Messages that were received and thrown away, since there were more than allowed.
    pub dropped: u64,
}

/// What was told of [`Counters`], modulo 2^32: it is told each turn, which moves far less.
#[derive(Debug, Default)]
pub(super) struct Told {
    received: u32,
    sent: u32,
    octets_received: u32,
    octets_sent: u32,
    dropped: u32,
}

/// How much a counter grew; then that is told.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the difference of the low halves is the difference"
)]
fn grown(told: &mut u32, now: u64) -> u64 {
    let now = now as u32;
    u64::from(now.wrapping_sub(std::mem::replace(told, now)))
}

/// Limits on what the peer sends, and what it has sent.
#[derive(Debug)]
pub(super) struct Traffic {
    limits: TrafficLimits,
    meter: Meter,
    /// Nothing is read before this moment.
    until: Option<Instant>,
}

/// What was sent in one turn of a handler. A peer that reads as fast as we write lets the handler never wait: others must run.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) messages: u32,
    pub(super) octets: u32,
}

/// Messages that a handler may send in a row: more than one read brings.
const MESSAGES: u32 = 8_192;

/// Octets that a handler may send in a row.
const OCTETS: u32 = 1 << 20;

/// When and how a connection is to be closed.
#[derive(Debug)]
pub(super) struct Leaving {
    at: Instant,
    code: CloseCode,
    reason: &'static str,
}

impl<T: Transport> Engine<T> {
    /// What went over it.
    pub(crate) const fn counters(&self) -> Counters {
        self.counters
    }

    /// What went over it since this was asked last.
    pub(crate) fn untold(&mut self) -> Counters {
        let (told, now) = (&mut self.told, &self.counters);
        Counters {
            received: grown(&mut told.received, now.received),
            sent: grown(&mut told.sent, now.sent),
            octets_received: grown(&mut told.octets_received, now.octets_received),
            octets_sent: grown(&mut told.octets_sent, now.octets_sent),
            dropped: grown(&mut told.dropped, now.dropped),
        }
    }

    /// Closes it so long from now, unless it is to be closed before.
    pub(crate) fn leave_after(&mut self, after: Duration, code: CloseCode, reason: &'static str) {
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

    /// Ready while the handler may go on sending.
    pub(super) fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.sent.messages < MESSAGES && self.sent.octets < OCTETS {
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

    /// Limits what the peer sends, and how long the connection lives.
    pub(crate) fn obey(&mut self, policy: &ConnectionPolicy) {
        self.traffic = policy.traffic.as_ref().map(|limits| {
            Box::new(Traffic {
                limits: limits.clone(),
                meter: Meter::new(),
                until: None,
            })
        });
        if let Some(hub) = &policy.hub {
            self.set_hub(hub);
        }
        if let Some(lifetime) = policy.lifetime {
            let reason = "the connection has lived its time";
            self.leave_after(lifetime, CloseCode::AWAY, reason);
        }
    }

    /// Judges what was decoded, the end of a message if `whole`; whether it is to be passed on. A message that passed goes on passing.
    pub(super) fn admit(&mut self, got: &Got, whole: bool) -> bool {
        let Some(traffic) = &mut self.traffic else {
            return true;
        };
        let now = self.transport.now();
        let Traffic { limits, meter, .. } = &mut **traffic;
        let verdict = match got {
            Got::Message(message) | Got::Piece(message, true, _) => {
                meter.admit(limits, now, message.len() as u64)
            }
            Got::Piece(message, ..) if !self.flags.dropping => meter
                .more(limits, now, message.len() as u64)
                .map_or(Verdict::Pass, Verdict::Wait),
            Got::Piece(..) => Verdict::Drop,
            Got::Control(_) | Got::Other | Got::Nothing => Verdict::Pass,
        };
        // Control frames and pauses come between the pieces of a message.
        if let Got::Piece(_, _, last) = got {
            self.flags.dropping = verdict == Verdict::Drop && !last;
        }
        match verdict {
            Verdict::Pass => true,
            Verdict::Wait(until) => {
                traffic.until = Some(until);
                self.connection.pause();
                true
            }
            Verdict::Drop => {
                self.counters.dropped += u64::from(whole);
                false
            }
            Verdict::Close => {
                self.start_close(Some(CloseCode::POLICY), "too many messages");
                false
            }
        }
    }

    /// Whether input is wanted: no output stands in the way, and the peer sent no more than it may.
    pub(super) fn wants_input(&self) -> bool {
        self.connection.wants_input() && !self.is_delayed()
    }

    /// Once we close, the peer's Close is waited for, and not long.
    fn is_delayed(&self) -> bool {
        let delayed = |traffic: &Traffic| traffic.until.is_some();
        self.connection.is_open() && self.traffic.as_deref().is_some_and(delayed)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.as_ref().map(|leaving| leaving.at);
        let until = self.traffic.as_ref().and_then(|traffic| traffic.until);
        let all = [self.connection.deadline(), leaving, until];
        all.into_iter().flatten().min()
    }

    /// Goes on reading if the time has come.
    pub(super) fn go_on_if_due(&mut self, now: Instant) -> bool {
        let due = self
            .traffic
            .as_mut()
            .is_some_and(|traffic| traffic.until.take_if(|until| *until <= now).is_some());
        if due {
            self.connection.resume(now);
        }
        due
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
