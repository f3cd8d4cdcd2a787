//! A client of a server in memory, with `expect_*` assertions.
//! RFC 6455 sections 6 and 7.
//! Knows a client's connection; a failed assertion names its line in the test.

use std::fmt::Debug;
use std::future::Future;
use std::panic::Location;

use crate::error::{Error, Result};
use crate::socket::websocket::WebSocket;
use crate::test_kit::pipe::MemoryTransport;
use crate::test_kit::world::World;
use sansws_core::close::Closed;
use sansws_core::message::Message;
use sansws_core::time::Duration;

/// A client's connection to a [`TestServer`](super::TestServer).
///
/// An expectation that is not met within 60 virtual seconds, or 10 real ones, panics, naming the line of the test.
///
/// ```
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{Result, ServerOptions, Upgrade};
///
/// async fn quiz(upgrade: Upgrade<MemoryTransport>) -> Result {
///     let mut socket = upgrade.accept().await?;
///     socket.send_text("6 x 7?").await?;
///     let answer = socket.receive_text().await?;
///     let is_right = answer.as_deref() == Some("42");
///     socket.close(4000, if is_right { "right" } else { "wrong" }).await?;
///     Ok(())
/// }
///
/// # async fn run() -> Result {
/// # let server = TestServer::over(quiz, ServerOptions::default(), MemoryTransport::new)?;
/// let mut socket = server.connect("/quiz").await?;
/// socket.expect_text("6 x 7?").await;
/// socket.send_text("42").await?;
/// assert_eq!(socket.expect_close(4000).await, "right");
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
pub struct TestSocket {
    world: World,
    socket: WebSocket<MemoryTransport>,
}

/// A received item.
#[derive(Debug)]
enum Came {
    Message(Message),
    Closed(Option<Closed>),
    Failed(Error),
    Nothing,
}

impl TestSocket {
    pub(super) const fn new(world: World, socket: WebSocket<MemoryTransport>) -> Self {
        Self { world, socket }
    }

    /// Returns the connection itself.
    pub const fn socket(&mut self) -> &mut WebSocket<MemoryTransport> {
        &mut self.socket
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let deadline = self.world.clock().now() + self.world.patience();
        let sending = self.socket.send(message);
        self.world
            .run(deadline, sending)
            .await
            .unwrap_or_else(|| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.send(Message::Text(text.into())).await
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send_bytes(&mut self, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.send(Message::Binary(bytes.into())).await
    }

    /// Sends a value as JSON.
    ///
    /// # Errors
    /// When the connection has ended, or the value cannot be written as JSON.
    #[cfg(feature = "json")]
    pub async fn send_json<V: serde::Serialize + ?Sized>(
        &mut self,
        value: &V,
    ) -> Result<(), Error> {
        let text = serde_json::to_string(value)?;
        self.send_text(text).await
    }

    /// Expects this text message next.
    #[track_caller]
    pub fn expect_text(&mut self, want: &str) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            match self.next(self.world.patience()).await {
                Came::Message(Message::Text(text)) if text == want => {}
                came => self.miss(at, format_args!("the text {want:?}"), &came),
            }
        }
    }

    /// Expects this binary message next.
    #[track_caller]
    pub fn expect_bytes(&mut self, want: &[u8]) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            match self.next(self.world.patience()).await {
                Came::Message(Message::Binary(bytes)) if bytes == want => {}
                came => self.miss(at, format_args!("the octets {want:02x?}"), &came),
            }
        }
    }

    /// Expects a message next, of any kind and content.
    #[track_caller]
    pub fn expect_message(&mut self) -> impl Future<Output = Message> {
        let at = Location::caller();
        async move {
            match self.next(self.world.patience()).await {
                Came::Message(message) => message,
                came => self.miss(at, format_args!("a message"), &came),
            }
        }
    }

    /// Expects a message next that is JSON of this type.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn expect_json<V: serde::de::DeserializeOwned>(&mut self) -> impl Future<Output = V> {
        let at = Location::caller();
        async move {
            let came = self.next(self.world.patience()).await;
            if let Came::Message(message) = &came
                && let Ok(value) = serde_json::from_slice(message.as_bytes())
            {
                return value;
            }
            self.miss(at, format_args!("JSON of another shape"), &came)
        }
    }

    /// Expects the server to close next, with this code; returns the reason. 1006: the connection was lost.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) -> impl Future<Output = String> {
        let at = Location::caller();
        async move {
            let came = self.next(self.world.patience()).await;
            let closed = match &came {
                Came::Closed(closed) => closed.clone(),
                Came::Failed(Error::Disconnect(closed)) => Some((**closed).clone()),
                Came::Message(_) | Came::Failed(_) | Came::Nothing => None,
            };
            match closed {
                Some(closed) if closed.code() == code => closed.reason,
                _ => self.miss(at, format_args!("a close with {code}"), &came),
            }
        }
    }

    /// Expects that nothing arrives within `time`, which is virtual: neither a message nor the end.
    #[track_caller]
    pub fn expect_nothing(&mut self, time: Duration) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            match self.next(time).await {
                Came::Nothing => {}
                came => self.miss(at, format_args!("nothing within {time:?}"), &came),
            }
        }
    }

    /// Closes, and waits for the end. Returns how it ended.
    ///
    /// # Errors
    /// When `code` may not be sent.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<Option<Closed>, Error> {
        let deadline = self.world.clock().now() + self.world.patience();
        let closing = self.socket.close(code, reason);
        self.world.run(deadline, closing).await.unwrap_or(Ok(None))
    }

    async fn next(&mut self, patience: Duration) -> Came {
        let deadline = self.world.clock().now() + patience;
        let came = self.world.run(deadline, self.socket.receive()).await;
        match came {
            None => Came::Nothing,
            Some(Ok(Some(message))) => Came::Message(message),
            Some(Ok(None)) => Came::Closed(self.socket.closed()),
            Some(Err(error)) => Came::Failed(error),
        }
    }
}

impl TestSocket {
    fn miss(&self, at: &Location<'_>, want: std::fmt::Arguments<'_>, came: &impl Debug) -> ! {
        let note = self.world.note();
        panic!("{at}: {want} was expected, not {came:?}{note}")
    }
}
