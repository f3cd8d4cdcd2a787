//! The handle of an open connection, and its halves.
//! RFC 6455 sections 6 and 7.
//! Knows no bytes: each method is a step of the engine, repeated until it is done.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

#[cfg(feature = "json")]
use sansws_common::Json;
use sansws_common::error::{Error, Result};
use sansws_common::socket::read_ahead::Item;
use sansws_common::socket::taking::Taking;
use sansws_common::{FromMessage, SocketEvent};
use sansws_core::close::{CloseCode, Closed};
use sansws_core::connection::Connection;
use sansws_core::frame::MessageKind;
use sansws_core::handshake::Opened;
use sansws_core::message::{Message, Payload, PreparedMessage};

use super::engine::Engine;
use super::shared::{Shared, Until};
use super::streaming::{MessageReader, MessageWriter};
use crate::clock::now;
use crate::stream::{ByteStream, Stream};

/// An open WebSocket connection.
///
/// A call that waits also answers pings, sends keepalive pings and keeps deadlines. **Between calls nothing happens**: a peer whose ping
/// is not answered in time may give up. Call [`receive`](Self::receive) often enough, from a thread of its own
/// ([`split`](WebSocket::split)), or let a thread do it ([`keep_alive`](WebSocket::keep_alive)).
///
/// Over a [`Stream`] of this crate, a call waits with deadlines. Any other `Read + Write` is read and written as it is: if it blocks, calls
/// block and deadlines are checked when it returns; if it does not, calls fail with [`Error::Io`] of the kind
/// [`WouldBlock`](io::ErrorKind::WouldBlock), have lost nothing, and can be repeated.
///
/// Dropping it without [`close`](Self::close) ends TCP, and the peer sees 1006; in a server's handler, returning closes properly.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use std::thread;
/// use sansws_std::{ConnectOptions, Result, Stream, accept, connect_over};
///
/// # fn main() -> Result {
/// let (ours, theirs) = UnixStream::pair()?;
/// let server = thread::spawn(move || -> Result {
///     let mut socket = accept(Stream::unix(theirs)?, Default::default())?.accept()?;
///     while let Some(text) = socket.receive_text()? {
///         socket.send_text(text.to_uppercase())?;
///     }
///     Ok(())
/// });
/// let url = "ws://localhost/shout";
/// let mut socket = connect_over(Stream::unix(ours)?, url, ConnectOptions::default())?;
/// socket.send_text("hello")?;
/// assert_eq!(socket.receive_text()?.as_deref(), Some("HELLO"));
/// socket.close(1000, "")?;
/// server.join().expect("the server does not panic")?;
/// # Ok(())
/// # }
/// ```
pub struct WebSocket<S: ByteStream = Stream> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) opened: Option<Arc<Opened>>,
}

impl<S: ByteStream> WebSocket<S> {
    pub(crate) fn new(engine: Engine<S>, opened: Option<Arc<Opened>>) -> Self {
        Self {
            shared: Shared::new(engine),
            opened,
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared<S>> {
        &self.shared
    }

    /// Lends the stream. The connection is locked meanwhile.
    pub fn get_ref(&self) -> impl Deref<Target = S> + '_ {
        StreamRef(self.shared.engine())
    }

    /// Lends the stream, for example to change its settings. The connection is locked meanwhile. Reading or writing it would tear
    /// frames.
    pub fn get_mut(&mut self) -> impl DerefMut<Target = S> + '_ {
        StreamRef(self.shared.engine())
    }

    /// Returns the stream, and the bytes that were read from it but not processed. Unsent output is lost: [`flush`](Self::flush) before.
    /// So are messages that were read ahead while sending: take them by [`try_receive`](Self::try_receive). A thread of
    /// [`keep_alive`](WebSocket::keep_alive) ends, which takes up to a second.
    ///
    /// # Errors
    /// Returns the connection when a server drives it.
    pub fn into_inner(self) -> Result<(S, Vec<u8>), Self> {
        let Self { mut shared, opened } = self;
        loop {
            match Arc::try_unwrap(shared) {
                Ok(alone) => return Ok(alone.into_engine().into_stream()),
                Err(other) => shared = other,
            }
            // A keeper holds it for moments.
            let is_kept_for_moments = {
                let engine = shared.engine();
                engine.kept.is_some() && engine.served.is_none()
            };
            if !is_kept_for_moments {
                return Err(Self { shared, opened });
            }
            std::thread::yield_now();
        }
    }
}

