//! Blocking WebSocket: clients and servers over `std::net`, and over any `Read + Write`. No async, and no async crate in the tree.
//!
//! The state machines are those of [`sansws_core`]; names and options are those of `sansws-tokio` and `sansws-smol`, without `async`.
//!
//! A client:
//!
//! ```no_run
//! use sansws_std::{ConnectOptions, Result, connect};
//!
//! fn main() -> Result {
//!     let mut socket = connect("ws://127.0.0.1:8080/chat", ConnectOptions::default())?;
//!     socket.send_text("Hello")?;
//!     println!("{:?}", socket.receive_text()?);
//!     socket.close(1000, "bye")?;
//!     Ok(())
//! }
//! ```
//!
//! A server, with a thread for each connection:
//!
//! ```no_run
//! use sansws_std::{Result, Router, Server, Upgrade};
//!
//! fn room(upgrade: Upgrade) -> Result {
//!     let room: String = upgrade.param("room")?;
//!     let mut socket = upgrade.accept()?; // before this line nothing can be sent
//!     while let Some(text) = socket.receive_text()? {
//!         socket.send_text(format!("{room}: {text}"))?;
//!     }
//!     Ok(()) // closes with 1000; `?` takes any error: one of the application is logged and closes with 1011
//! }
//!
//! fn main() -> Result {
//!     let router = Router::new().route("/rooms/{room}", room);
//!     Server::bind("127.0.0.1:8080")?.serve(router)?;
//!     Ok(())
//! }
//! ```
//!
//! Two threads, one connection:
//!
//! ```no_run
//! # use sansws_std::{ConnectOptions, Result, connect};
//! # fn run() -> Result {
//! let (mut read, mut write) = connect("wss://example.org/", ConnectOptions::default())?.split();
//! std::thread::spawn(move || {
//!     for message in &mut read {
//!         println!("{message:?}");
//!     }
//! });
//! write.send_text("a reader that waits does not hold this up")?;
//! # Ok(())
//! # }
//! ```
//!
//! # What happens when
//!
//! | | over a [`Stream`] of this crate | over another `Read + Write` |
//! | --- | --- | --- |
//! | while a call waits | pings are sent and answered, deadlines are kept | the stream blocks, or the call fails with `WouldBlock` and can be repeated |
//! | while `send` waits | input is read ahead, up to [`Limits::read_ahead`] | nothing |
//! | between calls | nothing, unless [`WebSocket::keep_alive`] started a thread | nothing |
//! | `receive_timeout`, `split`, `keep_alive` | yes | `receive_timeout` reads once; the others do not exist |
//!
//! A shutdown of the server reaches a handler in its next call, or in the one that waits. What another thread changes, such as a close
//! by the other half, a call that waits notices within a second if no byte of the peer tells.
//!
//! | module | contents |
//! | --- | --- |
//! | [`app`] | routers of handlers and pages |
//! | [`metrics`] | counters, their Prometheus text, health |
//! | `tls` | TLS settings from PEM (feature `tls`) |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod app;
mod bell;
mod client;
mod clock;
mod poll;
mod server;
mod socket;
mod stream;
mod unread;
mod wire;

pub use app::{
    Auth, Credential, IntoPage, IntoResponse, IntoService, Layer, PerAddress, Route, Router,
};
pub use client::{Client, Connecting, connect, connect_over};
pub use server::{Accepting, Listener, Server, StreamedResponse, Upgrade, accept};
pub use socket::{
    Keeper, MessageReader, MessageWriter, Messages, Outbox, ReadHalf, WebSocket, WriteHalf,
};
pub use stream::{BlockingStream, ByteStream, Socket, Stream};

pub use sansws_common::app::NoHub;
pub use sansws_common::metrics;
#[cfg(feature = "tls")]
pub use sansws_common::tls;
pub use sansws_common::{
    ClientState, ConnectOptions, Counters, Error, FromMessage, HandlerError, Health, IntoRequest,
    KindError, RequestError, Result, Scope, ServerHandle, ServerMetrics, SocketEvent, Status, Stop,
};
#[cfg(feature = "json")]
pub use sansws_common::{Json, JsonError};

// Values of the core that applications name.
pub use sansws_core as core;
pub use sansws_core::close::{CloseCode, Closed, LossCause};
pub use sansws_core::config::{Config, Deflate, Limits, Timeouts};
pub use sansws_core::error::{InvalidInput, SendError, Violation};
pub use sansws_core::handshake::{AcceptOptions, Failure, OriginPolicy, Refusal, Request};
pub use sansws_core::http::forwarded::Trusted;
pub use sansws_core::http::{Headers, RequestHead, Response, Url};
pub use sansws_core::limits::{AddressLimits, LimitAction, Rate, TrafficLimits};
pub use sansws_core::message::{Message, MessageKind, Payload, PreparedMessage};

/// Options of a server.
///
/// For an example see [`sansws_common::ServerOptions`].
pub type ServerOptions = sansws_common::ServerOptions<NoHub>;

/// The policy of the connections of a server, a router or a route. A field that is `None` is inherited: a route's policy overrides its
/// router's, which overrides the server's.
///
/// For an example see [`sansws_common::ConnectionPolicy`].
pub type ConnectionPolicy = sansws_common::ConnectionPolicy<NoHub>;

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
