//! The handle of an open connection, and its halves.
//! RFC 6455 sections 6 and 7.
//! Knows no bytes: each method is a poll of the engine.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;

use crate::error::HandlerError;
use crate::error::{Error, Result};
use crate::server::verdict::Verdict;
use crate::socket::buffer::Unread;
use crate::socket::engine::Engine;
#[cfg(feature = "json")]
use crate::socket::from_message::Json;
use crate::socket::from_message::{FromMessage, SocketEvent};
use crate::socket::policy::ConnectionPolicy;
use crate::socket::shared::Shared;
use crate::socket::streaming::{MessageReader, MessageWriter};
use crate::socket::wakers::WakerRole;
use crate::transport::Transport;
use sansws_core::close::{CloseCode, Closed};
use sansws_core::config::Config;
use sansws_core::connection::Connection;
use sansws_core::error::SendError;
use sansws_core::frame::MessageKind;
use sansws_core::handshake::{Agreement, Opened};
use sansws_core::http::Headers;
use sansws_core::message::{Message, Payload, PreparedMessage};

/// An open WebSocket connection.
///
/// Polling it answers pings, keeps deadlines and writes frames: a server's task does so or, over your own stream, your calls. All futures
/// are cancel-safe: dropping one undoes it, or a later call completes it.
///
/// Dropping it without [`close`](Self::close) ends TCP, and the peer sees 1006; in a server's handler, returning closes properly.
///
/// ```
/// use sansws_async::test_kit::{MemoryTransport, TestServer};
/// use sansws_async::{Message, Result, ServerOptions, Upgrade, WebSocket};
///
/// async fn shout(mut socket: WebSocket<MemoryTransport>) -> Result {
///     while let Some(message) = socket.receive().await? {
///         match message {
///             Message::Text(text) => socket.send_text(text.to_uppercase()).await?,
///             Message::Binary(_) => {
///                 socket.close(1003, "text only").await?;
///             }
///         }
///     }
///     println!("{} messages were sent", socket.counters().sent);
///     Ok(())
/// }
///
/// # async fn run() -> Result {
/// # let handler = async |upgrade: Upgrade<MemoryTransport>| shout(upgrade.accept().await?).await;
/// # let server = TestServer::over(handler, ServerOptions::default(), MemoryTransport::new)?;
/// # let mut client = server.connect("/").await?;
/// client.send_text("hello").await?;
/// client.expect_text("HELLO").await;
/// client.send_bytes([0xff]).await?;
/// assert_eq!(client.expect_close(1003).await, "text only");
/// # Ok(())
/// # }
/// # let mut run = std::pin::pin!(run());
/// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
/// # for _ in 0..100_000 {
/// #     if let std::task::Poll::Ready(done) = run.as_mut().poll(&mut cx) { return done.unwrap(); }
/// # }
/// # panic!("it does not end");
/// ```
pub struct WebSocket<T: Transport> {
    pub(super) shared: Arc<Shared<T>>,
    pub(super) opened: Option<Arc<Opened>>,
}

impl<T: Transport> WebSocket<T> {
    pub(crate) fn new(engine: Engine<T>, opened: Option<Arc<Opened>>) -> Self {
        Self {
            shared: Arc::new(Shared::new(engine)),
            opened,
        }
    }

    /// Creates a server's end after the handshake; `driven` when a task polls it beside the handler.
    pub(crate) fn server(
        transport: T,
        unread: Unread,
        config: Arc<Config>,
        agreement: Agreement,
        policy: Option<&ConnectionPolicy>,
        driven: bool,
    ) -> Self {
        let connection = Connection::server(config, &agreement, transport.now());
        let opened = agreement.subprotocol.is_some().then(|| {
            Arc::new(Opened {
                agreement,
                fields: Headers::default(),
            })
        });
        let mut engine = Engine::new(transport, connection, unread);
        if driven {
            engine.set_driven();
        }
        if let Some(policy) = policy {
            engine.obey(policy);
        }
        Self::new(engine, opened)
    }

    /// Returns a second handle of the connection.
    pub(crate) fn again(&self) -> Self {
        Self {
            shared: self.shared(),
            opened: self.opened.clone(),
        }
    }