impl WebSocket<Stream> {
    /// Splits into halves that different threads may use: while one waits for a message, the other sends.
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        self.shared.engine().flags.shared = true;
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

/// The stream of a locked connection.
struct StreamRef<'a, S>(MutexGuard<'a, Engine<S>>);

impl<S> Deref for StreamRef<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.stream
    }
}

impl<S> DerefMut for StreamRef<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0.stream
    }
}

/// The methods of both the handle and a half, written once.
macro_rules! reading {
    ($name:ident) => {
        impl<S: ByteStream> $name<S> {
            /// Waits for the next message; `None` when the peer closed normally (1000, 1001 or no code).
            ///
            /// # Errors
            /// [`Error::Disconnect`] when it closed with another code or vanished, [`Error::Violation`] when it broke the
            /// protocol or exceeded a limit. After the end, each call returns this again. [`Error::Io`] of the kind
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) when a stream that is not ours has nothing now.
            pub fn receive(&mut self) -> Result<Option<Message>, Error> {
                self.receive_until(Until::Forever)
            }

            /// Waits for the next message, at most for `timeout`. A stream that is not ours is read once, and may block.
            ///
            /// # Errors
            /// As for [`receive`](Self::receive); [`Error::Io`] of the kind [`TimedOut`](io::ErrorKind::TimedOut) when no message was
            /// complete in time. A part of one is kept.
            pub fn receive_timeout(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
                self.receive_until(Until::At(now() + timeout))
            }

            /// Returns the next message if it has arrived already. A stream that is not ours is read once, and may block.
            ///
            /// # Errors
            /// As for [`receive`](Self::receive); [`Error::Io`] of the kind [`WouldBlock`](io::ErrorKind::WouldBlock) when there is
            /// none now.
            pub fn try_receive(&mut self) -> Result<Option<Message>, Error> {
                self.receive_until(Until::Now)
            }

            pub(crate) fn receive_until(&self, until: Until) -> Result<Option<Message>, Error> {
                loop {
                    match self.shared.receive(until, false)? {
                        // The rest of a message whose reader was dropped.
                        Some(Item { piece: Some(_), .. }) => {}
                        received => return Ok(received.map(|item| item.message)),
                    }
                }
            }

            /// Waits for the next message and receives it into the memory of an earlier one, which is replaced; returns `false` when the
            /// peer closed normally.
            ///
            /// For threads that only look at their messages: nothing is allocated for a message that is no longer than one before.
            ///
            /// # Errors
            /// As for [`receive`](Self::receive); the message is unchanged then.
            pub fn receive_into(&mut self, message: &mut Message) -> Result<bool, Error> {
                loop {
                    let taking = &mut Taking::Into(message);
                    match self.shared.receive_as(Until::Forever, false, taking)? {
                        // The rest of a message whose reader was dropped.
                        Some(Item { piece: Some(_), .. }) => {}
                        Some(item) => {
                            *message = item.message;
                            return Ok(true);
                        }
                        None => return Ok(false),
                    }
                }
            }

            /// Receives a text message; a binary one is [`Error::WrongKind`].
            pub fn receive_text(&mut self) -> Result<Option<String>, Error> {
                let message = self.receive()?;
                message
                    .map(|message| self.shared.parse(message))
                    .transpose()
            }

            /// Receives a binary message; a text one is [`Error::WrongKind`].
            pub fn receive_bytes(&mut self) -> Result<Option<Vec<u8>>, Error> {
                let message = self.receive()?;
                message
                    .map(|message| self.shared.parse(message))
                    .transpose()
            }

            /// Receives a message of either kind as JSON; invalid data is [`Error::Json`].
            #[cfg(feature = "json")]
            pub fn receive_json<V: serde::de::DeserializeOwned>(
                &mut self,
            ) -> Result<Option<V>, Error> {
                let message = self.receive()?;
                let json = message.map(|message| self.shared.parse(message));
                Ok(json.transpose()?.map(|Json(value)| value))
            }

            /// Converts a message that was received here: `socket.parse::<Json<Request>>(text)?`. A handler that returns its error
            /// closes with 1003 or 1007, as for [`receive_text`](Self::receive_text) and similar methods; the error of your own
            /// parser would count as a failure of the application.
            pub fn parse<M: FromMessage>(&self, message: impl Into<Message>) -> Result<M, Error> {
                self.shared.parse(message.into())
            }

            /// Receives the next message in chunks, as they arrive; `None` as for [`receive`](Self::receive).
            ///
            /// The limit on a message's length does not apply, because nothing is buffered. If the reader is dropped before the end,
            /// the rest of its message is skipped.
            pub fn receive_stream(&mut self) -> Result<Option<MessageReader<'_, S>>, Error> {
                MessageReader::begin(&self.shared)
            }

            /// Receives the next message or control frame; `None` as for [`receive`](Self::receive).
            ///
            /// Control frames are included with [`Config::control_frames`](sansws_core::config::Config::control_frames), or with
            /// [`auto_pong`](sansws_core::config::Config::auto_pong) off. Those that arrive during another call are kept in their place
            /// between messages: the newest 32.
            pub fn receive_event(&mut self) -> Result<Option<SocketEvent>, Error> {
                Ok(match self.shared.receive_event(Until::Forever)? {
                    Some(Ok(message)) => Some(message.into()),
                    Some(Err(control)) => Some(control.into()),
                    None => None,
                })
            }
        }

        /// Iterates over the messages until the end; if the end is not normal, it is the last item.
        impl<S: ByteStream> Iterator for $name<S> {
            type Item = Result<Message, Error>;

            fn next(&mut self) -> Option<Self::Item> {
                if self.shared.engine().flags.over {
                    return None;
                }
                let received = self.receive();
                let goes_on = match &received {
                    Ok(message) => message.is_some(),
                    Err(Error::Io(error)) => error.kind() == io::ErrorKind::WouldBlock,
                    Err(_) => false,
                };
                self.shared.engine().flags.over = !goes_on;
                received.transpose()
            }
        }

        impl<S: ByteStream> fmt::Debug for $name<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

