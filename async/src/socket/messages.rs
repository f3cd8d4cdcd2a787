//! The messages of a connection as a stream of one type.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::error::{Error, Result};
use crate::socket::from_message::FromMessage;
use crate::socket::websocket::WebSocket;
use crate::transport::Transport;

/// The messages of a connection as one type, until its end; created by [`WebSocket::messages`].
///
/// ```
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{Json, Result, ServerOptions, Upgrade};
///
/// async fn sum(upgrade: Upgrade<MemoryTransport>) -> Result {
///     let mut socket = upgrade.accept().await?;
///     let (mut sum, mut messages) = (0, socket.messages::<Json<i64>>());
///     while sum < 10
///         && let Some(Json(number)) = messages.next().await?
///     {
///         sum += number;
///     }
///     Ok(socket.send_json(&sum).await?)
/// }
///
/// # async fn run() -> Result {
/// # let server = TestServer::over(sum, ServerOptions::default(), MemoryTransport::new)?;
/// let mut socket = server.connect("/").await?;
/// for text in ["3", "4", "5"] {
///     socket.send_text(text).await?;
/// }
/// socket.expect_text("12").await;
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
#[derive(Debug)]
pub struct Messages<'a, T: Transport, M> {
    socket: &'a mut WebSocket<T>,
    message: PhantomData<fn() -> M>,
}

impl<T: Transport> WebSocket<T> {
    /// The messages as a stream of one type: `String`, `Vec<u8>`, `Json<V>` or [`Message`](sansws_core::message::Message). A message that
    /// does not fit is an error, which maps to its close code when the handler returns it.
    pub fn messages<M: FromMessage>(&mut self) -> Messages<'_, T, M> {
        Messages {
            socket: self,
            message: PhantomData,
        }
    }
}

impl<T: Transport, M: FromMessage> Messages<'_, T, M> {
    /// Returns the next message; `None` after a normal end.
    pub async fn next(&mut self) -> Result<Option<M>, Error> {
        let message = self.socket.receive().await?;
        message
            .map(|message| self.socket.parse(message))
            .transpose()
    }
}

impl<T: Transport, M: FromMessage> Stream for Messages<'_, T, M> {
    type Item = Result<M, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let socket = &mut *self.get_mut().socket;
        let next = Pin::new(&mut *socket).poll_next(cx);
        next.map(|next| next.map(|message| message.and_then(|message| socket.parse(message))))
    }
}
