//! WebSocket on tokio.
//!
//! The state machines and the async shell are those of [`sansws_core`]; this crate brings sockets, timers, tasks and TLS.
//! `sansws-tokio` and `sansws-smol` export the same names with the same meaning.
//!
//! A server:
//!
//! ```no_run
//! use sansws_tokio::{Result, Serve, Server, Upgrade};
//!
//! async fn echo(upgrade: Upgrade) -> Result {
//!     let mut socket = upgrade.accept().await?;
//!     while let Some(message) = socket.receive().await? {
//!         socket.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! # async fn run() -> Result {
//! Server::bind("127.0.0.1:8080", Serve::default()).await?.serve(echo).await
//! # }
//! ```
//!
//! A client:
//!
//! ```no_run
//! use sansws_tokio::{Dial, Result, connect};
//!
//! # async fn run() -> Result {
//! let mut socket = connect("ws://127.0.0.1:8080/chat", Dial::default()).await?;
//! socket.send_text("Hello").await?;
//! println!("{:?}", socket.receive_text().await?);
//! socket.close(1000, "bye").await?;
//! # Ok(())
//! # }
//! ```

mod dial;
mod io;
mod listen;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;

pub use dial::{accept, connect, connect_over};
pub use io::Io;
pub use listen::{LocalTask, Server};
pub use sansws_core as core;
pub use sansws_core::close::{CloseCode, Closed};
pub use sansws_core::config::{AutoPong, Config, Deflate, Limits, Timeouts};
pub use sansws_core::drive::{Dial, Error, Gate, MessageReader, MessageWriter, Result, Serve};
pub use sansws_core::error::{Misuse, Violation};
pub use sansws_core::frame::Kind;
pub use sansws_core::handshake::{Accept, Failure, Refusal, Request};
pub use sansws_core::http::{Fields, Response, Url};
pub use sansws_core::message::{Message, Payload, Prepared};
pub use stream::Stream;

/// An open connection; see [`sansws_core::drive::WebSocket`] for its verbs.
pub type WebSocket<S = Stream> = sansws_core::drive::WebSocket<Io<S>>;

/// A request that is not answered yet.
pub type Upgrade<S = Stream> = sansws_core::drive::Upgrade<Io<S>>;

/// The half that receives.
pub type ReadHalf<S = Stream> = sansws_core::drive::ReadHalf<Io<S>>;

/// The half that sends and closes.
pub type WriteHalf<S = Stream> = sansws_core::drive::WriteHalf<Io<S>>;

/// The programs of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
