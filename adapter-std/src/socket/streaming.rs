//! Messages in chunks, received and sent.
//! RFC 6455 section 5.4.
//! Knows no frames of the peer: chunks contain the data that has arrived.

use std::fmt;

use sansws_common::error::{Error, Result};
use sansws_common::socket::read_ahead::Item;
use sansws_core::close::CloseCode;
use sansws_core::frame::MessageKind;
use sansws_core::message::{Message, Payload};

use super::shared::{Shared, Until};
use crate::stream::ByteStream;

/// A message that is being received.
///
/// ```
/// use std::io::Write;
/// use sansws_std::{Result, WebSocket};
///
/// fn upload(socket: &mut WebSocket, file: &mut impl Write) -> Result<u64> {
///     let mut bytes = 0;
///     if let Some(mut reader) = socket.receive_stream()? {
///         while let Some(chunk) = reader.next()? {
///             file.write_all(chunk.as_bytes())?;
///             bytes += chunk.len() as u64;
///         }
///     }
///     Ok(bytes)
/// }
/// ```
pub struct MessageReader<'a, S: ByteStream> {
    shared: &'a Shared<S>,
    kind: MessageKind,
    first: Option<Message>,
    over: bool,
}

impl<'a, S: ByteStream> MessageReader<'a, S> {
    pub(super) fn begin(shared: &'a Shared<S>) -> Result<Option<Self>, Error> {
        loop {
            let Some(Item { message, piece }) = shared.receive(Until::Forever, true)? else {
                return Ok(None);
            };
            let over = match piece {
                // The rest of a message whose reader was dropped.
                Some((false, _)) => continue,
                Some((true, last)) => last,
                None => true,
            };
            return Ok(Some(Self {
                shared,
                kind: message.kind(),
                first: Some(message),
                over,
            }));
        }
    }

    /// Returns whether it is text or binary.
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Returns the next chunk, as soon as there is one; text is split between characters. `None` after the last.
    ///
    /// # Errors
    /// As for `receive`; and [`Error::Disconnect`] even if the peer closed normally, because its message never ended.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would say nothing of an end inside the message"
    )]
    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        if self.over {
            return Ok(None);
        }
        match self.shared.receive(Until::Forever, true)? {
            Some(Item { message, piece }) => {
                self.over = piece.is_none_or(|(_, last)| last);
                Ok(Some(message))
            }
            // The peer closed inside a message: `None` would make half of it look complete.
            None => Err(self.shared.engine().ending.disconnected()),
        }
    }
}

impl<S: ByteStream> fmt::Debug for MessageReader<'_, S> {
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
/// # fn connect_to(
/// #     handler: fn(sansws_std::Upgrade) -> sansws_std::Result,
/// #     url: &str,
/// # ) -> Result<sansws_std::WebSocket, sansws_std::Error> {
/// #     let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
/// #     std::thread::spawn(move || -> sansws_std::Result {
/// #         handler(sansws_std::accept(sansws_std::Stream::unix(theirs)?, Default::default())?)
/// #     });
/// #     sansws_std::connect_over(sansws_std::Stream::unix(ours)?, url, Default::default())
/// # }
/// use sansws_std::{MessageKind, Result, Upgrade};
///
/// fn lines(upgrade: Upgrade) -> Result {
///     let mut socket = upgrade.accept()?;
///     let mut writer = socket.send_stream(MessageKind::Text);
///     for number in 1..=3 {
///         writer.write(format!("line {number}\n").as_str())?;
///     }
///     Ok(writer.finish()?)
/// }
///
/// # fn main() -> Result {
/// let mut socket = connect_to(lines, "ws://localhost/")?;
/// assert_eq!(socket.receive_text()?.as_deref(), Some("line 1\nline 2\nline 3\n"));
/// # Ok(())
/// # }
/// ```
#[must_use = "a message that is not finished closes the connection"]
pub struct MessageWriter<'a, S: ByteStream> {
    shared: &'a Shared<S>,
    kind: MessageKind,
    /// Part of the message was sent, and its end was not.
    begun: bool,
}

impl<'a, S: ByteStream> MessageWriter<'a, S> {
    pub(super) const fn new(shared: &'a Shared<S>, kind: MessageKind) -> Self {
        Self {
            shared,
            kind,
            begun: false,
        }
    }

    /// Sends a chunk, as one frame. It must be of the kind of the message.
    ///
    /// # Errors
    /// As for `send`.
    pub fn write<'p>(&mut self, piece: impl Into<Payload<'p>>) -> Result<(), Error> {
        self.put(piece.into(), false)
    }

    /// Ends the message.
    ///
    /// # Errors
    /// As for `send`.
    pub fn finish(mut self) -> Result<(), Error> {
        let empty = match self.kind {
            MessageKind::Text => Payload::Text(""),
            MessageKind::Binary => Payload::Binary(&[]),
        };
        self.put(empty, true)
    }

    fn put(&mut self, piece: Payload<'_>, last: bool) -> Result<(), Error> {
        let begun = &mut self.begun;
        self.shared.submit(last, true, |connection| {
            connection.send_piece(piece, last)?;
            *begun = !last;
            Ok(())
        })
    }
}

impl<S: ByteStream> Drop for MessageWriter<'_, S> {
    fn drop(&mut self) {
        if self.begun {
            let code = Some(CloseCode::INTERNAL);
            let mut engine = self.shared.engine();
            engine.start_close(code, "a message was abandoned");
            engine.flush();
        }
    }
}

impl<S: ByteStream> fmt::Debug for MessageWriter<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
