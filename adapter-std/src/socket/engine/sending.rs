//! Sending: what is accepted, and when input is read meanwhile.
//! RFC 6455 sections 5.5 and 5.5.1: a thread that only sends still answers pings and notices a Close.
//! Knows no frame.

use sansws_common::error::{Error, Result};
use sansws_common::socket::answers::Answers;
use sansws_core::connection::Connection;
use sansws_core::error::SendError;
use sansws_core::time::Duration;

use super::Engine;
use crate::clock::now;
use crate::stream::ByteStream;

/// Minimum time between two checks of the input by a thread that only sends, unless there were [`UNLOOKED`] sends.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Number of sends after which input is checked, however fast they come.
const UNLOOKED: u8 = 32;

impl<S: ByteStream> Engine<S> {
    /// Checks the input for a thread that may only send, often enough to miss nothing, and seldom enough to cost next to nothing. A stream
    /// that is not ours is left alone: it might block.
    ///
    /// Called after a message was sent, not before: an answer to the last message precedes the end that comes behind that message.
    pub(in crate::socket) fn look_if_due(&mut self) {
        if self.stream.socket().is_none() {
            return;
        }
        // One that answers a message receives on. A Close that is seen before the messages in front of it are answered would lose the answers.
        if self.unseen.take() {
            return;
        }
        self.unlooked += 1;
        if self.unlooked < UNLOOKED {
            let now = now();
            if now < self.looked + LOOK_EVERY {
                return;
            }
            self.looked = now;
        }
        self.unlooked = 0;
        self.may_have_input();
        if self.look() {
            self.flush();
        }
    }

    /// Returns whether output can still be sent.
    pub(crate) const fn accepts(&self) -> bool {
        self.connection.is_open() && !self.connection.is_output_over()
    }

    /// Returns whether output cannot be sent, and a thread that answers does not know yet: messages that it can still receive precede the
    /// end, and an error would keep it from them. Such an answer is lost as it would have been in flight.
    pub(in crate::socket) const fn is_answering(&self) -> bool {
        self.answers.is_left() && !self.flags.leaving && !self.ending.is_reported()
    }

    /// Queues something that the connection encodes; `message` counts as one.
    pub(in crate::socket) fn send(
        &mut self,
        message: bool,
        send: impl FnOnce(&mut Connection) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        if !self.accepts() && self.is_answering() {
            self.answers.take();
            return Ok(());
        }
        send(&mut self.connection)?;
        self.answers = Answers::NONE;
        self.counts.sent += u64::from(message);
        Ok(())
    }

    /// Returns why nothing can be sent, if that is known: a failed write does not tell how the connection ended, but the input does.
    pub(in crate::socket) fn refusal(&mut self) -> Option<Error> {
        let error = self.find_refusal()?;
        // Output that the input demanded, such as the answer to a Close, leaves with this call.
        self.flush();
        Some(error)
    }

    fn find_refusal(&mut self) -> Option<Error> {
        loop {
            if self.flags.leaving {
                return Some(SendError::Closing.into());
            }
            if self.ending.is_known() {
                return Some(self.ending.error());
            }
            if !self.connection.is_output_over() {
                return Some(SendError::Closing.into());
            }
            if self.look() {
                continue;
            }
            let waits = self.stream.socket().is_some() && self.receivers == 0;
            if !waits || !self.wants_input() || !self.may_read_ahead() {
                return Some(self.ending.disconnected());
            }
            return None;
        }
    }
}
