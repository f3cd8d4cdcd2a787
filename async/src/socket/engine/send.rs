//! Sending: what is accepted, when it is written, and what is looked at meanwhile.
//! RFC 6455 sections 5.5 and 5.5.1: who only sends answers pings and notices a Close all the same.
//! Knows no frame.

use std::task::{Context, Poll, ready};

use crate::socket::buffer;
use crate::socket::engine::{Engine, Error, GATHERED, Result};
use crate::socket::wakers::Party;
use crate::transport::Transport;
use sansws_core::connection::Connection;
use sansws_core::error::Misuse;
use sansws_core::time::{Duration, Instant};

/// Sends after which the input is looked at, however fast they come.
const UNLOOKED: u8 = 32;

/// The input is looked at no more often than this, unless there were that many sends.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Answers to a message that may be lost without an error, when the connection ended meanwhile: who sends more has not seen that.
pub(super) const ANSWERS: u8 = 16;

/// When a sender looked at the input last.
#[derive(Debug, Default)]
pub(super) struct Looked {
    at: Instant,
    /// Sends since then.
    sends: u8,
}

impl<T: Transport> Engine<T> {
    /// Waits until a message would be accepted.
    ///
    /// # Errors
    /// Says how the connection ended, once that is known; [`Misuse::Closing`] once we close.
    pub(crate) fn poll_ready(&mut self, cx: &Context<'_>, party: Party) -> Poll<Result<(), Error>> {
        self.poll_accepting(cx, party, false)
    }

    /// Waits until a message would be accepted; who answers what was received before the end may go on to that end.
    pub(crate) fn poll_ready_to_answer(
        &mut self,
        cx: &Context<'_>,
        party: Party,
    ) -> Poll<Result<(), Error>> {
        self.poll_accepting(cx, party, true)
    }

    fn poll_accepting(
        &mut self,
        cx: &Context<'_>,
        party: Party,
        answers: bool,
    ) -> Poll<Result<(), Error>> {
        self.look_if_due(cx, party);
        loop {
            if !self.accepts() {
                if answers && self.is_answering() {
                    return Poll::Ready(Ok(()));
                }
                return self.poll_refusal(cx, party).map(Err);
            }
            if self.connection.has_room() {
                return self.poll_turn(cx).map(Ok);
            }
            if self.poll_flush(cx, party).is_pending()
                && !self.look(cx, party)
                && self.poll_alarm(cx, party).is_pending()
            {
                return Poll::Pending;
            }
        }
    }

    /// Whether what is sent has a way out.
    pub(crate) const fn accepts(&self) -> bool {
        self.connection.is_open() && !self.connection.is_output_over()
    }

    /// Whether there is no way out, and that is not told yet to who answers: what it has still to receive came before the end,
    /// and an error would keep it from that. Such an answer is lost as it would have been on its way.
    const fn is_answering(&self) -> bool {
        self.answers > 0 && self.said == 0 && !self.flags.told
    }

    /// Why nothing can be sent. A write that failed does not say how the connection ended: what has arrived does.
    fn poll_refusal(&mut self, cx: &Context<'_>, party: Party) -> Poll<Error> {
        loop {
            if self.said != 0 {
                return Poll::Ready(Misuse::Closing.into());
            }
            if self.end.is_some() {
                return Poll::Ready(self.end_error());
            }
            if !self.connection.is_output_over() {
                return Poll::Ready(Misuse::Closing.into());
            }
            if self.look(cx, party) {
                continue;
            }
            if !self.wants_input() || !self.may_read_ahead() {
                return Poll::Ready(self.disconnected());
            }
            ready!(self.poll_alarm(cx, party));
        }
    }

    /// Looks at the input for who may only send, so often that nothing is missed, and so seldom that it costs nothing.
    fn look_if_due(&mut self, cx: &Context<'_>, party: Party) {
        // A driver looks by itself.
        if self.flags.driven {
            return;
        }
        self.looked.sends += 1;
        if self.looked.sends < UNLOOKED {
            // What gathers is written later, with a look.
            if self.connection.queued() > 0 {
                return;
            }
            // What lies here behind the message that is answered is looked at when that is done: it may break the protocol.
            if self.answers > 0 && !self.unread.is_empty() {
                return;
            }
            let now = self.transport.now();
            if now < self.looked.at + LOOK_EVERY {
                return;
            }
            self.looked.at = now;
        }
        self.looked.sends = 0;
        self.look(cx, party);
    }

    /// Reads ahead, as far as that may be kept: pings are answered, a Close is seen. Whether there was anything.
    fn look(&mut self, cx: &Context<'_>, party: Party) -> bool {
        let mut moved = false;
        loop {
            moved |= self.read_ahead();
            if self.end.is_some() || !self.wants_input() {
                break;
            }
            if !self.may_read_ahead() {
                self.connection.pause();
                break;
            }
            if self.poll_read(cx, party).is_pending() {
                break;
            }
            moved = true;
        }
        self.unread.park();
        if moved {
            self.parties.wake_others(party);
        }
        moved
    }

    /// Sends something that the connection encodes; see the [module](crate::socket) for when it leaves.
    pub(crate) fn send(
        &mut self,
        send: impl FnOnce(&mut Connection) -> Result<(), Misuse>,
    ) -> Result<(), Error> {
        if !self.accepts() && self.is_answering() {
            self.answers -= 1;
            return Ok(());
        }
        if self.connection.queued() == 0
            && let Some(buffer) = self.connection.lend(buffer::take_writer())
        {
            buffer::give_writer(buffer);
        }
        let sent = send(&mut self.connection);
        if sent.is_ok()
            && self.connection.queued() == 0
            && let Some(buffer) = self.connection.reclaim()
        {
            buffer::give_writer(buffer);
        }
        sent?;
        self.answers = 0;
        Ok(())
    }

    /// Sends what ends a message.
    pub(crate) fn send_message(
        &mut self,
        send: impl FnOnce(&mut Connection) -> Result<(), Misuse>,
    ) -> Result<(), Error> {
        self.send(send)?;
        self.counters.sent += 1;
        self.sent.messages += 1;
        Ok(())
    }

    /// After something was sent: writes it, unless that is done at the end of this turn anyway, together with what else is sent.
    pub(crate) fn flush_if_due(&mut self, cx: &Context<'_>) {
        // Only a driver is sure to come by, and only in its own task before anybody waits.
        let gathers = self.flags.driven && self.parties.are_one(cx);
        if !gathers || self.connection.queued() >= GATHERED {
            let _ = self.poll_flush(cx, Party::Writer);
        }
    }

    /// Writes all that is queued; fails when the connection ended before.
    pub(crate) fn poll_flushed(
        &mut self,
        cx: &Context<'_>,
        party: Party,
    ) -> Poll<Result<(), Error>> {
        self.look_if_due(cx, party);
        loop {
            if self.poll_flush(cx, party).is_ready() {
                if self.connection.is_open() && self.connection.is_output_over() {
                    return self.poll_refusal(cx, party).map(Err);
                }
                return Poll::Ready(match &self.end {
                    Some(end) if !end.closed.clean => Err(self.end_error()),
                    _ => Ok(()),
                });
            }
            if !self.look(cx, party) {
                ready!(self.poll_alarm(cx, party));
            }
        }
    }
}
