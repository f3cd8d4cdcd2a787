//! The steps of calls that wait in between.
//! RFC 6455 section 5.5: control frames are answered whatever a call waits for.
//! Knows no lock and no wait: a step returns what the stream must be ready for.

use sansws_common::error::{Error, Result};

use super::{Engine, Flushed};
use crate::clock::now;
use crate::poll::Interest;
use crate::stream::ByteStream;

/// The result of a step of a call.
pub(crate) enum Step<R> {
    Done(R),
    /// Nothing can be done until the stream is ready for this.
    Wait(Interest),
}

impl<S: ByteStream> Engine<S> {
    /// A step of receiving: `next` takes what was received.
    pub(in crate::socket) fn receive<R>(
        &mut self,
        pieces: bool,
        mut next: impl FnMut(&mut Self, bool) -> Option<R>,
    ) -> Step<Result<Option<R>, Error>> {
        loop {
            if let Some(received) = next(self, pieces) {
                return Step::Done(Ok(Some(received)));
            }
            let blocked = !self.wants_input();
            let flushed = self.flush();
            if self.ending.is_known() {
                // Pending output, including the Close frame, is sent before the end is reported.
                if flushed == Flushed::Done || self.is_over() {
                    return Step::Done(self.ending.report().map(|()| None));
                }
                if self.tick() {
                    continue;
                }
                return Step::Wait(Interest::WRITE);
            }
            // Output held up what is unread, and has left: the socket may bring nothing more.
            if blocked && self.wants_input() {
                continue;
            }
            if !self.judge() && !self.fill() {
                return Step::Wait(self.interest(true));
            }
        }
    }

    /// Does what is due, after one read: the caller may have been busy since the peer answered. Returns whether anything happened.
    fn judge(&mut self) -> bool {
        let is_due = self.deadline().is_some_and(|at| at <= now());
        if is_due && !std::mem::replace(&mut self.flags.looked, true) {
            self.may_have_input();
            if self.fill() {
                return true;
            }
        }
        self.flags.looked = false;
        self.tick()
    }

    /// Writes output, and meanwhile reads ahead; returns what to wait for, unless something happened.
    pub(in crate::socket) fn make_room(&mut self) -> Option<Interest> {
        if self.flush() == Flushed::Done || self.look() || self.tick() {
            return None;
        }
        Some(self.interest(self.receivers == 0 && self.may_read_ahead()))
    }

    /// Writes, reads ahead and ticks, as far as possible now; returns what to wait for.
    pub(in crate::socket) fn pump(&mut self) -> Interest {
        loop {
            self.flush();
            if self.look() || self.tick() {
                continue;
            }
            let blocked = !self.wants_input();
            self.flush();
            if !blocked || !self.wants_input() {
                return self.interest(self.receivers == 0 && self.may_read_ahead());
            }
        }
    }
}