    /// Returns whether messages can still be sent: the closing handshake has not started, and output works.
    pub(crate) fn is_open(&self) -> bool {
        self.shared.engine().accepts()
    }

    /// Starts to close with the code for its handler's error.
    pub(crate) fn close_for(&self, error: &HandlerError) {
        let verdict = Verdict::of(error, &*self.shared);
        let code = Some(verdict.code);
        self.shared.engine().start_close(code, &verdict.reason);
    }

    pub(crate) fn shared(&self) -> Arc<Shared<T>> {
        Arc::clone(&self.shared)
    }

    /// Lends the transport to `look`. The connection is locked meanwhile: `look` must not use it.
    pub fn with_transport<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(self.shared.engine().transport())
    }

    /// Returns the transport, and the bytes that were read from it but not processed. Unsent output is lost: [`flush`](Self::flush)
    /// before. So are messages that were read ahead while sending: receive them first.
    ///
    /// ```
    /// use sansws_async::{Error, Transport, WebSocket};
    ///
    /// /// Agrees on another protocol, which goes on: a closing handshake would end TCP.
    /// async fn leave<T: Transport>(mut socket: WebSocket<T>) -> Result<Option<(T, Vec<u8>)>, Error> {
    ///     socket.send_text("lines, please").await?;
    ///     let _agreed = socket.receive_text().await?;
    ///     Ok(socket.into_inner().ok())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns the connection when a task of a server drives it.
    pub fn into_inner(self) -> Result<(T, Vec<u8>), Self> {
        let Self { shared, opened } = self;
        match Arc::try_unwrap(shared) {
            Ok(alone) => Ok(alone.into_engine().into_transport()),
            Err(shared) => Err(Self { shared, opened }),
        }
    }

    pub(crate) fn cell(&self) -> &Shared<T> {
        &self.shared
    }

    /// Splits into halves that different tasks may use.
    pub fn split(self) -> (ReadHalf<T>, WriteHalf<T>) {
        (
            ReadHalf {
                shared: Arc::clone(&self.shared),
                opened: self.opened.clone(),
            },
            WriteHalf {
                shared: self.shared,
                opened: self.opened,
            },
        )
    }
}

