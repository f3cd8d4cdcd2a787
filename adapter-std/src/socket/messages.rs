//! The messages of a connection as an iterator of one type.

use std::marker::PhantomData;

use sansws_common::FromMessage;
use sansws_common::error::Error;

use super::websocket::WebSocket;
use crate::stream::ByteStream;

/// The messages of a connection as one type, until its end; created by [`WebSocket::messages`].
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
/// use sansws_std::{Result, Upgrade};
///
/// fn echo(upgrade: Upgrade) -> Result {
///     let mut socket = upgrade.accept()?;
///     while let Some(message) = socket.receive()? {
///         socket.send(message)?;
///     }
///     Ok(())
/// }
///
/// # fn main() -> Result {
/// let mut socket = connect_to(echo, "ws://localhost/")?;
/// for text in ["one", "two"] {
///     socket.send_text(text)?;
/// }
/// let texts: Vec<String> = socket.messages().take(2).collect::<Result<_, _>>()?;
/// assert_eq!(texts, ["one", "two"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Messages<'a, S: ByteStream, M> {
    socket: &'a mut WebSocket<S>,
    message: PhantomData<fn() -> M>,
}

impl<S: ByteStream> WebSocket<S> {
    /// Iterates over the messages as one type: `String`, `Vec<u8>`, `Json<V>` or [`Message`](sansws_core::message::Message). A message
    /// that does not fit is an error, which maps to its close code when a handler returns it.
    pub const fn messages<M: FromMessage>(&mut self) -> Messages<'_, S, M> {
        Messages {
            socket: self,
            message: PhantomData,
        }
    }
}

impl<S: ByteStream, M: FromMessage> Iterator for Messages<'_, S, M> {
    type Item = Result<M, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.socket.next()?;
        Some(message.and_then(|message| self.socket.parse(message)))
    }
}
