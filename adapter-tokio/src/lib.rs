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
//!
//! Channels and groups:
//!
//! ```no_run
//! use sansws_tokio::{Hub, Result, Router, Server, Upgrade};
//!
//! async fn room(upgrade: Upgrade) -> Result {
//!     let room: String = upgrade.param("room")?;
//!     let mut socket = upgrade.accept().await?;
//!     socket.join(&room).await?;
//!     while let Some(text) = socket.receive_text().await? {
//!         socket.publish(&room, text).await?;
//!     }
//!     Ok(())
//! }
//!
//! # async fn run() -> Result {
//! let hub = Hub::new();
//! let router = Router::new().route("/rooms/{room}", room).hub(&hub);
//! Server::bind("127.0.0.1:8080").await?.serve(router).await?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod adapter;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "test-kit")]
pub mod test_kit;
mod timer;

pub use adapter::{Compat, Tcp, Tokio};
#[doc(inline)]
pub use sansws_async::*;

sansws_async::adapter!(Tokio, Compat);

/// The code of the guide to servers compiles.
#[cfg(all(doctest, feature = "test-kit", feature = "tls", feature = "json"))]
#[doc = include_str!("../../docs/servers.md")]
struct Servers;

/// The code of the guide to clients compiles.
#[cfg(all(doctest, feature = "test-kit", feature = "tls", feature = "json"))]
#[doc = include_str!("../../docs/connecting.md")]
struct Connecting;

/// The code of the guide to TLS compiles.
#[cfg(all(doctest, feature = "test-kit", feature = "tls", feature = "json"))]
#[doc = include_str!("../../docs/tls.md")]
struct TlsGuide;

/// The code of the guide to tests compiles.
#[cfg(all(doctest, feature = "test-kit", feature = "tls", feature = "json"))]
#[doc = include_str!("../../docs/testing.md")]
struct Testing;

/// The code of the page for users of Socket.IO compiles.
#[cfg(all(doctest, feature = "test-kit", feature = "json"))]
#[doc = include_str!("../../docs/from-socket-io.md")]
struct FromSocketIo;

/// The code of the page on events runs.
#[cfg(all(doctest, feature = "test-kit", feature = "json"))]
#[doc = include_str!("../../docs/events.md")]
struct EventsGuide;

/// The code of the page for users of Phoenix compiles.
#[cfg(all(doctest, feature = "test-kit", feature = "json"))]
#[doc = include_str!("../../docs/from-phoenix.md")]
struct FromPhoenix;

/// The code of the page on deployment compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/deployment.md")]
struct Deployment;

/// The code of the guide to groups compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/hub.md")]
struct HubGuide;

/// The code of the page on compression compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/compression.md")]
struct Compression;

/// The code of the guide to monitoring compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/monitoring.md")]
struct MonitoringGuide;

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