macro_rules! writing {
    ($name:ident) => {
        impl<S: ByteStream> $name<S> {
            /// Sends a message: returns once the operating system has it. While the peer does not read, it waits, answers pings, and
            /// keeps about [`Limits::read_ahead`](sansws_core::config::Limits::read_ahead) bytes of messages for `receive`.
            ///
            /// # Errors
            /// [`SendError::Closing`](sansws_core::error::SendError::Closing) once we have started to close. Once the peer has closed
            /// or vanished: [`Error::Disconnect`] with its code, including 1000, or [`Error::Violation`]; its earlier messages can
            /// still be received. Answers to these are accepted until the last of them was received, and are lost.
            ///
            /// Over a stream that is not ours, [`Error::Io`] of the kind [`WouldBlock`](io::ErrorKind::WouldBlock) means that the
            /// message was accepted, and [`flush`](Self::flush) sends its rest, unless
            /// [`is_queue_full`](Self::is_queue_full): then it was not.
            pub fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
                let message = message.into();
                let send = |connection: &mut Connection| connection.send(message);
                self.shared.submit(true, true, send)
            }

            /// Queues a message, which the next call sends: [`flush`](Self::flush), [`send`](Self::send), or receiving. Several
            /// messages thus leave in one write.
            ///
            /// # Errors
            /// As for [`send`](Self::send).
            pub fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
                let message = message.into();
                let send = |connection: &mut Connection| connection.send(message);
                self.shared.submit(true, false, send)
            }

            /// Returns whether so much is unsent that no message is accepted now:
            /// [`Limits::write_queue`](sansws_core::config::Limits::write_queue).
            pub fn is_queue_full(&self) -> bool {
                !self.shared.engine().connection.has_room()
            }

            /// Sends a text message.
            pub fn send_text(&mut self, text: impl Into<String>) -> Result<(), Error> {
                self.send(Message::Text(text.into()))
            }

            /// Sends a binary message.
            pub fn send_bytes(&mut self, bytes: impl Into<Vec<u8>>) -> Result<(), Error> {
                self.send(Message::Binary(bytes.into()))
            }

            /// Sends a value as JSON, in a text message.
            #[cfg(feature = "json")]
            pub fn send_json<V: serde::Serialize + ?Sized>(
                &mut self,
                value: &V,
            ) -> Result<(), Error> {
                self.send_text(serde_json::to_string(value)?)
            }

            /// Sends a value as JSON, in a binary message.
            #[cfg(feature = "json")]
            pub fn send_json_bytes<V: serde::Serialize + ?Sized>(
                &mut self,
                value: &V,
            ) -> Result<(), Error> {
                self.send_bytes(serde_json::to_vec(value)?)
            }

            /// Sends a borrowed message, which is copied once, into the output: for those who reuse their buffer.
            pub fn send_payload<'m>(
                &mut self,
                payload: impl Into<Payload<'m>>,
            ) -> Result<(), Error> {
                let payload = payload.into();
                let send = |connection: &mut Connection| connection.send_payload(payload);
                self.shared.submit(true, true, send)
            }

            /// Sends a prepared message, without a copy on a server.
            pub fn send_prepared(&mut self, prepared: &PreparedMessage) -> Result<(), Error> {
                let send = |connection: &mut Connection| connection.send_prepared(prepared);
                self.shared.submit(true, true, send)
            }

            /// Starts a message that is sent in chunks. Until it is finished, other messages are
            /// [`SendError::UnfinishedMessage`](sansws_core::error::SendError::UnfinishedMessage).
            pub fn send_stream(&mut self, kind: MessageKind) -> MessageWriter<'_, S> {
                MessageWriter::new(&self.shared, kind)
            }

            /// Sends a ping of at most 125 bytes. Keepalive needs none: see
            /// [`Timeouts::ping`](sansws_core::config::Timeouts::ping).
            pub fn ping(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
                let bytes = bytes.as_ref();
                let send = |connection: &mut Connection| connection.ping(bytes);
                self.shared.submit(false, true, send)
            }

            /// Sends a pong of at most 125 bytes: the answer to a ping with
            /// [`auto_pong`](sansws_core::config::Config::auto_pong) off, with the payload of that ping, or an unsolicited sign of life
            /// (RFC 6455 section 5.5.3).
            pub fn pong(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
                let bytes = bytes.as_ref();
                let send = |connection: &mut Connection| connection.pong(bytes);
                self.shared.submit(false, true, send)
            }

            /// Waits until all sent data is in the hands of the operating system.
            ///
            /// # Errors
            /// [`Error::Disconnect`] when the connection ended before; [`Error::Io`] of the kind
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) when a stream that is not ours takes no more now.
            pub fn flush(&mut self) -> Result<(), Error> {
                self.shared.flush()
            }

            /// Closes: sends a Close frame, waits for the peer's and for the end of TCP, each at most
            /// [`Timeouts::close`](sansws_core::config::Timeouts::close). Returns how it ended. Messages that still arrive are dropped.
            /// A stream that is not ours is not read to its end, because it could block: drop it.
            ///
            /// # Errors
            /// [`InvalidInput::ReservedCode`](sansws_core::error::InvalidInput::ReservedCode) when `code` may not be sent;
            /// [`Error::Io`] of the kind [`WouldBlock`](io::ErrorKind::WouldBlock) over a stream that is not ours: call it again.
            pub fn close(&mut self, code: u16, reason: &str) -> Result<Option<Closed>, Error> {
                let code = CloseCode::try_from(code)?;
                self.start_close(Some(code), reason);
                self.shared.finish_close()?;
                Ok(self.shared.engine().ending.closed().cloned())
            }

            /// Starts to close and returns at once: receive until the end, or call [`close`](Self::close) to wait for it.
            pub fn start_close(&mut self, code: Option<CloseCode>, reason: &str) {
                let mut engine = self.shared.engine();
                engine.start_close(code, reason);
                engine.flush();
            }
        }
    };
}

