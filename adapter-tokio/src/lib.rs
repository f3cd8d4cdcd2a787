//! WebSocket on tokio.
//!
//! The state machines are those of [`sansws_core`], servers and clients those of [`sansws_async`]; this crate adds sockets, timers
//! and tasks.
//! `sansws-tokio` and `sansws-smol` have identical APIs.
//!
//! A server:
//!
//! ```no_run
//! use sansws_tokio::{Result, Router, Server, Upgrade};
//!
//! async fn room(upgrade: Upgrade) -> Result {
//!     let room: String = upgrade.param("room")?;
//!     let mut socket = upgrade.accept().await?;
//!     while let Some(text) = socket.receive_text().await? {
//!         socket.send_text(format!("{room}: {text}")).await?;
//!     }
//!     Ok(())
//! }
//!
//! # async fn run() -> Result {
//! let router = Router::new().route("/rooms/{room}", room);
//! Server::bind("127.0.0.1:8080").await?.serve(router).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A client:
//!
//! ```no_run
//! use sansws_tokio::{ConnectOptions, Result, connect};
//!
//! # async fn run() -> Result {
//! let mut socket = connect("ws://127.0.0.1:8080/chat", ConnectOptions::default()).await?;
//! socket.send_text("Hello").await?;
//! println!("{:?}", socket.receive_text().await?);
//! socket.close(1000, "bye").await?;
//! # Ok(())
//! # }
//! ```
//!
//! A client that reconnects when the connection ends:
//!
//! ```no_run
//! use sansws_tokio::{Client, ConnectOptions, Result};
//!
//! # async fn run() -> Result {
//! let mut client = Client::new("wss://example.org/news", ConnectOptions::default())?
//!     .on_open(async |mut socket| Ok(socket.send_text("subscribe").await?));
//! while let Some(message) = client.receive().await? {
//!     println!("{message:?}");
//! }
//! println!("{:?}", client.state());
//! # Ok(())
//! # }
//! ```

mod adapter;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "test-kit")]
pub mod test_kit;

pub use adapter::{Compat, Tcp, Tokio};
#[doc(inline)]
pub use sansws_async::*;

use std::sync::Arc;
use std::time::Duration;

/// Waits for `duration`, by the timers of tokio, or in the virtual time of the test kit.
pub async fn sleep(duration: Duration) {
    runtime::sleep::<Tokio>(duration).await;
}

/// The transport of a server's connections, as in `impl Endpoint<Wire> for Chat`.
pub type Wire = server::Wire<Tokio>;

/// The transport of a connection over a stream of tokio's traits, as [`connect_over`] and [`accept`] return it.
pub type Io<S> = sansws_async::Io<Tokio, Compat<S>>;

/// A stream of a server or a client: TCP, Unix, TLS.
pub type Stream = sansws_async::Stream<Tokio>;

/// Serves connections; see [`sansws_async::Server`] for its methods.
pub type Server = sansws_async::Server<Tokio>;

/// Listens on TCP, TLS, or a Unix socket; see [`sansws_async::Listener`] for its methods.
pub type Listener = sansws_async::Listener<Tokio>;

/// Routes of handlers and pages; see [`sansws_async::Router`] for its methods.
pub type Router = sansws_async::Router<Wire>;

/// A pattern and its handler; see [`sansws_async::Route`] for its methods.
pub type Route = sansws_async::Route<Wire>;

/// An open connection; see [`sansws_async::WebSocket`] for its methods.
pub type WebSocket<T = Wire> = sansws_async::WebSocket<T>;

/// A request that is not yet answered; see [`sansws_async::Upgrade`] and [`Scope`] for its methods.
pub type Upgrade<T = Wire> = sansws_async::Upgrade<T>;

/// The receiving half of a connection.
pub type ReadHalf<T = Wire> = sansws_async::ReadHalf<T>;

/// The half of a connection that sends and closes.
pub type WriteHalf<T = Wire> = sansws_async::WriteHalf<T>;

/// A connection that is re-established when it ends; see [`sansws_async::Client`] for its methods.
pub type Client = sansws_async::Client<Dialer>;

/// Dials for a [`Client`].
pub type Dialer = sansws_async::Dialer<Tokio>;

/// Channels, groups, history and presence; see [`sansws_async::hub::Hub`] for its methods, and [`sansws_core::hub`] for what they
/// mean.
///
/// ```no_run
/// use sansws_tokio::{Hub, Result, Router, Server, Upgrade};
///
/// async fn room(upgrade: Upgrade) -> Result {
///     let room: String = upgrade.param("room")?;
///     let mut socket = upgrade.accept().await?;
///     socket.join(&room).await?;
///     while let Some(text) = socket.receive_text().await? {
///         socket.publish(&room, text).await?;
///     }
///     Ok(())
/// }
///
/// # async fn run() -> Result {
/// let hub = Hub::new();
/// let router = Router::new().route("/rooms/{room}", room).hub(&hub);
/// Server::bind("127.0.0.1:8080").await?.serve(router).await?;
/// # Ok(())
/// # }
/// ```
pub type Hub = hub::Hub<Tokio>;

/// Connects to a `ws://` or `wss://` URL, directly or through a proxy, and follows redirects if allowed; see [`ConnectOptions`].
///
/// # Errors
/// [`Error::BadUrl`], [`Error::BadHeader`], [`Error::ConnectTimeout`], [`Error::Io`], [`Error::Proxy`],
/// [`Error::Handshake`] when the answer breaks the protocol, [`Error::Refused`] when the server answered with another status,
/// [`Error::Redirect`] when it redirects to a URL that is not followed.
pub async fn connect(url: &str, options: ConnectOptions) -> Result<WebSocket, Error> {
    client::connect::<Tokio>(url, options).await
}

/// Opens a connection over a stream that already leads to the host of `url`, such as a Unix socket or your own TLS. The
/// proxy, the redirects and the TLS settings of `options` are ignored.
///
/// # Errors
/// Those of [`connect`] from the opening handshake on.
pub async fn connect_over<S>(
    stream: S,
    url: &Url,
    options: ConnectOptions,
) -> Result<WebSocket<Io<S>>, Error>
where
    Compat<S>: ByteStream,
{
    client::connect_over(Compat(stream), url, options).await
}

/// Reads the request from a stream that a client opened.
///
/// # Errors
/// When the request is invalid; it has then already been answered.
pub async fn accept<S>(stream: S, config: Arc<Config>) -> Result<Upgrade<Io<S>>, Error>
where
    Compat<S>: ByteStream,
{
    client::accept(Compat(stream), config).await
}

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The code of the guide to groups compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/hub.md")]
struct HubGuide;

/// The code of the guide to monitoring compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/monitoring.md")]
struct MonitoringGuide;
