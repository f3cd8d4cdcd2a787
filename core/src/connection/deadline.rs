//! Every wait of an open connection, and what its end means.
//! RFC 6455 sections 5.5.2 (ping as keepalive) and 7.1.1 (waiting for the close).
//! Knows no clock: it is told the time, and says until when nothing needs to be done.

use super::{Connection, Effect, Input, State};
use crate::close::CloseCode;
use crate::time::Instant;

/// What [`Connection::tick`] found to have run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expired {
    /// Silence: a ping was queued.
    Silence,
    /// Nothing at all came after a ping: the peer is dead, and the connection is over (1006).
    Pong,
    /// No message went either way: Close 1001 was queued.
    Idle,
    /// A message took too long to arrive: Close 1008 was queued.
    Message,
    /// The peer did not answer our Close, or did not end TCP: the connection is over.
    Close,
}

/// When what happened last.
#[derive(Debug)]
pub(super) struct Times {
    /// Any octet came.
    pub(super) heard: Instant,
    /// A message ended, in either direction.
    pub(super) message: Instant,
    /// We pinged, and nothing came since.
    pinged: Option<Instant>,
}

impl Times {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            heard: now,
            message: now,
            pinged: None,
        }
    }

    pub(super) const fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    pub(super) const fn message(&mut self, now: Instant) {
        self.message = now;
    }
}

impl Connection {
    /// When [`tick`](Self::tick) should be called next, if nothing happens before. Ask again after each call that changes the connection.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Open => self.waits().into_iter().flatten().map(|(at, _)| at).min(),
            State::CloseSent { .. } | State::Lingering { .. } | State::Closed { .. } => {
                self.state.deadline()
            }
        }
    }

    /// Says what time it is. Calls that come early, late or twice do no harm; when it says what expired, call it again.
    pub fn tick(&mut self, now: Instant) -> Option<Expired> {
        if !self.is_open() {
            let due = self.state.deadline().is_some_and(|at| at <= now);
            return due.then(|| self.end(now, Expired::Close));
        }
        let due = self
            .waits()
            .into_iter()
            .flatten()
            .filter(|(at, _)| *at <= now);
        let (_, expired) = due.min_by_key(|(at, _)| *at)?;
        match expired {
            Expired::Silence => {
                self.times.pinged = Some(now);
                let _ = self.ping(&[]);
            }
            Expired::Pong | Expired::Close => return Some(self.end(now, expired)),
            Expired::Idle => {
                let _ = self.close(now, Some(CloseCode::AWAY), "idle for too long");
            }
            Expired::Message => {
                if self.turn(now, Input::Failure) == Effect::SendClose {
                    self.write_close(Some(CloseCode::POLICY), "a message took too long to arrive");
                }
            }
        }
        Some(expired)
    }

    fn end(&mut self, now: Instant, expired: Expired) -> Expired {
        self.turn(now, Input::Deadline);
        expired
    }

    /// What an open connection waits for. A wait that is turned off is absent.
    fn waits(&self) -> [Option<(Instant, Expired)>; 3] {
        let timeouts = &self.config.timeouts;
        let keepalive = match self.times.pinged {
            Some(at) => timeouts.pong.map(|wait| (at + wait, Expired::Pong)),
            None => timeouts
                .ping
                .map(|wait| (self.times.heard + wait, Expired::Silence)),
        };
        let idle = timeouts
            .idle
            .map(|wait| (self.times.message + wait, Expired::Idle));
        let since = self.inbound.assembling_since();
        let message =
            since.and_then(|at| timeouts.message.map(|wait| (at + wait, Expired::Message)));
        [keepalive, idle, message]
    }
}