/// The methods of both the handle and a half, written once.
macro_rules! reading {
    ($name:ident) => {
        impl<T: Transport> $name<T> {
            /// Receives the next message; `None` when the peer closed normally (1000, 1001 or no code).
            ///
            /// # Errors
            /// [`Error::Disconnect`] when it closed with another code or vanished, [`Error::Violation`] when it broke the
            /// protocol or exceeded a limit. After the end, each call returns this again.
            pub fn receive(&mut self) -> impl Future<Output = Result<Option<Message>, Error>> {
                poll_fn(|cx| self.shared.engine().poll_receive(cx, WakerRole::Reader))
            }

            /// Receives the next message into the memory of an earlier one, which is replaced; returns `false` when the peer closed normally.
            ///
            /// For handlers that only look at their messages: nothing is allocated for a message that is no longer than one before.
            ///
            /// ```
            /// use sansws_async::{Message, Result, Transport, WebSocket};
            ///
            /// async fn count<T: Transport>(mut socket: WebSocket<T>) -> Result {
            ///     let (mut message, mut bytes) = (Message::from(""), 0);
            ///     while socket.receive_into(&mut message).await? {
            ///         bytes += message.len();
            ///     }
            ///     println!("{bytes} bytes");
            ///     Ok(())
            /// }
            /// ```
            ///
            /// # Errors
            /// As for [`receive`](Self::receive); the message is unchanged then.
            pub fn receive_into(
                &mut self,
                message: &mut Message,
            ) -> impl Future<Output = Result<bool, Error>> {
                poll_fn(|cx| {
                    let mut engine = self.shared.engine();
                    let polled = engine.poll_receive_into(cx, WakerRole::Reader, message);
                    polled.map_ok(|received| received.map(|received| *message = received).is_some())
                })
            }

            /// Receives a text message; a binary one is [`Error::WrongKind`].
            pub async fn receive_text(&mut self) -> Result<Option<String>, Error> {
                let message = self.receive().await?;
                message
                    .map(|message| self.shared.parse(message))
                    .transpose()
            }

            /// Receives a binary message; a text one is [`Error::WrongKind`].
            pub async fn receive_bytes(&mut self) -> Result<Option<Vec<u8>>, Error> {
                let message = self.receive().await?;
                message
                    .map(|message| self.shared.parse(message))
                    .transpose()
            }

            /// Receives a message of either kind as JSON; invalid data is [`Error::Json`].
            #[cfg(feature = "json")]
            pub async fn receive_json<V: serde::de::DeserializeOwned>(
                &mut self,
            ) -> Result<Option<V>, Error> {
                let message = self.receive().await?;
                let json = message.map(|message| self.shared.parse(message));
                Ok(json.transpose()?.map(|Json(value)| value))
            }

            /// Converts a message that was received here: `socket.parse::<Json<Request>>(text)?`. A handler that returns its
            /// error closes with 1003 or 1007, as for [`receive_text`](Self::receive_text) and similar methods; the error of
            /// your own parser would count as a failure of the application.
            pub fn parse<M: FromMessage>(&self, message: impl Into<Message>) -> Result<M, Error> {
                self.shared.parse(message.into())
            }

            /// Receives the next message in chunks, as they arrive; `None` as for [`receive`](Self::receive).
            ///
            /// The limit on a message's length does not apply, because nothing is buffered. If the reader is dropped before the
            /// end, the rest of its message is skipped.
            pub async fn receive_stream(&mut self) -> Result<Option<MessageReader<'_, T>>, Error> {
                MessageReader::begin(&self.shared).await
            }

            /// Receives the next message or control frame; `None` as for [`receive`](Self::receive).
            ///
            /// Control frames are included with [`Config::control_frames`](sansws_core::config::Config::control_frames), or with
            /// [`auto_pong`](sansws_core::config::Config::auto_pong) off. Those that arrive during another call, or while a handler
            /// is busy, are kept in their place between messages: the newest 32.
            ///
            /// ```
            /// use sansws_async::{Result, SocketEvent, Transport, WebSocket};
            ///
            /// // With `auto_pong` off: a pong is a sign of life of the application, not of the library.
            /// async fn echo<T: Transport>(mut socket: WebSocket<T>) -> Result {
            ///     while let Some(event) = socket.receive_event().await? {
            ///         match event {
            ///             SocketEvent::Message(message) => socket.send(message).await?,
            ///             SocketEvent::Ping(bytes) => socket.pong(bytes).await?,
            ///             SocketEvent::Pong(_) => println!("round trip: {:?}", socket.round_trip()),
            ///         }
            ///     }
            ///     Ok(())
            /// }
            /// ```
            pub fn receive_event(
                &mut self,
            ) -> impl Future<Output = Result<Option<SocketEvent>, Error>> {
                poll_fn(|cx| self.shared.engine().poll_event(cx, WakerRole::Reader))
            }
        }

        impl<T: Transport> Stream for $name<T> {
            type Item = Result<Message, Error>;

            /// Returns a stream of messages until the end; if the end is not normal, it is the last item.
            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                let mut engine = self.shared.engine();
                if engine.is_stream_over() {
                    return Poll::Ready(None);
                }
                let got = ready!(engine.poll_receive(cx, WakerRole::Reader));
                if !matches!(got, Ok(Some(_))) {
                    engine.end_stream();
                }
                Poll::Ready(got.transpose())
            }
        }

        impl<T: Transport> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

