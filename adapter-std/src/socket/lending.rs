//! Receiving without a copy: messages are lent to a closure that can answer.
//! RFC 6455 section 6.2.
//! Knows no bytes: each method is a step of the engine, repeated until it is done.

use sansws_common::error::{Error, Result};
use sansws_common::socket::outbox::Outbox;
use sansws_core::message::Payload;

use super::websocket::WebSocket;
use crate::stream::ByteStream;

impl<S: ByteStream> WebSocket<S> {
    /// Waits for the next message and lends it to `handle`, which can answer through the [`Outbox`]; returns what it returned, or `None` when
    /// the peer closed normally.
    ///
    /// Nothing is allocated or copied for a message that lies in the read buffer. The connection is locked while `handle` runs: it must use
    /// nothing of this connection but the outbox and should not block, because a thread of [`keep_alive`](WebSocket::keep_alive) waits
    /// meanwhile. A message waits until there is room for an answer; on a client, only as long as
    /// [`Limits::read_ahead`](sansws_core::config::Limits::read_ahead) allows to keep what arrives. Pings that the application answers, with
    /// [`auto_pong`](sansws_core::config::Config::auto_pong) off, are for [`receive_event`](Self::receive_event).
    ///
    /// Over a stream that is not ours and does not block, an answer may be unsent when the call returns: [`flush`](Self::flush) sends it.
    ///
    /// ```
    /// use sansws_std::{Payload, Result, WebSocket};
    ///
    /// fn count(socket: &mut WebSocket) -> Result<u64> {
    ///     let mut digits = 0;
    ///     let count = |message: Payload<'_>| message.as_bytes().iter().filter(|b| b.is_ascii_digit()).count();
    ///     while let Some(found) = socket.receive_with(|message, _| count(message))? {
    ///         digits += found as u64;
    ///     }
    ///     Ok(digits)
    /// }
    /// ```
    ///
    /// # Errors
    /// As for [`receive`](Self::receive).
    pub fn receive_with<R>(
        &mut self,
        handle: impl FnOnce(Payload<'_>, &mut Outbox<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        let (mut handle, mut returned) = (Some(handle), None);
        self.shared().lend(&mut |payload, outbox| {
            returned = handle.take().map(|handle| handle(payload, outbox));
        })?;
        self.shared().write_answers();
        Ok(returned)
    }

    /// Lends each message to `handle`, which can answer through the [`Outbox`], until the peer closes normally or `handle` fails.
    ///
    /// This is the cheapest way to answer short messages: it works as [`receive_with`](Self::receive_with) does, but messages that have arrived
    /// together are handled together, and their answers leave in one write.
    /// A message is copied where it is sent back; [`receive`](Self::receive) and [`send`](Self::send) hand a long one on as it is.
    ///
    /// ```
    /// use sansws_std::{Result, WebSocket};
    ///
    /// fn echo(socket: &mut WebSocket) -> Result {
    ///     socket.receive_each(|message, out| out.send(message))?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// The error of `handle`, and those of [`receive`](Self::receive).
    pub fn receive_each<E: From<Error>>(
        &mut self,
        mut handle: impl FnMut(Payload<'_>, &mut Outbox<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let mut handled = Ok(());
            let lent = self.shared().lend(&mut |payload, outbox| {
                handled = handle(payload, outbox);
            })?;
            if !lent || handled.is_err() {
                self.shared().write_answers();
                return handled;
            }
        }
    }
}
