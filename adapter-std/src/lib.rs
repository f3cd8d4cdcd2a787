//! Blocking WebSocket clients and servers.

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

pub use app::{IntoService, Router};
pub use client::{Client, Connecting, connect, connect_over};
pub use server::{Accepting, Listener, Server, Upgrade, accept};
pub use socket::{Keeper, MessageReader, MessageWriter, Messages, ReadHalf, WebSocket, WriteHalf};
pub use stream::{ByteStream, Socket, Stream};

pub use sansws_common::metrics;
#[cfg(feature = "tls")]
pub use sansws_common::tls;
pub use sansws_common::{
    ClientState, ConnectOptions, Counters, Error, FromMessage, HandlerError, Health, KindError,
    RequestError, Result, Scope, ServerHandle, ServerMetrics, SocketEvent, Status, Stop,
};
#[cfg(feature = "json")]
pub use sansws_common::{Json, JsonError};

// Values of the core that applications name.
pub use sansws_core as core;
pub use sansws_core::close::{CloseCode, Closed};
pub use sansws_core::config::{AutoPong, Config, Deflate, Limits, Timeouts};
pub use sansws_core::error::{InvalidInput, SendError, Violation};
pub use sansws_core::handshake::{AcceptOptions, Failure, OriginPolicy, Refusal, Request};
pub use sansws_core::http::forwarded::Trusted;
pub use sansws_core::http::{Headers, RequestHead, Response, Url};
pub use sansws_core::limits::{LimitAction, Rate, TrafficLimits};
pub use sansws_core::message::{Message, MessageKind, Payload, PreparedMessage};

/// Options of a server.
pub type ServerOptions = sansws_common::ServerOptions<NoHub>;

/// The policy of the connections of a server, a router or a route. A field that is `None` is inherited: a route's policy overrides its
/// router's, which overrides the server's.
pub type ConnectionPolicy = sansws_common::ConnectionPolicy<NoHub>;

/// Stands where the other adapters name a hub: blocking connections join no groups.
pub type NoHub = std::convert::Infallible;