macro_rules! writing {
    ($name:ident) => {
        impl<T: Transport> $name<T> {
            /// Sends a message. The future completes when the message is accepted, which waits only while
            /// [`Limits::write_queue`](sansws_core::config::Limits::write_queue) bytes are unsent. On a server's task it is
            /// written automatically; elsewhere, data that the socket does not take at once is written by the next call:
            /// receive, or [`flush`](Self::flush).
            ///
            /// It goes directly to the connection: messages published to a group of this connection stay in the hub until the
            /// handler waits, and arrive later. [`send_in_order`](Self::send_in_order) keeps the order.
            ///
            /// Sending also reads: pings are answered, and about
            /// [`Limits::read_ahead`](sansws_core::config::Limits::read_ahead) bytes of messages are kept for `receive`.
            ///
            /// # Errors
            /// [`SendError::Closing`] once we have started to close. Once the peer has closed or vanished: [`Error::Disconnect`]
            /// with its code, including 1000, or [`Error::Violation`]; its earlier messages can still be received. Answers to
            /// these are accepted until the last of them was received, and are lost.
            pub fn send(
                &mut self,
                message: impl Into<Message>,
            ) -> impl Future<Output = Result<(), Error>> {
                let message = message.into();
                self.shared.submit(|engine| engine.send_owned(message))
            }

            /// Sends a text message.
            pub fn send_text(
                &mut self,
                text: impl Into<String>,
            ) -> impl Future<Output = Result<(), Error>> {
                self.send(Message::Text(text.into()))
            }

            /// Sends a binary message.
            pub fn send_bytes(
                &mut self,
                bytes: impl Into<Vec<u8>>,
            ) -> impl Future<Output = Result<(), Error>> {
                self.send(Message::Binary(bytes.into()))
            }

            /// Sends a value as JSON, in a text message.
            #[cfg(feature = "json")]
            pub async fn send_json<V: serde::Serialize + ?Sized>(
                &mut self,
                value: &V,
            ) -> Result<(), Error> {
                let text = serde_json::to_string(value)?;
                self.send_text(text).await
            }

            /// Sends a value as JSON, in a binary message.
            #[cfg(feature = "json")]
            pub async fn send_json_bytes<V: serde::Serialize + ?Sized>(
                &mut self,
                value: &V,
            ) -> Result<(), Error> {
                let bytes = serde_json::to_vec(value)?;
                self.send_bytes(bytes).await
            }

            /// Sends a borrowed message, which is copied once, into the output: for those who reuse their buffer.
            pub fn send_payload<'m>(
                &mut self,
                payload: impl Into<Payload<'m>>,
            ) -> impl Future<Output = Result<(), Error>> {
                let payload = payload.into();
                self.shared.submit(move |engine| {
                    engine.send_message(|connection| connection.send_payload(payload))
                })
            }

            /// Sends a prepared message, without a copy on a server.
            pub fn send_prepared(
                &mut self,
                prepared: &PreparedMessage,
            ) -> impl Future<Output = Result<(), Error>> {
                self.shared.submit(|engine| {
                    engine.send_message(|connection| connection.send_prepared(prepared))
                })
            }

            /// Starts a message that is sent in chunks. Until it is finished, other messages are [`SendError::UnfinishedMessage`].
            pub fn send_stream(&mut self, kind: MessageKind) -> MessageWriter<'_, T> {
                MessageWriter::new(&self.shared, kind)
            }

            /// Sends a ping of at most 125 bytes. Keepalive needs none: see
            /// [`Timeouts::ping`](sansws_core::config::Timeouts::ping).
            pub async fn ping(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
                let bytes = bytes.as_ref();
                self.shared
                    .submit(|engine| engine.send(|connection| connection.ping(bytes)))
                    .await
            }

            /// Sends a pong of at most 125 bytes: the answer to a ping with
            /// [`auto_pong`](sansws_core::config::Config::auto_pong) off, with the payload of that ping, or an unsolicited sign of
            /// life (RFC 6455 section 5.5.3).
            pub async fn pong(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
                let bytes = bytes.as_ref();
                self.shared
                    .submit(|engine| engine.send(|connection| connection.pong(bytes)))
                    .await
            }

            /// Waits until all sent data is in the hands of the operating system. It also reads, as `send` does.
            ///
            /// # Errors
            /// [`Error::Disconnect`] when the connection ended before.
            pub async fn flush(&mut self) -> Result<(), Error> {
                poll_fn(|cx| self.shared.engine().poll_flushed(cx, WakerRole::Writer)).await
            }

            /// Closes: sends a Close frame, waits for the peer's and for the end of TCP, each at most
            /// [`Timeouts::close`](sansws_core::config::Timeouts::close). Returns how it ended. Messages that still arrive are
            /// dropped.
            ///
            /// # Errors
            /// [`InvalidInput::ReservedCode`](sansws_core::error::InvalidInput::ReservedCode) when `code` may not be sent.
            pub async fn close(
                &mut self,
                code: u16,
                reason: &str,
            ) -> Result<Option<Closed>, Error> {
                let code = CloseCode::try_from(code)?;
                self.start_close(Some(code), reason);
                poll_fn(|cx| self.shared.engine().poll_close(cx, WakerRole::Writer)).await;
                Ok(self.shared.engine().closed().cloned())
            }

            /// Starts to close and returns at once: receive until the end, or call [`close`](Self::close) to wait for it. As much as the
            /// transport takes is written at once; [`Timeouts::close`](sansws_core::config::Timeouts::close) runs from this call on.
            pub fn start_close(&mut self, code: Option<CloseCode>, reason: &str) {
                self.shared.engine().start_close(code, reason);
            }
        }

        impl<T: Transport> Sink<Message> for $name<T> {
            type Error = Error;

            fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
                let mut engine = self.shared.engine();
                let ready = engine.poll_ready_to_answer(cx, WakerRole::Writer);
                // Sinks around it, such as a buffer, ask while they close it: `start_send` refuses.
                ready.map(|ready| match ready {
                    Err(error) if is_closing(&error) => Ok(()),
                    ready => ready,
                })
            }

            fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
                self.shared
                    .engine()
                    .send_message(|connection| connection.send(message))
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
                self.shared.engine().poll_flushed(cx, WakerRole::Writer)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
                let mut engine = self.shared.engine();
                engine.start_close(Some(CloseCode::NORMAL), "");
                engine.poll_close(cx, WakerRole::Writer).map(Ok)
            }
        }
    };
}

