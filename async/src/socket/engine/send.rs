//! Sending: what is accepted, when it is written, and when input is read meanwhile.
//! RFC 6455 sections 5.5 and 5.5.1: a task that only sends still answers pings and notices a Close.
//! Knows no frame.

use std::task::{Context, Poll, ready};

use crate::socket::engine::decode::lend_buffer;
use crate::socket::engine::{Engine, Error, GATHERED, Result};
use crate::socket::wakers::WakerRole;
use crate::transport::Transport;
use sansws_common::socket::answers::Answers;
use sansws_core::connection::Connection;
use sansws_core::error::SendError;
use sansws_core::message::Message;
use sansws_core::time::Duration;

/// Number of sends after which input is checked, however fast they come.
const UNLOOKED: u8 = 32;

/// Minimum time between two checks of the input, unless there were that many sends.
const LOOK_EVERY: Duration = Duration::from_millis(1);

impl<T: Transport> Engine<T> {
    /// Waits until a message would be accepted.
    ///
    /// # Errors
    /// The end of the connection, once known; [`SendError::Closing`] once we close.
    pub(crate) fn poll_ready(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
    ) -> Poll<Result<(), Error>> {
        self.poll_accepting(cx, role, false)
    }

    /// Waits until a message would be accepted; a task that answers messages received before the end may go on to that end.
    pub(crate) fn poll_ready_to_answer(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
    ) -> Poll<Result<(), Error>> {
        self.poll_accepting(cx, role, true)
    }

    #[inline]
    fn poll_accepting(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
        answers: bool,
    ) -> Poll<Result<(), Error>> {
        self.look_if_due(cx, role);
        loop {
            if !self.accepts() {
                if answers && self.is_answering() {
                    return Poll::Ready(Ok(()));
                }
                return self.poll_refusal(cx, role).map(Err);
            }
            if self.connection.has_room() {
                return self.poll_turn(cx).map(Ok);
            }
            if self.poll_flush(cx, role).is_pending()
                && !self.look(cx, role)
                && self.poll_alarm(cx, role).is_pending()
            {
                return Poll::Pending;
            }
        }
    }

    /// Returns whether output can still be sent.
    pub(crate) const fn accepts(&self) -> bool {
        self.connection.is_open() && !self.connection.is_output_over()
    }

    /// Returns whether output cannot be sent, and a task that answers does not know yet: messages that it can still receive precede the
    /// end, and an error would keep it from them. Such an answer is lost as it would have been in flight.
    fn is_answering(&self) -> bool {
        self.answers.is_left() && !self.was_told_to_close() && !self.is_end_reported()
    }

    /// Returns why nothing can be sent. A failed write does not tell how the connection ended: the input does.
    fn poll_refusal(&mut self, cx: &Context<'_>, role: WakerRole) -> Poll<Error> {
        loop {
            if self.was_told_to_close() {
                return Poll::Ready(SendError::Closing.into());
            }
            if self.is_ended() {
                return Poll::Ready(self.end_error());
            }
            if !self.connection.is_output_over() {
                return Poll::Ready(SendError::Closing.into());
            }
            if self.look(cx, role) {
                continue;
            }
            if !self.wants_input() || !self.may_read_ahead() {
                return Poll::Ready(self.disconnected());
            }
            ready!(self.poll_alarm(cx, role));
        }
    }

    /// Checks the input for a task that may only send, often enough to miss nothing, and seldom enough to cost next to nothing.
    fn look_if_due(&mut self, cx: &Context<'_>, role: WakerRole) {
        // A driver checks by itself.
        if self.flags.driven {
            return;
        }
        // Input behind a message is checked once that is answered, maybe by several messages: it may break the protocol, and the answer would be lost.
        if self.unseen.take() {
            return;
        }
        self.unlooked += 1;
        if self.unlooked < UNLOOKED {
            // Gathered output is written later, with a check.
            if self.connection.queued() > 0 {
                return;
            }
            let now = self.transport.now();
            if now < self.looked + LOOK_EVERY {
                return;
            }
            self.looked = now;
        }
        self.unlooked = 0;
        self.look(cx, role);
    }

    /// Reads ahead, as far as input may be kept: pings are answered, a Close is seen. Returns whether there was any.
    fn look(&mut self, cx: &Context<'_>, role: WakerRole) -> bool {
        let mut moved = false;
        loop {
            moved |= self.read_ahead();
            if self.is_ended() || !self.wants_input() {
                break;
            }
            if !self.may_read_ahead() {
                self.connection.pause();
                break;
            }
            if self.poll_read(cx, role, false).is_pending() {
                break;
            }
            moved = true;
        }
        self.unread.park();
        if moved {
            self.wakers.wake_others(role);
        }
        moved
    }

    /// Sends something that the connection encodes; see the [module](crate::socket) for when it leaves.
    pub(crate) fn send(
        &mut self,
        send: impl FnOnce(&mut Connection) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        if !self.accepts() && self.is_answering() {
            self.answers.take();
            return Ok(());
        }
        if self.connection.queued() == 0 {
            lend_buffer(&mut self.connection);
        }
        let sent = send(&mut self.connection);
        self.reclaim_unused();
        sent?;
        self.answers = Answers::NONE;
        Ok(())
    }

    /// Sends the end of a message.
    pub(crate) fn send_message(
        &mut self,
        send: impl FnOnce(&mut Connection) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.send(send)?;
        self.counts.sent += 1;
        self.sent.messages += 1;
        Ok(())
    }

    /// Sends a message; the memory of one that was copied is kept for the next that is received.
    pub(crate) fn send_owned(&mut self, message: Message) -> Result<(), Error> {
        let mut unsent = Some(message);
        self.send_message(|connection| connection.send_from(&mut unsent))?;
        if let Some(copied) = unsent {
            self.unread.keep_spare(copied.into_bytes());
        }
        Ok(())
    }

    /// After a send: writes the output, unless that happens at the end of this turn anyway, together with other output.
    #[inline]
    pub(crate) fn flush_if_due(&mut self, cx: &Context<'_>, role: WakerRole) {
        // Only a driver is certain to run later, and only in its own task before anyone waits.
        let gathers = self.flags.driven && self.wakers.are_one(cx);
        if !gathers || self.connection.queued() >= GATHERED {
            let _ = self.poll_flush(cx, role);
        }
    }

    /// Writes all queued output; fails when the connection ended before.
    pub(crate) fn poll_flushed(
        &mut self,
        cx: &Context<'_>,
        role: WakerRole,
    ) -> Poll<Result<(), Error>> {
        self.look_if_due(cx, role);
        loop {
            if self.poll_flush(cx, role).is_ready() {
                if self.connection.is_open() && self.connection.is_output_over() {
                    return self.poll_refusal(cx, role).map(Err);
                }
                return Poll::Ready(match self.closed() {
                    Some(closed) if !closed.clean => Err(self.end_error()),
                    _ => Ok(()),
                });
            }
            if !self.look(cx, role) {
                ready!(self.poll_alarm(cx, role));
            }
        }
    }
}
