//! The handle of an open connection, and its halves.
//! RFC 6455 sections 6 and 7.
//! Knows no octet: each verb is a poll of the engine.

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
use crate::socket::engine::Counters;
use crate::socket::engine::Engine;
#[cfg(feature = "json")]
use crate::socket::from_message::Json;
use crate::socket::from_message::{FromMessage, SocketEvent};
use crate::socket::policy::ConnectionPolicy;
use crate::socket::shared::Shared;
use crate::socket::streaming::{MessageReader, MessageWriter};
use crate::socket::wakers::Party;
use crate::transport::Transport;
use sansws_core::close::{CloseCode, Closed};
use sansws_core::config::Config;
use sansws_core::connection::{Connection, Role};
use sansws_core::error::Misuse;
use sansws_core::frame::MessageKind;
use sansws_core::handshake::{Agreement, Opened};
use sansws_core::http::Fields;
use sansws_core::message::{Message, PreparedMessage};
use sansws_core::time::Duration;

/// An open WebSocket connection.
///
/// Pings are answered, deadlines kept and frames written by whoever polls it: a server's task, or, over a stream of your own,
/// your calls. All futures are cancel-safe: what is dropped before it is done has not happened, or is done by a later call.
///
/// Dropping it without [`close`](Self::close) ends TCP, and the peer sees 1006; in a server's handler, returning closes properly.
pub struct WebSocket<T: Transport> {
    shared: Arc<Shared<T>>,
    opened: Option<Box<Opened>>,
}

impl<T: Transport> WebSocket<T> {
    pub(crate) fn new(engine: Engine<T>, opened: Option<Box<Opened>>) -> Self {
        Self {
            shared: Arc::new(Shared::new(engine)),
            opened,
        }
    }

