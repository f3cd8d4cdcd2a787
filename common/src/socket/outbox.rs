//! Answers from within a receive call that lends its messages.
//! Knows no socket: the call writes the answers.

use std::fmt;

use sansws_core::connection::{Connection, Role};
use sansws_core::error::SendError;
use sansws_core::message::{Payload, PreparedMessage};

use super::answers::Answers;
use super::ending::vanished;
use crate::error::Error;

/// A closure that messages are lent to.
pub type Handle<'h> = dyn FnMut(Payload<'_>, &mut Outbox<'_>) + 'h;

/// The output of a connection whose message is lent: accepts answers at once, without waiting.
///
/// The call writes them: `receive_with` after its message, `receive_each` once it has handled all messages that had arrived, or earlier if they
/// are long. Each message finds room for an answer of any length; more answers are accepted while fewer than
/// [`Limits::write_queue`](sansws_core::config::Limits::write_queue) bytes are unsent.
pub struct Outbox<'a> {
    connection: &'a mut Connection,
    /// Those that may be lost without an error.
    answers: Answers,
    /// Number of messages that were accepted.
    sent: u32,
    /// Gives an empty queue a buffer.
    prepare: fn(&mut Connection),
}

impl<'a> Outbox<'a> {
    /// Lends a message, together with the output of its connection. `prepare` is called before an empty queue is written to. Returns how
    /// many messages were accepted, and which answers may still be lost.
    pub fn lend(
        connection: &'a mut Connection,
        prepare: fn(&mut Connection),
        message: Payload<'_>,
        handle: &mut Handle<'_>,
    ) -> (u32, Answers) {
        let mut outbox = Self {
            connection,
            answers: Answers::ALL,
            sent: 0,
            prepare,
        };
        handle(message, &mut outbox);
        (outbox.sent, outbox.answers)
    }

    /// Sends a message, which is copied.
    ///
    /// # Errors
    /// [`SendError::QueueFull`] for a further answer while [`Limits::write_queue`](sansws_core::config::Limits::write_queue) bytes are
    /// unsent, and [`SendError::Closing`] once the connection closes. Answers to messages that precede the peer's end are accepted, and lost.
    pub fn send<'m>(&mut self, message: impl Into<Payload<'m>>) -> Result<(), Error> {
        let message = message.into();
        self.submit(1, |connection| connection.send_payload(message))
    }

    /// Sends a prepared message, without a copy on a server.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_prepared(&mut self, prepared: &PreparedMessage) -> Result<(), Error> {
        self.submit(1, |connection| connection.send_prepared(prepared))
    }

    /// Sends a ping of at most 125 bytes.
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`] beyond 125 bytes; else as for [`send`](Self::send).
    pub fn ping(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        self.submit(0, |connection| connection.ping(bytes.as_ref()))
    }

    /// Sends an unsolicited pong of at most 125 bytes. Pings are answered automatically, unless
    /// [`Config::auto_pong`](sansws_core::config::Config::auto_pong) is off.
    ///
    /// # Errors
    /// As for [`ping`](Self::ping).
    pub fn pong(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        self.submit(0, |connection| connection.pong(bytes.as_ref()))
    }

    /// Returns the number of unsent bytes.
    pub fn queued(&self) -> usize {
        self.connection.queued()
    }

    #[inline]
    fn submit(
        &mut self,
        messages: u32,
        send: impl FnOnce(&mut Connection) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        let accepts = self.connection.is_open() && !self.connection.is_output_over();
        if !accepts {
            return self.lose();
        }
        if self.connection.queued() == 0 {
            (self.prepare)(self.connection);
        }
        send(self.connection)?;
        self.sent += messages;
        self.answers = Answers::NONE;
        Ok(())
    }

    /// An answer is lost, as it would have been in flight.
    #[cold]
    fn lose(&mut self) -> Result<(), Error> {
        if self.answers.take() {
            return Ok(());
        }
        // A write has failed, and the input has not told yet how the connection ended.
        Err(if self.connection.is_open() {
            Error::Disconnect(Box::new(vanished()))
        } else {
            SendError::Closing.into()
        })
    }
}

impl fmt::Debug for Outbox<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

/// Returns whether the answer to a message that is lent would find no room. A client whose messages can be kept no more, as `may_keep` says,
/// takes them all the same: were its peer waiting too, each would wait for the other forever.
#[inline]
pub fn lacks_room(connection: &Connection, may_keep: impl FnOnce() -> bool) -> bool {
    !connection.has_room()
        && connection.is_open()
        && !connection.is_output_over()
        && (connection.role() == Role::Server || may_keep())
}
