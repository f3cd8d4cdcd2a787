//! Receiving without a copy: messages are lent to a closure that can answer.
//! RFC 6455 section 6.2.
//! Knows no bytes: each method is a poll of the engine.

use std::future::poll_fn;
use std::task::{Poll, ready};

use crate::error::{Error, Result};
use crate::socket::Outbox;
use crate::socket::wakers::WakerRole;
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;
use sansws_core::message::Payload;

/// Number of messages for which the connection is locked at once: other tasks that use it wait meanwhile.
const BATCH: usize = 64;

impl<T: Transport> WebSocket<T> {
    /// Lends the next message to `handle`, which can answer through the [`Outbox`]; returns what it returned, or `None` when the peer closed
    /// normally.
    ///
    /// Nothing is allocated or copied for a message that lies in the read buffer. The connection is locked while `handle` runs: it must use
    /// nothing of this connection but the outbox, and should not block. A message waits until there is room for an answer; on a client, only
    /// as long as [`Limits::read_ahead`](sansws_core::config::Limits::read_ahead) allows to keep what arrives. Pings that the
    /// application answers, with [`auto_pong`](sansws_core::config::Config::auto_pong) off, are for [`receive_event`](Self::receive_event).
    ///
    /// ```
    /// use sansws_async::{Payload, Result, Transport, WebSocket};
    ///
    /// /// The request in a message.
    /// enum Asked {
    ///     Nothing,
    ///     Report(u32),
    /// }
    ///
    /// async fn serve<T: Transport>(mut socket: WebSocket<T>) -> Result {
    ///     loop {
    ///         let asked = socket.receive_with(|message, out| match message {
    ///             Payload::Text("ping") => out.send("pong").map(|()| Asked::Nothing),
    ///             Payload::Text(text) => Ok(text.parse().map_or(Asked::Nothing, Asked::Report)),
    ///             Payload::Binary(_) => Ok(Asked::Nothing),
    ///         });
    ///         match asked.await?.transpose()? {
    ///             Some(Asked::Nothing) => {}
    ///             // The message is gone, and the handler may wait.
    ///             Some(Asked::Report(number)) => socket.send_text(format!("report {number}")).await?,
    ///             None => return Ok(()),
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As for [`receive`](Self::receive).
    pub fn receive_with<R>(
        &mut self,
        handle: impl FnOnce(Payload<'_>, &mut Outbox<'_>) -> R,
    ) -> impl Future<Output = Result<Option<R>, Error>> {
        let mut handle = Some(handle);
        poll_fn(move |cx| {
            let mut returned = None;
            let mut lend = |payload: Payload<'_>, outbox: &mut Outbox<'_>| {
                returned = handle.take().map(|handle| handle(payload, outbox));
            };
            let mut engine = self.cell().engine();
            ready!(engine.poll_lend(cx, WakerRole::Reader, &mut lend))?;
            engine.flush_if_due(cx, WakerRole::Reader);
            Poll::Ready(Ok(returned))
        })
    }

    /// Lends each message to `handle`, which can answer through the [`Outbox`], until the peer closes normally or `handle` fails.
    ///
    /// This is the cheapest way to answer short messages: it works as [`receive_with`](Self::receive_with) does, but messages that have arrived
    /// together are handled together, and their answers leave in one write.
    /// A message is copied where it is sent back; [`receive`](Self::receive) and [`send`](Self::send) hand a long one on as it is.
    ///
    /// ```
    /// use sansws_async::{Result, Transport, WebSocket};
    ///
    /// async fn echo<T: Transport>(mut socket: WebSocket<T>) -> Result {
    ///     socket.receive_each(|message, out| out.send(message)).await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// The error of `handle`, and those of [`receive`](Self::receive).
    pub fn receive_each<E: From<Error>>(
        &mut self,
        mut handle: impl FnMut(Payload<'_>, &mut Outbox<'_>) -> Result<(), E>,
    ) -> impl Future<Output = Result<(), E>> {
        poll_fn(move |cx| {
            loop {
                let mut engine = self.cell().engine();
                for _ in 0..BATCH {
                    let mut handled = Ok(());
                    let mut lend = |payload: Payload<'_>, outbox: &mut Outbox<'_>| {
                        handled = handle(payload, outbox);
                    };
                    let Poll::Ready(lent) = engine.poll_lend(cx, WakerRole::Reader, &mut lend)
                    else {
                        // It may only have given others a turn.
                        engine.flush_if_due(cx, WakerRole::Reader);
                        return Poll::Pending;
                    };
                    let lent = lent?;
                    if !lent || handled.is_err() {
                        engine.flush_if_due(cx, WakerRole::Reader);
                        return Poll::Ready(handled);
                    }
                }
            }
        })
    }
}
