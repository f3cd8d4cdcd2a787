//! Answers from within a receive call that lends its messages.
//! Knows no socket: what is accepted here is written by the call.

use std::fmt;

use sansws_core::connection::Connection;
use sansws_core::error::SendError;
use sansws_core::message::{Payload, PreparedMessage};

use crate::error::Error;

/// Number of answers to a message that may be lost without an error, if the connection ended meanwhile: an application that sends more has
/// not seen the end.
pub const ANSWERS: u8 = 16;

/// The output of a connection whose message is lent: accepts answers at once, without waiting.
///
/// They leave together, after the messages that had arrived were handled. Each message finds room for an answer of any length; more answers
/// are accepted while fewer than [`Limits::write_queue`](sansws_core::config::Limits::write_queue) bytes are unsent.
pub struct Outbox<'a> {
    connection: &'a mut Connection,
    /// Number of answers that may be lost without an error.
    answers: u8,
    /// Number of messages that were accepted.
    sent: u32,
    /// Gives an empty queue a buffer.
    prepare: fn(&mut Connection),
}

impl<'a> Outbox<'a> {
    /// Once we have closed with the code `said`, which is 0 before, no answer may be lost without an error. `prepare` is called before an
    /// empty queue is written to.
    pub const fn new(
        connection: &'a mut Connection,
        said: u16,
        prepare: fn(&mut Connection),
    ) -> Self {
        Self {
            connection,
            answers: if said == 0 { ANSWERS } else { 0 },
            sent: 0,
            prepare,
        }
    }

    /// Returns how many messages it accepted, and how many answers may still be lost.
    pub const fn into_counts(self) -> (u32, u8) {
        (self.sent, self.answers)
    }

    /// Sends a message, which is copied.
    ///
    /// # Errors
    /// [`SendError::QueueFull`] for a further answer while [`Limits::write_queue`](sansws_core::config::Limits::write_queue) bytes are
    /// unsent, and [`SendError::Closing`] once the connection closes. Answers to messages that precede the peer's end are accepted, and lost.
    pub fn send<'m>(&mut self, message: impl Into<Payload<'m>>) -> Result<(), Error> {
        let message = message.into();
        self.submit(|connection| connection.send_payload(message))
    }

    /// Sends a prepared message, without a copy on a server.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_prepared(&mut self, prepared: &PreparedMessage) -> Result<(), Error> {
        self.submit(|connection| connection.send_prepared(prepared))
    }

    /// Returns the number of unsent bytes.
    pub fn queued(&self) -> usize {
        self.connection.queued()
    }

    #[inline]
    fn submit(
        &mut self,
        send: impl FnOnce(&mut Connection) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        let accepts = self.connection.is_open() && !self.connection.is_output_over();
        if !accepts && self.answers > 0 {
            self.answers -= 1;
            return Ok(());
        }
        if self.connection.queued() == 0 {
            (self.prepare)(self.connection);
        }
        send(self.connection)?;
        self.sent += 1;
        self.answers = 0;
        Ok(())
    }
}

impl fmt::Debug for Outbox<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
