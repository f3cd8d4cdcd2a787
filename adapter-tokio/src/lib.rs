//! WebSocket on tokio.
//!
//! The state machines and the async shell are those of [`sansws_core`]; this crate brings sockets, timers, tasks and TLS.
//! `sansws-tokio` and `sansws-smol` export the same names with the same meaning.
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
//! A client that comes back when the connection ends:
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

mod dial;
mod hub;
#[cfg(feature = "hyper")]
pub mod hyper;
mod io;
mod listen;
#[cfg(target_os = "linux")]
mod progress;
mod server;
mod stream;
#[cfg(feature = "test-kit")]
pub mod test;
#[cfg(feature = "tls")]
pub mod tls;

pub use dial::{Dialer, accept, connect, connect_over};
pub use hub::{Hub, SystemEnv};
pub use io::Io;
pub use listen::Listener;
pub use sansws_core as core;
pub use sansws_core::app::{
    Auth, Credential, Endpoint, IntoHandler, IntoPage, IntoResponse, Layer, PerAddress, Verifier,
};
pub use sansws_core::close::{CloseCode, Closed};
pub use sansws_core::config::{AutoPong, Config, Deflate, Limits, Timeouts};
#[cfg(feature = "json")]
pub use sansws_core::drive::Json;
pub use sansws_core::drive::{
    ClientState, ConnectOptions, ConnectionPolicy, Counters, Error, Events, FromMessage,
    HandlerError, HubMetrics, Lagged, MessageReader, MessageWriter, Result, Scope, ServerHandle,
    ServerMetrics, ServerOptions, SocketEvent, Stop, Subscription, Transport, scrape,
};
pub use sansws_core::error::{Misuse, Violation};
pub use sansws_core::frame::MessageKind;
pub use sansws_core::handshake::{AcceptOptions, Failure, OriginPolicy, Refusal, Request};
pub use sansws_core::http::forwarded::Trusted;
pub use sansws_core::http::{Fields, RequestHead, Response, Url};
pub use sansws_core::hub::{
    ChannelId, ChannelOptions, Compress, Encoding, Filter, GroupOptions, History, HistoryOptions,
    HubError, HubEvent, HubOptions, Instruction, Joined, Left, Notice, Position, Presence,
    PresenceMode, Publication, Published, QueueLimits, Recovered, RecoveryFailure, Sent,
    SlowConsumerPolicy, Target,
};
pub use sansws_core::message::{Message, Payload, PreparedMessage};
pub use sansws_core::policy::{AddressLimits, Outcome, Rate, TrafficLimits};
pub use server::{LocalTask, Server};
pub use stream::Stream;

/// Waits so long: the same on either runtime, and virtual in the test kit.
pub async fn sleep(time: std::time::Duration) {
    #[cfg(feature = "test-kit")]
    if let Some(clock) = sansws_core::kit::Clock::current() {
        return clock.sleep(time).await;
    }
    tokio::time::sleep(time).await;
}

/// What a server's connections come over: `impl Endpoint<Wire> for Chat`.
pub type Wire = Io<Stream>;

/// Routes of handlers and pages; see [`sansws_core::app::Router`] for its verbs.
pub type Router = sansws_core::app::Router<Wire>;

/// A pattern and the handler it leads to; see [`sansws_core::app::Route`].
pub type Route = sansws_core::app::Route<Wire>;

/// A connection that is made anew when it ends; see [`sansws_core::drive::Client`] for its verbs.
pub type Client = sansws_core::drive::Client<Dialer>;

/// An open connection; see [`sansws_core::drive::WebSocket`] for its verbs.
pub type WebSocket<S = Stream> = sansws_core::drive::WebSocket<Io<S>>;

/// A request that is not answered yet; see [`sansws_core::drive::Upgrade`] and [`Scope`] for what it says.
pub type Upgrade<S = Stream> = sansws_core::drive::Upgrade<Io<S>>;

/// The half that receives.
pub type ReadHalf<S = Stream> = sansws_core::drive::ReadHalf<Io<S>>;

/// The half that sends and closes.
pub type WriteHalf<S = Stream> = sansws_core::drive::WriteHalf<Io<S>>;

/// The programs of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Those of the guide to groups too.
#[cfg(doctest)]
#[doc = include_str!("../../docs/hub.md")]
struct HubGuide;

/// And that to monitoring.
#[cfg(doctest)]
#[doc = include_str!("../../docs/monitoring.md")]
struct MonitoringGuide;