    /// A server's end of a connection whose handshake is done; `driven` when a task polls it beside the handler.
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
            Box::new(Opened {
                agreement,
                fields: Fields::default(),
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

    /// A second handle of the same connection.
    pub(crate) fn again(&self) -> Self {
        Self {
            shared: self.shared(),
            opened: self.opened.clone(),
        }
    }

    /// Whether the closing handshake has not begun, and what is sent has a way out.
    pub(crate) fn is_open(&self) -> bool {
        self.shared.engine().accepts()
    }

    /// Begins to close with what the error of its handler comes to.
    pub(crate) fn close_for(&self, error: &HandlerError) {
        let verdict = Verdict::of(error, &self.shared);
        let code = Some(verdict.code);
        self.shared.engine().start_close(code, &verdict.reason);
    }

    pub(crate) fn shared(&self) -> Arc<Shared<T>> {
        Arc::clone(&self.shared)
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.opened
            .as_ref()
            .and_then(|opened| opened.agreement.subprotocol.as_deref())
    }

    /// On a client, the header fields of the server's answer.
    pub fn response_fields(&self) -> Option<&Fields> {
        self.opened
            .as_ref()
            .map(|opened| &opened.fields)
            .filter(|fields| !fields.is_empty())
    }

    /// Whether permessage-deflate was agreed on.
    pub fn is_deflated(&self) -> bool {
        self.shared.engine().connection().deflate().is_some()
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.shared.engine().connection().role()
    }

    /// Lends the transport, to look at it. The connection is locked meanwhile: `look` must not use it.
    pub fn with_transport<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(self.shared.engine().transport())
    }

    pub(crate) fn cell(&self) -> &Shared<T> {
        &self.shared
    }

    /// Splits into halves that different tasks may use.
    pub fn split(self) -> (ReadHalf<T>, WriteHalf<T>) {
        (
            ReadHalf {
                shared: Arc::clone(&self.shared),
            },
            WriteHalf {
                shared: self.shared,
                opened: self.opened,
            },
        )
    }
}

/// The verbs of both the handle and a half, written once.
macro_rules! reading {
    ($name:ident) => {
        impl<T: Transport> $name<T> {
            /// Receives the next message; `None` when the peer closed normally (1000, 1001 or no code).
            ///
            /// # Errors
            /// [`Error::Disconnect`] when it closed with another code or vanished, [`Error::Violation`] when it broke the
            /// protocol or a limit. Once it ended, each further call says so again.
            pub async fn receive(&mut self) -> Result<Option<Message>, Error> {
                poll_fn(|cx| self.shared.engine().poll_receive(cx, Party::Reader)).await
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

            /// Receives a message of either kind as JSON; what does not fit is [`Error::Json`].
            #[cfg(feature = "json")]
            pub async fn receive_json<V: serde::de::DeserializeOwned>(
                &mut self,
            ) -> Result<Option<V>, Error> {
                let message = self.receive().await?;
                let json = message.map(|message| self.shared.parse(message));
                Ok(json.transpose()?.map(|Json(value)| value))
            }

            /// A message that was received here as a value: `socket.parse::<Json<Request>>(text)?`. A handler that fails with the
            /// error closes with 1003 or 1007, as for what [`receive_text`](Self::receive_text) and the like fail with; with that of
            /// a parser of its own it would be a failure of the application.
            pub fn parse<M: FromMessage>(&self, message: impl Into<Message>) -> Result<M, Error> {
                self.shared.parse(message.into())
            }

            /// Receives the next message piece by piece, as it arrives; `None` as for [`receive`](Self::receive).
            ///
            /// The limit on a message's length does not apply: nothing is held. A reader that is dropped before the end leaves
            /// the rest of its message to be passed over.
            pub async fn receive_stream(&mut self) -> Result<Option<MessageReader<'_, T>>, Error> {
                MessageReader::begin(&self.shared).await
            }

            /// Receives the next message or control frame; `None` as for [`receive`](Self::receive).
            ///
            /// Control frames are there with [`Config::control_frames`](sansws_core::config::Config::control_frames) or
            /// [`AutoPong::Off`](sansws_core::config::AutoPong::Off). Those that come while something else is received, or while a handler is
            /// busy, are kept, in their place between the messages: 32 of them, of more the newest.
            ///
            /// ```
            /// use sansws_async::{Result, SocketEvent, Transport, WebSocket};
            ///
            /// // With `AutoPong::Off`: a pong is a sign of life of the application, not of the library.
            /// async fn echo<T: Transport>(mut socket: WebSocket<T>) -> Result {
            ///     while let Some(event) = socket.receive_event().await? {
            ///         match event {
            ///             SocketEvent::Message(message) => socket.send(message).await?,
            ///             SocketEvent::Ping(octets) => socket.pong(octets).await?,
            ///             SocketEvent::Pong(_) => println!("round trip: {:?}", socket.round_trip()),
            ///         }
            ///     }
            ///     Ok(())
            /// }
            /// ```
            pub async fn receive_event(&mut self) -> Result<Option<SocketEvent>, Error> {
                poll_fn(|cx| self.shared.engine().poll_event(cx, Party::Reader)).await
            }

            /// Time from the newest ping of keepalive to its pong; `None` before the first. See
            /// [`Connection::round_trip`](sansws_core::connection::Connection::round_trip).
            pub fn round_trip(&self) -> Option<Duration> {
                self.shared.engine().connection().round_trip()
            }

            /// What went over it so far.
            pub fn counters(&self) -> Counters {
                self.shared.engine().counters()
            }

            /// How it ended, once it has.
            pub fn closed(&self) -> Option<Closed> {
                self.shared.engine().closed().cloned()
            }
        }

        impl<T: Transport> Stream for $name<T> {
            type Item = Result<Message, Error>;

            /// Messages until the end; an end that is not normal is its last item.
            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                let mut engine = self.shared.engine();
                if engine.is_stream_over() {
                    return Poll::Ready(None);
                }
                let got = ready!(engine.poll_receive(cx, Party::Reader));
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
            /// Sends a message. It is done when the message is accepted, which waits only while
            /// [`Limits::write_queue`](sansws_core::config::Limits::write_queue) octets are unsent. On a server's task it leaves by itself;
            /// elsewhere what the socket does not take at once leaves with the next use: receive, or [`flush`](Self::flush).
            ///
            /// It goes straight to the connection: what was published to a group of this connection waits in the hub until the
            /// handler waits, and comes later. [`send_in_order`](Self::send_in_order) keeps the order.
            ///
            /// Sending looks at what has come in: pings are answered, and messages wait for `receive`, about
            /// [`Limits::read_ahead`](sansws_core::config::Limits::read_ahead) octets of them.
            ///
            /// # Errors
            /// [`Misuse::Closing`] once we have begun to close. Once the peer has closed or vanished, its end:
            /// [`Error::Disconnect`] with its code, 1000 too, or [`Error::Violation`]; what it sent before can still be received.
            /// An answer to such a message is accepted until the last of them was received, and lost.
            pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
                let message = message.into();
                self.shared
                    .submit(|engine| engine.send_message(|connection| connection.send(message)))
                    .await
            }

            /// Sends a text message.
            pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
                self.send(Message::Text(text.into())).await
            }

            /// Sends a binary message.
            pub async fn send_bytes(&mut self, octets: impl Into<Vec<u8>>) -> Result<(), Error> {
                self.send(Message::Binary(octets.into())).await
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
                let octets = serde_json::to_vec(value)?;
                self.send_bytes(octets).await
            }

            /// Sends a message that was framed beforehand, without a copy on a server.
            pub async fn send_prepared(&mut self, prepared: &PreparedMessage) -> Result<(), Error> {
                self.shared
                    .submit(|engine| {
                        engine.send_message(|connection| connection.send_prepared(prepared))
                    })
                    .await
            }

            /// Begins a message that is sent piece by piece. Until it is finished, other messages are [`Misuse::UnfinishedMessage`].
            pub fn send_stream(&mut self, kind: MessageKind) -> MessageWriter<'_, T> {
                MessageWriter::new(&self.shared, kind)
            }