reading!(WebSocket);
writing!(WebSocket);

/// The receiving half of a connection.
///
/// For an example see [`WriteHalf`].
///
/// Protocols of bytes, such as MQTT, cut them into binary messages anywhere. A `Read` and a `Write` over the halves, for a thread each:
///
/// ```
/// use std::io::{self, Read, Write};
///
/// use sansws_std::{Message, ReadHalf, WriteHalf};
///
/// struct Input {
///     half: ReadHalf,
///     message: Message,
///     taken: usize,
/// }
///
/// impl Read for Input {
///     fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
///         while self.taken == self.message.as_bytes().len() && !into.is_empty() {
///             let next = self.half.receive_into(&mut self.message);
///             if !next.map_err(io::Error::other)? {
///                 return Ok(0); // the peer closed normally
///             }
///             self.taken = 0;
///         }
///         let mut rest = self.message.as_bytes().get(self.taken..).unwrap_or_default();
///         let count = rest.read(into)?;
///         self.taken += count;
///         Ok(count)
///     }
/// }
///
/// struct Output(WriteHalf);
///
/// impl Write for Output {
///     fn write(&mut self, from: &[u8]) -> io::Result<usize> {
///         self.0.send_payload(from).map_err(io::Error::other)?;
///         Ok(from.len())
///     }
///
///     fn flush(&mut self) -> io::Result<()> {
///         self.0.flush().map_err(io::Error::other)
///     }
/// }
/// #
/// # fn test() -> sansws_std::Result {
/// # use sansws_std::{ConnectOptions, Router, Server, Upgrade, connect};
/// # let server = Server::bind("127.0.0.1:0")?;
/// # let url = format!("ws://{}/", server.local_addr()?);
/// # let echo = |upgrade: Upgrade| {
/// #     let (half, write) = upgrade.accept()?.split();
/// #     let message = Message::Binary(Vec::new());
/// #     io::copy(&mut Input { half, message, taken: 0 }, &mut Output(write))?;
/// #     Ok(())
/// # };
/// # std::thread::spawn(move || server.serve(Router::new().route("/", echo)));
/// # let mut socket = connect(url.as_str(), ConnectOptions::default())?;
/// # socket.send_bytes(vec![1; 100])?;
/// # socket.send_bytes(Vec::new())?;
/// # socket.send_bytes(vec![2; 100_000])?;
/// # let mut got = Vec::new();
/// # while got.len() < 100_100 {
/// #     got.extend(socket.receive_bytes()?.unwrap());
/// # }
/// # assert!(got.iter().take(100).all(|byte| *byte == 1) && got.iter().skip(100).all(|byte| *byte == 2));
/// # socket.close(1000, "")?;
/// # Ok(())
/// # }
/// # test().unwrap();
/// ```
///
/// Each call of this `write` sends a message: a `BufWriter` around it makes fewer of them.
pub struct ReadHalf<S: ByteStream = Stream> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) opened: Option<Arc<Opened>>,
}

/// The half of a connection that sends and closes.
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
/// use std::thread;
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
/// let (mut read, mut write) = connect_to(echo, "ws://localhost/")?.split();
/// let receiver = thread::spawn(move || read.by_ref().take(2).count());
/// write.send_text("a thread that waits")?;
/// write.send_text("holds up no other")?;
/// assert_eq!(receiver.join().expect("it does not panic"), 2);
/// # Ok(())
/// # }
/// ```
pub struct WriteHalf<S: ByteStream = Stream> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) opened: Option<Arc<Opened>>,
}

reading!(ReadHalf);
writing!(WriteHalf);

impl ReadHalf {
    /// Joins the halves of one connection.
    ///
    /// # Errors
    /// Returns the halves when they belong to different connections.
    pub fn reunite(self, other: WriteHalf) -> Result<WebSocket, (Self, WriteHalf)> {
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

impl<S: ByteStream> fmt::Debug for WriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}
