//! Messages in chunks, received and sent.
//! RFC 6455 section 5.4.
//! Knows no frames of the peer: chunks contain the data that has arrived.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::socket::engine::Part;
use crate::socket::shared::Shared;
use crate::socket::wakers::WakerRole;
use crate::transport::Transport;
use sansws_core::close::CloseCode;
use sansws_core::connection::Connection;
use sansws_core::frame::MessageKind;
use sansws_core::message::{Message, Payload};

/// A message that is being received.
///
/// ```
/// use std::io::Write;
/// use sansws_async::{Result, Transport, WebSocket};
///
/// async fn upload<T: Transport>(socket: &mut WebSocket<T>, file: &mut impl Write) -> Result<u64> {
///     let mut bytes = 0;
///     if let Some(mut reader) = socket.receive_stream().await? {
///         while let Some(chunk) = reader.next().await? {
///             file.write_all(chunk.as_bytes())?;
///             bytes += chunk.len() as u64;
///         }
///     }
///     Ok(bytes)
/// }
/// ```
pub struct MessageReader<'a, T: Transport> {
    shared: &'a Arc<Shared<T>>,
    kind: MessageKind,
    first: Option<Message>,
    over: bool,
}

impl<'a, T: Transport> MessageReader<'a, T> {
    pub(crate) async fn begin(shared: &'a Arc<Shared<T>>) -> Result<Option<Self>, Error> {
        let part = poll_fn(|cx| shared.engine().poll_part(cx, WakerRole::Reader, true)).await?;
        Ok(part.map(|Part { message, last }| Self {
            shared,
            kind: message.kind(),
            first: Some(message),
            over: last,
        }))
    }

    /// Returns whether it is text or binary.
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Returns the next chunk, as soon as there is one; text is split between characters. `None` after the last.
    ///
    /// # Errors
    /// As for `receive`; and [`Error::Disconnect`](crate::Error::Disconnect) even if the peer closed normally, because its message
    /// never ended.
    pub async fn next(&mut self) -> Result<Option<Message>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        if self.over {
            return Ok(None);
        }
        let part =
            poll_fn(|cx| self.shared.engine().poll_part(cx, WakerRole::Reader, false)).await?;
        let Some(Part { message, last }) = part else {
            // The peer closed inside a message: `None` would make half of it look complete.
            return Err(self.shared.engine().disconnected());
        };
        self.over = last;
        Ok(Some(message))
    }
}

impl<T: Transport> fmt::Debug for MessageReader<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageReader")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A message that is being sent.
///
/// Dropping it before [`finish`](Self::finish) leaves half a message on the wire: the connection is closed with 1011.
///
/// ```
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{MessageKind, Result, ServerOptions, Upgrade};
///
/// async fn lines(upgrade: Upgrade<MemoryTransport>) -> Result {
///     let mut socket = upgrade.accept().await?;
///     let mut writer = socket.send_stream(MessageKind::Text);
///     for number in 1..=3 {
///         writer.write(format!("line {number}\n").as_str()).await?;
///     }
///     Ok(writer.finish().await?)
/// }
///
/// # async fn run() -> Result {
/// # let server = TestServer::over(lines, ServerOptions::default(), MemoryTransport::new)?;
/// let mut socket = server.connect("/").await?;
/// socket.expect_text("line 1\nline 2\nline 3\n").await; // one message
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
#[must_use = "a message that is not finished closes the connection"]
pub struct MessageWriter<'a, T: Transport> {
    shared: &'a Arc<Shared<T>>,
    kind: MessageKind,
    state: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Nothing,
    Begun,
    Finished,
}

impl<'a, T: Transport> MessageWriter<'a, T> {
    pub(crate) const fn new(shared: &'a Arc<Shared<T>>, kind: MessageKind) -> Self {
        Self {
            shared,
            kind,
            state: Progress::Nothing,
        }
    }

    /// Sends a chunk, as one frame. It must be of the kind of the message.
    pub async fn write<'p>(&mut self, piece: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.put(piece.into(), false).await
    }

    /// Ends the message.
    pub async fn finish(mut self) -> Result<(), Error> {
        let empty = match self.kind {
            MessageKind::Text => Payload::Text(""),
            MessageKind::Binary => Payload::Binary(&[]),
        };
        self.put(empty, true).await
    }

    async fn put(&mut self, piece: Payload<'_>, last: bool) -> Result<(), Error> {
        let (shared, state) = (self.shared, &mut self.state);
        shared
            .submit(|engine| {
                let send = |connection: &mut Connection| connection.send_piece(piece, last);
                if last {
                    engine.send_message(send)?;
                } else {
                    engine.send(send)?;
                }
                *state = if last {
                    Progress::Finished
                } else {
                    Progress::Begun
                };
                Ok(())
            })
            .await
    }
}

impl<T: Transport> Drop for MessageWriter<'_, T> {
    fn drop(&mut self) {
        if self.state == Progress::Begun {
            self.shared
                .engine()
                .start_close(Some(CloseCode::INTERNAL), "a message was abandoned");
        }
    }
}

impl<T: Transport> fmt::Debug for MessageWriter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