            /// Sends a ping of at most 125 octets. Keepalive needs none: see [`Timeouts::ping`](sansws_core::config::Timeouts::ping).
            pub async fn ping(&mut self, octets: impl AsRef<[u8]>) -> Result<(), Error> {
                let octets = octets.as_ref();
                self.shared
                    .submit(|engine| engine.send(|connection| connection.ping(octets)))
                    .await
            }

            /// Sends a pong of at most 125 octets: the answer to a ping with [`AutoPong::Off`](sansws_core::config::AutoPong::Off), which has the
            /// octets of that ping, or a sign of life that nobody asked for (RFC 6455 section 5.5.3).
            pub async fn pong(&mut self, octets: impl AsRef<[u8]>) -> Result<(), Error> {
                let octets = octets.as_ref();
                self.shared
                    .submit(|engine| engine.send(|connection| connection.pong(octets)))
                    .await
            }

            /// Waits until all that was sent is in the hands of the operating system. It looks at what has come in, as `send` does.
            ///
            /// # Errors
            /// [`Error::Disconnect`] when the connection ended before.
            pub async fn flush(&mut self) -> Result<(), Error> {
                poll_fn(|cx| self.shared.engine().poll_flushed(cx, Party::Writer)).await
            }

            /// Closes: sends a Close frame, waits for the peer's and for the end of TCP, each at most
            /// [`Timeouts::close`](sansws_core::config::Timeouts::close). Says how it ended. Messages that still arrive are dropped.
            ///
            /// # Errors
            /// [`Misuse::ReservedCode`] when `code` may not be sent.
            pub async fn close(
                &mut self,
                code: u16,
                reason: &str,
            ) -> Result<Option<Closed>, Error> {
                let code = CloseCode::try_from(code)?;
                self.start_close(Some(code), reason);
                poll_fn(|cx| self.shared.engine().poll_close(cx, Party::Writer)).await;
                Ok(self.shared.engine().closed().cloned())
            }

            /// Begins to close and returns at once: receive until the end, or call [`close`](Self::close) to wait for it.
            pub fn start_close(&mut self, code: Option<CloseCode>, reason: &str) {
                self.shared.engine().start_close(code, reason);
            }
        }

        impl<T: Transport> Sink<Message> for $name<T> {
            type Error = Error;

            fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
                self.shared.engine().poll_ready_to_answer(cx, Party::Writer)
            }

            fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
                self.shared
                    .engine()
                    .send_message(|connection| connection.send(message))
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
                self.shared.engine().poll_flushed(cx, Party::Writer)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
                let mut engine = self.shared.engine();
                engine.start_close(Some(CloseCode::NORMAL), "");
                engine.poll_close(cx, Party::Writer).map(Ok)
            }
        }
    };
}

reading!(WebSocket);
writing!(WebSocket);

/// The half that receives.
pub struct ReadHalf<T: Transport> {
    shared: Arc<Shared<T>>,
}

/// The half that sends and closes.
pub struct WriteHalf<T: Transport> {
    shared: Arc<Shared<T>>,
    opened: Option<Box<Opened>>,
}

reading!(ReadHalf);
writing!(WriteHalf);

impl<T: Transport> WriteHalf<T> {
    pub(crate) fn cell(&self) -> &Shared<T> {
        &self.shared
    }
}

impl<T: Transport> ReadHalf<T> {
    /// Puts the halves of one connection together again.
    ///
    /// # Errors
    /// Gives the halves back when they are of different connections.
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

/// A send after we began to close is misuse.
pub(crate) const fn is_closing(error: &Error) -> bool {
    matches!(error, Error::Misuse(Misuse::Closing))
}