reading!(WebSocket);
writing!(WebSocket);

/// The receiving half of a connection.
///
/// For an example see [`WriteHalf`].
pub struct ReadHalf<T: Transport> {
    pub(super) shared: Arc<Shared<T>>,
    pub(super) opened: Option<Arc<Opened>>,
}

/// The half of a connection that sends and closes.
///
/// ```
/// use sansws_async::{ReadHalf, Result, Transport, WebSocket, WriteHalf};
///
/// // One task receives while another one sends.
/// async fn receive<T: Transport>(mut from: ReadHalf<T>) -> Result {
///     while let Some(text) = from.receive_text().await? {
///         println!("{text}");
///     }
///     Ok(())
/// }
///
/// async fn send<T: Transport>(mut to: WriteHalf<T>) -> Result {
///     for number in 1..=3 {
///         to.send_text(format!("line {number}")).await?;
///     }
///     to.close(1000, "").await?;
///     Ok(())
/// }
///
/// fn start<T: Transport + Send + 'static>(socket: WebSocket<T>, spawn: impl Fn(Task)) {
///     let (read, write) = socket.split();
///     spawn(Box::pin(receive(read)));
///     spawn(Box::pin(send(write)));
/// }
/// # type Task = std::pin::Pin<Box<dyn Future<Output = Result> + Send>>;
/// ```
pub struct WriteHalf<T: Transport> {
    pub(super) shared: Arc<Shared<T>>,
    pub(super) opened: Option<Arc<Opened>>,
}

reading!(ReadHalf);
writing!(WriteHalf);

impl<T: Transport> WriteHalf<T> {
    pub(crate) fn cell(&self) -> &Shared<T> {
        &self.shared
    }
}

impl<T: Transport> ReadHalf<T> {
    /// Joins the halves of one connection.
    ///
    /// # Errors
    /// Returns the halves when they belong to different connections.
    pub fn reunite(self, other: WriteHalf<T>) -> Result<WebSocket<T>, (Self, WriteHalf<T>)> {
        if Arc::ptr_eq(&self.shared, &other.shared) {
            Ok(WebSocket {
                shared: self.shared,
                opened: other.opened,
            })
        } else {
            Err((self, other))
        }
    }
}

impl<T: Transport> fmt::Debug for WriteHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}

/// Sending after we started to close is a misuse.
pub(crate) const fn is_closing(error: &Error) -> bool {
    matches!(error, Error::NotSent(SendError::Closing))
}
